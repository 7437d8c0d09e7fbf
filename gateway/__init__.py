"""The entry for HTTP, WebSocket and SSH to sandboxes.

It knows the control plane's gateway API and the data ports of hosts, and has no Django in it."""
