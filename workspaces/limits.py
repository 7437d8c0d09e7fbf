"""How large the parts of a version may be (docs/reference/object-store.md)."""

import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
DISK_GB_LIMIT = 1000
SEGMENT_RAW_BYTES = 8 * 1024 * 1024
# zstd adds less than 1 % to what it cannot compress.
SEGMENT_LIMIT_BYTES = SEGMENT_RAW_BYTES + SEGMENT_RAW_BYTES // 64
MANIFEST_LIMIT_BYTES = 16 * 1024 * 1024
OBJECT_LIMIT_BYTES = MANIFEST_LIMIT_BYTES
SIGN_LIMIT = 1000  # addresses of one request
SIGNED_FOR_S = 900
