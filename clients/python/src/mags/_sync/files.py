# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""Calls about uploads: files that a job finds in /uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mags import upload, wire
from mags._sync.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mags.types import File, FileList
    from mags.upload import Source


class Files(Connection):
    """Upload, list and delete files."""

    def upload_file(
        self,
        file_path: Source,
        name: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> str:
        """Upload a file and return its id, for the `file_ids` of `run`.

        `file_path` is a path or a file opened for reading bytes, which is sent from where it stands
        and stays open. `name` is what the job finds it by: the file's own unless given. It is read
        and sent piece by piece, whatever its size. `on_progress(sent, total)` is called with bytes,
        after each piece; where a lost upload begins anew, `sent` does too.

        An upload whose connection was lost is tried again from its beginning: at worst a copy that
        nobody knows of is stored, and expires.
        """
        with upload.opened(file_path, name, on_progress) as ready:
            answer = self._call(wire.upload_request(ready))
        return wire.text_of(answer, "file_id", self.api_url)

    def upload_files(
        self,
        file_paths: Iterable[Source],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[str]:
        """Upload one file after the other; their ids in the same order."""
        return [self.upload_file(path, on_progress=on_progress) for path in file_paths]

    def list_files(self, *, page: int = 1, page_size: int = 20) -> FileList:
        """Your uploads that have not expired, newest first."""
        query = {"page": page, "page_size": page_size}
        return cast("FileList", self._call(wire.Request("GET", "/mags-files", query=query)))

    def file(self, file_id: str) -> File:
        """One upload: its name, size and sha256."""
        return cast("File", self._call(wire.Request("GET", wire.file_path(file_id))))

    def delete_file(self, file_id: str) -> None:
        """Delete an upload. A job that was submitted with it and has not started will fail."""
        self._call(wire.Request("DELETE", wire.file_path(file_id)))
