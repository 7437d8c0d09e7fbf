"""Commands in sandboxes, for whoever has a ticket for them: docs/reference/exec-protocol.md."""
