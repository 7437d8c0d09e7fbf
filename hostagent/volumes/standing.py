"""Which build of an image a volume is laid over: a note beside its files, for as long as they are here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from hostagent.linux.files import replace_durably
from hostagent.volumes.manifest import Image

NOTE = "image.json"


def note(volume: Path, image: Image) -> None:
    """From here on the volume's files belong over this build."""
    replace_durably(volume / NOTE, msgspec.json.encode(image))


def noted(volume: Path) -> Image | None:
    try:
        return msgspec.json.decode((volume / NOTE).read_bytes(), type=Image)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def needed(root: Path) -> Iterator[Image]:
    """Of all volumes below a state file system."""
    for path in root.glob(f"volumes/*/*/{NOTE}"):
        image = noted(path.parent)
        if image is not None:
            yield image
