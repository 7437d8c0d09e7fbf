"""The client with a connection of its own."""
