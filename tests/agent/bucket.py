"""A bucket on a real SeaweedFS, and the signing that the control plane does."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import boto3
from botocore.config import Config

from tests.workspaces.seaweed import ACCESS_KEY, SECRET_KEY

PREFIX = "u12/objects/"


class Bucket:
    def __init__(self, url: str) -> None:
        self._name = f"test-{uuid.uuid4().hex[:16]}"
        self._s3: Any = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )  # fmt: skip
        self._s3.create_bucket(Bucket=self._name)

    def sign_get(self, sha256: str) -> str:
        return str(self._s3.generate_presigned_url("get_object", Params=self._place(sha256), ExpiresIn=900))

    def sign_put(self, sha256: str, size: int) -> dict[str, Any]:
        place = {**self._place(sha256), "IfNoneMatch": "*", "ContentLength": size}
        url = self._s3.generate_presigned_url("put_object", Params=place, ExpiresIn=900)
        return {"url": url, "headers": {"If-None-Match": "*", "Content-Length": str(size)}}

    def put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self._s3.put_object(Body=data, **self._place(sha256))
        return sha256

    def get(self, sha256: str) -> bytes:
        return bytes(self._s3.get_object(**self._place(sha256))["Body"].read())

    def overwrite(self, sha256: str, data: bytes) -> None:
        self._s3.put_object(Body=data, **self._place(sha256))

    def has(self, sha256: str) -> bool:
        return bool(self._s3.list_objects_v2(Bucket=self._name, Prefix=PREFIX + sha256).get("Contents"))

    def names(self) -> set[str]:
        found = self._s3.list_objects_v2(Bucket=self._name, Prefix=PREFIX).get("Contents", [])
        return {item["Key"].removeprefix(PREFIX) for item in found}

    def _place(self, sha256: str) -> dict[str, str]:
        return {"Bucket": self._name, "Key": PREFIX + sha256}
