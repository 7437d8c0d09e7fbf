"""Every write to workspaces, versions and objects."""

from workspaces.selectors import Hold
from workspaces.services.collect import Collected, objects_collect
from workspaces.services.commit import Commit, version_commit
from workspaces.services.compact import FullNext, full_next
from workspaces.services.compare import (
    Found,
    PathsFound,
    VersionDiff,
    comparisons_expire,
    group_of,
    question_answer,
    versions_compare,
)
from workspaces.services.damage import base_damage, version_damage, version_heal, workspace_damage
from workspaces.services.expire import versions_expire, versions_prune
from workspaces.services.fsck import Checked, Finding, workspaces_check
from workspaces.services.hold import (
    workspace_create,
    workspace_place,
    workspace_release,
    workspace_take,
)
from workspaces.services.lifecycle import (
    version_restore,
    workspace_delete,
    workspace_fork,
    workspace_resize,
    workspaces_expire_local,
)
from workspaces.services.rebuild import Rebuilt, workspaces_rebuild
from workspaces.services.records import record_complete, records_complete
from workspaces.services.share import version_share

__all__ = [
    "Checked",
    "Collected",
    "Commit",
    "Finding",
    "Found",
    "FullNext",
    "Hold",
    "PathsFound",
    "Rebuilt",
    "VersionDiff",
    "base_damage",
    "comparisons_expire",
    "full_next",
    "group_of",
    "objects_collect",
    "question_answer",
    "record_complete",
    "records_complete",
    "version_commit",
    "version_damage",
    "version_heal",
    "version_restore",
    "version_share",
    "versions_compare",
    "versions_expire",
    "versions_prune",
    "workspace_create",
    "workspace_damage",
    "workspace_delete",
    "workspace_fork",
    "workspace_place",
    "workspace_release",
    "workspace_resize",
    "workspace_take",
    "workspaces_check",
    "workspaces_expire_local",
    "workspaces_rebuild",
]
