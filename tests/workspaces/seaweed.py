"""A SeaweedFS of this test run: the S3 server that `make up` starts, with the same flags."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.servers import ports_in_a_row

WEED = Path(sys.executable).parent / "weed"
READY_TIMEOUT_S = 60
ROLES = ("s3", "master", "volume", "filer")
ACCESS_KEY, SECRET_KEY, BUCKET = "key-for-tests", "secret-for-tests", "test"


class ObjectStoreServer:
    """`stop` and `start` play an outage; what was written is there again."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mags-test-s3-"))
        (self.directory / "data").mkdir()
        identity = {
            "name": "mags",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
        self.port = ports_in_a_row(2 * len(ROLES))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """For processes that a test starts."""
        return {
            "MAGS_S3_ENDPOINT": self.url,
            "MAGS_S3_BUCKET": BUCKET,
            "MAGS_S3_ACCESS_KEY": ACCESS_KEY,
            "MAGS_S3_SECRET_KEY": SECRET_KEY,
        }

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=self.directory)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.directory / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:  # its polite end takes 15 s (docs/decisions/0802)
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.stop()
        for port in range(self.port, self.port + 2 * len(ROLES)):
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _command(self) -> list[str]:
        # Small volumes: each bucket takes some of its own, and there are as many as the disk has room for.
        ports = [f"-{role}.port={self.port + n}" for n, role in enumerate(ROLES)]
        grpc = [f"-{role}.port.grpc={self.port + len(ROLES) + n}" for n, role in enumerate(ROLES)]
        return [
            str(WEED), "-logtostderr", f"-config_dir={self.directory}", "server", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", f"-dir={self.directory / 'data'}", *ports, *grpc, "-s3",
            f"-s3.config={self.directory / 's3.json'}", "-master.volumeSizeLimitMB=64", "-volume.max=0",
            "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-master.electionTimeout=1s", "-volume.preStopSeconds=0",
        ]  # fmt: skip

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(100)
        except OSError:
            return False


@functools.cache
def running() -> ObjectStoreServer:
    """One for all tests of a process, whichever directory they are in."""
    server = ObjectStoreServer()
    atexit.register(server.remove)
    server.start()
    return server
