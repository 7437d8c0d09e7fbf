"""How an upload's form is read: the file goes to disk as it comes, and nothing of its name is repaired."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework.parsers import BaseParser, DataAndFiles

from core.errors import Invalid
from files.errors import FileTooLarge


@dataclass(frozen=True, slots=True)
class Received:
    """A file of a form. Django closes it with the request."""

    name: str
    body: IO[bytes]

    def close(self) -> None:
        self.body.close()


class ToDisk(FileUploadHandler):
    """Keeps the part `file` in an unnamed file, and nothing over the limit."""

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, file_name, *args, **kwargs)
        if field_name != "file":
            raise SkipFile
        self.received = Received(file_name, tempfile.TemporaryFile())  # noqa: SIM115 - it lives as long as the request

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) > settings.FILE_LIMIT_MB * 1024 * 1024:
            self.received.close()
            raise FileTooLarge(f"The file is over {settings.FILE_LIMIT_MB} MB.")
        self.received.body.write(raw_data)

    def file_complete(self, file_size: int) -> Any:
        return self.received

    def upload_interrupted(self) -> None:
        if hasattr(self, "received"):
            self.received.close()


class PlainNames(MultiPartParser):
    """Django's parser without its rewriting of names: ours are refused or kept."""

    def sanitize_file_name(self, file_name: str) -> str:
        return file_name


class FormParser(BaseParser):
    """`multipart/form-data` with one file in the part `file`."""

    media_type = "multipart/form-data"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles[Any, Any]:
        context = parser_context or {}
        meta = {**context["request"].META, "CONTENT_TYPE": media_type}
        try:
            data, files = PlainNames(meta, stream, [ToDisk()], "utf-8").parse()
        except MultiPartParserError as error:
            raise Invalid(f"The form cannot be read: {error}", code="malformed_form") from error
        return DataAndFiles(data, files)
