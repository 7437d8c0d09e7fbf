"""The REST reference: openapi.yaml in words, with examples, as Markdown like every other page."""

from handbook.rest.pages import Resource, markdown, resources, stamp

__all__ = ["Resource", "markdown", "resources", "stamp"]
