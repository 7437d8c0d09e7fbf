"""The wire form of a question in the host API."""

from __future__ import annotations

from typing import Any

from workspaces import keys
from workspaces.models import Comparison


def question_object(comparison: Comparison) -> dict[str, Any]:
    """What a host is asked; read with both versions and the workspace."""
    old, new = comparison.old, comparison.new
    return {
        "id": comparison.pk,
        "kind": "diff",
        "revision": comparison.revision,
        "tenant": keys.tenant(old.workspace.owner_id),
        "workspace": str(old.workspace_id),
        "old": old.manifest,
        "new": new.manifest,
        "tree_bytes": old.tree_bytes + new.tree_bytes,
    }
