# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""The client with a connection of its own."""
