"""Builds that were replaced: they stay for whom they are below, and go after that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from hostagent.drivers import builds
from hostagent.drivers.statefs import StateFs, close_state, open_state
from hostagent.drivers.tenants import TenantImages
from hostagent.errors import AgentError, ImageMissing
from hostagent.images.store import adopt, publish
from hostagent.linux import btrfs
from hostagent.volumes import standing
from hostagent.volumes.manifest import Image
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.volume import Volume
from tests.privileged.conftest import make_config


@pytest.fixture(scope="module")
def fs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateFs]:
    config = make_config(tmp_path_factory.mktemp("agent"), state_image_gb=4)
    made = open_state(config)
    VolumeStore(made.root).open()
    yield made
    close_state(config)


@pytest.fixture
def name(fs: StateFs) -> Iterator[str]:
    """Of an image with an older build `one` and the present build `two`."""
    for build in ("one", "two"):
        tree = make_tree(fs, build)
        publish(tree, fs.images / "tiny")
        btrfs.subvolume_destroy(tree)
    yield "tiny"
    for path in [*fs.images.iterdir(), *fs.tenants.glob("*/*")]:
        btrfs.subvolume_destroy(path)


def make_tree(fs: StateFs, build: str) -> Path:
    tree = fs.root / f"tree-{build}"
    btrfs.subvolume_create(tree)
    (tree / builds.BUILD_FILE).parent.mkdir()
    (tree / builds.BUILD_FILE).write_text(f"{build}\n")
    return tree


def volume_on(fs: StateFs, image: str, build: str) -> Volume:
    volume = VolumeStore(fs.root).create("u1", uuid4(), 1 << 30)
    standing.note(volume.path, Image(image, build))
    return volume


def there(fs: StateFs) -> list[str]:
    return sorted(path.name for path in fs.images.iterdir())


@pytest.mark.parametrize("is_tenant_image", [True, False])
def test_sandbox_stands_on_the_wished_build(fs: StateFs, name: str, is_tenant_image: bool) -> None:
    images = TenantImages(fs, is_tenant_image=is_tenant_image)
    found = {build: builds.build_of(images.lower("u1", name, build)) for build in ("", "one", "two")}
    assert found == {"": "two", "one": "one", "two": "two"}
    for image, build in ((name, "three"), ("other", ""), ("other", "one")):
        with pytest.raises(ImageMissing, match=build or image):
            images.lower("u1", image, build)


def test_older_build_stays_while_a_volume_stands_on_it(fs: StateFs, name: str) -> None:
    images = TenantImages(fs, is_tenant_image=True)
    volume = volume_on(fs, name, "one")
    other = volume_on(fs, "other", "one")
    images.remove_unused(())
    assert there(fs) == [name, f"{name}@one"]
    volume.delete()
    images.remove_unused(())
    assert there(fs) == [name]
    other.delete()


def test_older_build_stays_while_a_sandbox_without_a_copy_stands_on_it(fs: StateFs, name: str) -> None:
    images = TenantImages(fs, is_tenant_image=False)
    images.remove_unused([fs.images / name])  # what the sandbox's claim says since before it was replaced
    images.remove_unused([fs.images / f"{name}@one"])
    assert there(fs) == [name, f"{name}@one"]
    images.remove_unused([])
    assert there(fs) == [name]


def test_fetched_build_takes_its_place_or_lies_beside(fs: StateFs, name: str) -> None:
    three = make_tree(fs, "three")
    try:
        adopt(fs.images, name, "three", three, is_present=False)
        assert (builds.build_of(fs.images / name), there(fs)) == (
            "two",
            [name, f"{name}@one", f"{name}@three"],
        )
        adopt(fs.images, name, "three", builds.kept_path(fs.images, name, "three"), is_present=True)
        assert builds.build_of(fs.images / name) == "three"
        assert builds.find(fs.images, name, "two") == fs.images / f"{name}@two"
        adopt(fs.images, "new", "three", three, is_present=True)
        assert builds.find(fs.images, "new") == fs.images / "new"
        with pytest.raises(AgentError, match="another one"):
            adopt(fs.images, name, "four", three, is_present=True)
        assert builds.build_of(fs.images / name) == "three"
    finally:
        btrfs.subvolume_destroy(three)


def test_killed_between_two_steps_of_a_replacement(fs: StateFs, name: str) -> None:
    """The former build has lost its name and not got the other one yet."""
    builds.kept_path(fs.images, name, "one").rename(fs.images / f".{name}")
    three = make_tree(fs, "three")
    publish(three, fs.images / name)
    btrfs.subvolume_destroy(three)
    assert there(fs) == [name, f"{name}@one", f"{name}@two"]
    assert builds.build_of(fs.images / name) == "three"
