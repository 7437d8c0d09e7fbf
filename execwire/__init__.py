"""Commands in sandboxes, as a caller and the sandbox's host speak of them: docs/reference/exec-protocol.md.

No policy in it, so the host and whoever calls it can both stand on it without knowing each other.
"""
