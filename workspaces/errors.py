"""What can go wrong with workspaces, in words for people and slugs for programs."""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import Conflict, Invalid, MagsError, NotFound, Unavailable


class ObjectStoreUnavailable(Unavailable):
    code = "object_store_unavailable"
    default_message = "The object store does not answer."
    default_remediation = "Try again in a few seconds; nothing that was saved is lost."


class ObjectStoreRefused(MagsError):
    """The store answered and will answer the same again: keys, bucket or request are wrong."""

    code = "object_store_refused"
    status = 500
    default_message = "The object store refuses this server."
    default_remediation = "An administrator must check MAGS_S3_* and that the bucket exists."


class WorkspaceNotFound(NotFound):
    code = "workspace_not_found"
    default_message = "There is no such workspace."
    default_remediation = "Check the name; `GET /api/v1/mags-workspaces` lists your workspaces."


class VersionNotFound(NotFound):
    code = "version_not_found"
    default_message = "The workspace has no such version."
    default_remediation = "`GET /api/v1/mags-workspaces/{name}/versions` lists its versions."


class WorkspaceInUse(Conflict):
    code = "workspace_in_use"
    default_message = "The workspace is already in use."  # published clients look for these words
    default_remediation = "Stop the job that uses it, or wait for its end."
    default_retryable = True


class WorkspaceNameTaken(Conflict):
    code = "workspace_name_taken"
    default_message = "A workspace with this name exists already."
    default_remediation = "Choose another name, or delete that workspace."


class NotSaved(Conflict):
    code = "workspace_not_saved"
    default_message = "The workspace has no version yet."
    default_remediation = "Sync a job that runs on it, or run one with `persistent`."


class ChainTooLong(Conflict):
    code = "chain_too_long"
    default_message = "Restoring a version that builds on the newest one would take too long."
    default_remediation = "Send a full stream."


class DiskTooSmall(Conflict):
    code = "disk_too_small"
    default_remediation = "Choose a larger one; or remove files, sync, and try again."

    def __init__(self, disk_gb: int, held_bytes: int) -> None:
        super().__init__(f"The newest version holds {held_bytes / (1 << 30):.1f} GB, more than {disk_gb} GB.")


class VersionDamaged(Conflict):
    code = "version_damaged"
    default_message = "Data of this version is missing or changed in the object store."
    default_remediation = "Choose a version that is not marked as damaged."


class DiffPending(Unavailable):
    code = "diff_pending"
    default_message = "The versions are still being compared."
    default_remediation = "Ask again: the comparison goes on meanwhile, and its answer is kept."


class NoHostToCompare(Unavailable):
    code = "no_host"
    default_message = "No host is online, and only a host can compare versions."
    default_remediation = "Try again when a host is online."


class DiffFailed(Unavailable):
    """A host was asked and has no answer; another try may well have one."""

    code = "diff_failed"
    default_message = "The host could not compare these versions."
    default_remediation = "Try again in a minute."


class DiffImpossible(Conflict):
    code = "diff_impossible"
    default_message = "A version has paths that are too long to be compared (over 4,000 bytes)."
    default_remediation = "Fork both versions and compare them in a sandbox: `diff -rq`."


class StaleQuestion(Conflict):
    """The question is not this host's to answer, or no longer in this life of its agent."""

    code = "stale_question"
    default_message = "This question was not asked of this host."
    default_remediation = "Forget the question."


class StaleHold(Conflict):
    """The sandbox does not hold the workspace, or no longer with this epoch."""

    code = "stale_lease"
    default_message = "This sandbox does not hold the workspace with this epoch."
    default_remediation = "Stop the sandbox; another one may hold the workspace."


class HeadMoved(Conflict):
    code = "head_moved"
    default_message = "The workspace's newest version is not the one that this one follows."
    default_remediation = "Keep the data, and look at the workspace's versions."


class WrongBuild(Conflict):
    """A snapshot that stands on another build of the image than the workspace does: its files would be laid
    over what they do not fit."""

    code = "wrong_build"
    default_remediation = "Keep the data. It can be used over the build that it was written on only."

    def __init__(self, pinned: str, said: str) -> None:
        expected = f"the image build {pinned}" if pinned else "another image"
        super().__init__(f"The workspace stands on {expected}, not on {said}.")


class MissingObjects(Conflict):
    """The commit names objects that are not (or not reliably) in the bucket: `missing`, to be put."""

    code = "missing_objects"
    default_message = "Objects of this version are not in the object store."
    default_remediation = "Put the objects named in `missing` (again), then commit again."
    default_retryable = True

    def __init__(self, missing: Iterable[str]) -> None:
        self.missing = sorted(missing)
        super().__init__()


class BadManifest(Invalid):
    code = "bad_manifest"
    default_remediation = "This is a mistake in the host agent: keep the data and report it."
