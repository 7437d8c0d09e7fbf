"""Platform images: built once into a tarball in the cache, from there installed on any state file system;
or imported from elsewhere.

ensure(config, "standard", print)    built, installed and current; does nothing where it is
"""

from __future__ import annotations

from pathlib import Path

from hostagent.config import Config
from hostagent.drivers.statefs import open_state
from hostagent.images.importing import import_image
from hostagent.images.mmdebstrap import Progress, build, cached
from hostagent.images.recipe import RECIPES, recipe
from hostagent.images.store import install, installed, installed_build, listing

__all__ = ["RECIPES", "Progress", "ensure", "import_image", "install", "installed", "listing"]


def ensure(config: Config, name: str, progress: Progress, *, is_fresh: bool = False) -> Path:
    """The read-only subvolume, of the present recipe. `is_fresh` builds it again (security updates)."""
    wanted = recipe(name)
    images = open_state(config).images
    has_current = installed_build(images, name).startswith(f"{name}-{wanted.digest}-")
    if has_current and not is_fresh:
        return images / name
    cache = config.image_cache_dir
    if cached(cache, wanted) is None or is_fresh:
        progress(f"building the image {name} from Debian packages (about a minute)")
    tarball = build(cache, wanted, progress, is_fresh=is_fresh)
    progress(f"installing {tarball.name}")
    return install(images, name, tarball)
