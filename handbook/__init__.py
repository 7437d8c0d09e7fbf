"""The documentation site: Markdown below docs/, and the REST reference from openapi.yaml."""
