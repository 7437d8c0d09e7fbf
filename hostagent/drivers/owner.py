"""Whose an instance's name is. Two agents of one name would take each other's sandboxes for leftovers.

/run/mags/<instance>/owner    a link to the agent's state directory, until `hostagent down` has undone all
"""

from __future__ import annotations

from pathlib import Path

from hostagent.errors import DriverError

RUN = Path("/run/mags")
OWNER = "owner"


def owner_of(instance: str) -> Path | None:
    """The state directory of the agent that has the name. None where nobody has, or the directory is gone."""
    link = RUN / instance / OWNER
    return link.readlink() if link.is_dir() else None


def claim(instance: str, state_dir: Path) -> None:
    """Take the name before anything of that name is looked at or made. DriverError where another has it."""
    directory, own = RUN / instance, state_dir.resolve()
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    link = directory / OWNER
    if owner_of(instance) is None:  # nobody's; or of an agent whose files were deleted under it
        link.unlink(missing_ok=True)
    try:
        link.symlink_to(own)
    except FileExistsError:
        if link.readlink() != own:
            raise DriverError(
                f"the agent of {link.readlink()} goes by the name {instance} on this machine",
                "set MAGS_AGENT_INSTANCE to another name; `hostagent down` there gives this one back",
            ) from None
