"""Uploads: what arrives, what is held in memory, what is tried again."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fake_server import TOKEN, FakeServer

from mags import AsyncMags, Mags, MagsError
from mags.upload import PIECE_BYTES

UPLOAD = "POST /api/v1/mags-files"
BIG = os.urandom(3 * PIECE_BYTES + 17)

TWO_UPLOADS = """
import resource, sys
from mags import Mags

mags = Mags()
mags.upload_file(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
mags.upload_file(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def only_file(server: FakeServer) -> dict[str, object]:
    (file,) = server.files.values()
    return file


@pytest.mark.parametrize("content", [b"", b"x", b"\r\n--\r\n\x00\xff", BIG], ids=["empty", "x", "odd", "big"])
def test_file_arrives_as_it_is(server: FakeServer, client: Mags, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data é.bin"
    path.write_bytes(content)
    file_id = client.upload_file(path)
    stored = client.file(file_id)
    assert (stored["name"], stored["size"]) == ("data é.bin", len(content))
    assert stored["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "name", ['quo"te', "back\\slash", "a;b=c", "percent%22", "x" * 255, ".hidden", "10.00\u202fAM.png"]
)
def test_name_arrives_as_it_is(server: FakeServer, client: Mags, name: str) -> None:
    client.upload_file(io.BytesIO(b"x"), name=name)
    assert only_file(server)["name"] == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\nb", "a\x00b", "\x1b[2J", "\udcff", "x" * 256, "\x85", "a\u2028b"]
)
def test_name_that_no_file_can_have_is_refused_here(server: FakeServer, client: Mags, name: str) -> None:
    with pytest.raises(MagsError, match="is no name for an upload") as caught:
        client.upload_file(io.BytesIO(b"x"), name=name)
    assert (caught.value.code, server.paths) == ("bad_argument", [])


def test_several_files_are_uploaded_in_order(server: FakeServer, client: Mags, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    ids = client.upload_files([str(tmp_path / "a"), tmp_path / "b"])
    assert [server.files[each]["name"] for each in ids] == ["a", "b"]
    assert [file["name"] for file in client.list_files()["files"]] == ["b", "a"]
    client.delete_file(ids[0])
    assert list(server.files) == ids[1:]


def test_open_file_is_sent_from_where_it_stands_and_stays_open(server: FakeServer, client: Mags) -> None:
    file = io.BytesIO(b"skipped" + BIG)
    file.seek(7)
    client.upload_file(file, name="data")
    assert only_file(server)["sha256"] == hashlib.sha256(BIG).hexdigest()
    assert not file.closed


def test_pipe_is_sent_whole(server: FakeServer, client: Mags) -> None:
    with subprocess.Popen(["head", "-c", "1000000", "/dev/zero"], stdout=subprocess.PIPE) as producer:
        assert producer.stdout is not None
        client.upload_file(producer.stdout, name="zeros")
    assert only_file(server)["size"] == 1_000_000


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "Cannot read .*missing: No such file"),
        (".", "is not a regular"),
        ("pipe", "is not a regular"),
    ],
)
def test_what_is_no_file_is_refused_before_any_request(
    server: FakeServer, client: Mags, tmp_path: Path, name: str, says: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MagsError, match=says):
        client.upload_file(tmp_path / name)
    assert server.paths == []


@pytest.mark.parametrize("file", [io.BytesIO(b"x"), io.StringIO("x")])
def test_file_without_a_name_needs_one(server: FakeServer, client: Mags, file: io.BytesIO) -> None:
    with pytest.raises(MagsError, match="has no name"):
        client.upload_file(file)
    assert server.paths == []


def test_text_file_is_refused(server: FakeServer, client: Mags, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("x")
    with path.open() as file, pytest.raises(MagsError, match="open for text"):
        client.upload_file(file)  # type: ignore[arg-type]
    assert server.paths == []


def test_progress_begins_at_nothing_and_ends_at_all(client: Mags) -> None:
    seen: list[tuple[int, int]] = []
    client.upload_file(io.BytesIO(BIG), "big", lambda sent, total: seen.append((sent, total)))
    assert [sent for sent, _ in seen] == [*range(0, len(BIG), PIECE_BYTES), len(BIG)]
    assert {total for _, total in seen} == {len(BIG)}


def test_error_of_the_callback_ends_the_upload(server: FakeServer, client: Mags) -> None:
    def refuse(sent: int, _total: int) -> None:
        if sent:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        client.upload_file(io.BytesIO(BIG), "big", refuse)
    assert server.files == {}
    assert client.whoami()["email"]  # the client goes on working


@pytest.mark.parametrize("trouble", ["hang_up", "drop", "cut", "503"])
def test_lost_upload_begins_anew_and_is_one_file(server: FakeServer, client: Mags, trouble: str) -> None:
    server.trouble(UPLOAD, trouble, times=2)
    seen: list[int] = []
    file_id = client.upload_file(io.BytesIO(BIG), "big", lambda sent, _: seen.append(sent))
    assert list(server.files) == [file_id]
    assert only_file(server)["sha256"] == hashlib.sha256(BIG).hexdigest()
    assert (len(server.paths), seen.count(0), seen[-1]) == (3, 3, len(BIG))


@pytest.mark.parametrize("is_early", [False, True])
@pytest.mark.parametrize("status", ["400", "401", "413", "500", "507"])
def test_refusal_is_final_also_in_the_middle(
    server: FakeServer, client: Mags, status: str, is_early: bool
) -> None:
    server.trouble(UPLOAD, status, is_early=is_early)
    with pytest.raises(MagsError) as caught:
        client.upload_file(io.BytesIO(b"x" * 100_000 if is_early else BIG), "big")
    assert (caught.value.status, len(server.paths)) == (int(status), 1)


def test_file_that_shrinks_is_not_sent_short(server: FakeServer, client: Mags, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(BIG)
    with pytest.raises(MagsError, match="became shorter") as caught:
        client.upload_file(path, on_progress=lambda sent, _: os.truncate(path, 10) if sent else None)
    assert caught.value.code == "file_changed"
    assert client.list_files()["total"] == 0


def test_file_that_grows_is_sent_as_it_was(server: FakeServer, client: Mags, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(BIG)
    with path.open("ab", buffering=0) as writer:

        def grow(_sent: int, _total: int) -> None:
            writer.write(b"more")

        client.upload_file(path, on_progress=grow)
    assert only_file(server)["sha256"] == hashlib.sha256(BIG).hexdigest()


def test_answer_without_an_id_is_no_upload(server: FakeServer, client: Mags) -> None:
    server.trouble(UPLOAD, "200", body='{"ok": true}')
    with pytest.raises(MagsError, match="did not answer like a Mags server"):
        client.upload_file(io.BytesIO(b"x"), name="x")


def test_memory_does_not_grow_with_the_file(server: FakeServer, tmp_path: Path) -> None:
    for name, size in (("small", PIECE_BYTES), ("large", 300_000_000)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    ran = subprocess.run(
        [sys.executable, "-c", TWO_UPLOADS, tmp_path / "small", tmp_path / "large"],
        env={"PATH": os.environ["PATH"], "MAGS_API_URL": server.url, "MAGS_API_TOKEN": TOKEN, "HOME": "/"},
        capture_output=True,
        check=True,
        timeout=50,
    )
    assert int(ran.stdout) < 8_000, "KiB more for 300 MB than for 256 KiB"
    assert [file["size"] for file in server.files.values()] == [PIECE_BYTES, 300_000_000]


def test_async_client_uploads_side_by_side(server: FakeServer) -> None:
    async def scenario() -> list[str]:
        async with AsyncMags(TOKEN, server.url) as mags:
            return await asyncio.gather(*(mags.upload_file(io.BytesIO(BIG), f"f{n}") for n in range(4)))

    ids = asyncio.run(scenario())
    assert [server.files[each]["name"] for each in ids] == ["f0", "f1", "f2", "f3"]
    assert {file["sha256"] for file in server.files.values()} == {hashlib.sha256(BIG).hexdigest()}


def test_one_client_uploads_from_many_threads(server: FakeServer, client: Mags) -> None:
    threads = [
        threading.Thread(target=client.upload_file, args=(io.BytesIO(BIG), f"f{number}"))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {file["sha256"] for file in server.files.values()} == {hashlib.sha256(BIG).hexdigest()}
    assert len(server.files) == 4
