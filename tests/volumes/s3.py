"""A real SeaweedFS, and the signing that the control plane does."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config

from hostagent.volumes.signing import Signed, SignedPut
from tests.servers import REPOSITORY, _Server

BUCKET = "mags"
PREFIX = "u1/objects/"
_KEYS = {"accessKey": "an-access-key", "secretKey": "a-secret-key"}


class S3Server(_Server):
    def __init__(self, port: int, more_ports: list[int]) -> None:
        super().__init__(port)
        self._more_ports = more_ports
        self.client = client(port)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:  # its polite end takes 15 s
        super().stop(how)

    def command(self) -> list[str]:
        identity = {"name": "mags", "credentials": [_KEYS], "actions": ["Admin", "Read", "Write", "List"]}
        config = self.directory / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        roles = ["master", "volume", "filer"]
        ports = self._more_ports
        return [
            str(REPOSITORY / ".venv/bin/weed"),
            "-logtostderr",
            f"-config_dir={self.directory}",
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-dir={data}",
            f"-s3.port={self.port}",
            *(f"-{role}.port={port}" for role, port in zip(roles, ports, strict=False)),
            *(f"-{role}.port.grpc={port}" for role, port in zip([*roles, "s3"], ports[3:], strict=True)),
            "-s3",
            f"-s3.config={config}",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=0",
            "-master.telemetry=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.electionTimeout=1s",
            "-volume.preStopSeconds=0",
        ]

    def signer(self, port: int = 0) -> Signing:
        """Signs for this server, or for a proxy before it on `port`."""
        return Signing(client(port or self.port))

    def names(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX)
        return [item["Key"].removeprefix(PREFIX) for page in pages for item in page.get("Contents", [])]

    def body(self, sha256: str) -> bytes:
        answer = self.client.get_object(Bucket=BUCKET, Key=PREFIX + sha256)
        return bytes(answer["Body"].read())

    def overwrite(self, sha256: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=PREFIX + sha256, Body=data)

    def remove(self, sha256: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=PREFIX + sha256)


class Signing:
    """`POST /objects`, and what was asked of it."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3
        self.gets: list[str] = []
        self.puts: list[str] = []
        self.calls = 0

    async def __call__(self, get: Sequence[str], put: Sequence[tuple[str, int]]) -> Signed:
        self.calls += 1
        self.gets += get
        self.puts += [sha256 for sha256, _ in put]
        return Signed(
            {sha256: self._get(sha256) for sha256 in get}, {sha: self._put(sha, n) for sha, n in put}
        )

    def _get(self, sha256: str) -> str:
        values = {"Bucket": BUCKET, "Key": PREFIX + sha256}
        return str(self._s3.generate_presigned_url("get_object", Params=values, ExpiresIn=900))

    def _put(self, sha256: str, size: int) -> SignedPut:
        values = {"Bucket": BUCKET, "Key": PREFIX + sha256, "IfNoneMatch": "*", "ContentLength": size}
        url = self._s3.generate_presigned_url("put_object", Params=values, ExpiresIn=900)
        return SignedPut(url, {"If-None-Match": "*", "Content-Length": str(size)})


def client(port: int) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=_KEYS["accessKey"],
        aws_secret_access_key=_KEYS["secretKey"],
        region_name="us-east-1",
        config=Config(
            signature_version="s3v4", s3={"addressing_style": "path"}, retries={"mode": "standard"}
        ),
    )
