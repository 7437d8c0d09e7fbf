"""The host's end of public URLs and SSH: a process of its own, so that an agent's restart cuts no connection.

See docs/reference/data-port.md for what it says and to whom.
"""
