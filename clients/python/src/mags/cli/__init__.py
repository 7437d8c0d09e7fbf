"""The `mags` command."""

from __future__ import annotations

from mags.cli.app import main

__all__ = ["main"]
