"""What can go wrong with uploads."""

from __future__ import annotations

from core.errors import Invalid, NotFound, TooLarge


class FileNotFound(NotFound):
    code = "file_not_found"
    default_message = "There is no such file, or it has expired."
    default_remediation = "Upload it again; `GET /api/v1/mags-files` lists your files."


class BadFileName(Invalid):
    code = "bad_file_name"
    default_remediation = "A name has 1 to 255 bytes, no slash and no control characters, and is not . or .."


class FileTooLarge(TooLarge):
    code = "file_too_large"
    default_remediation = "Split the file, or fetch it from inside the job."
