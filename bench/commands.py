"""Commands in one sandbox through the API: `echo ok` over REST on one connection, and over WebSockets.

A WebSocket is one command's, so its figure has the connection, the signing in and the command in it.

    python -m bench.commands [--runs 300]
"""

from __future__ import annotations

import argparse
import json
import time

from websockets.sync.client import connect

from bench.common import Figures, Server, figures, save, settings

WARM_UP = 10
JOB = "bench-commands"


def measure(runs: int) -> list[Figures]:
    server = Server()
    job = {"script": "true", "workspace_id": JOB, "name": JOB, "persistent": True, "no_sync": True}
    server.http.post("/mags-jobs", json=job).raise_for_status()
    try:
        rest = [over_rest(server) for _ in range(runs + WARM_UP)]
        sockets = [over_a_socket() for _ in range(runs + WARM_UP)]
    finally:
        server.http.post(f"/mags-jobs/{JOB}/stop")
    return [figures("exec over REST", rest[WARM_UP:]), figures("exec over a WebSocket", sockets[WARM_UP:])]


def over_rest(server: Server) -> float:
    begun = time.perf_counter()
    answer = server.http.post(f"/mags-jobs/{JOB}/exec", json={"command": "echo ok"}).json()
    took_ms = (time.perf_counter() - begun) * 1000
    if (answer.get("stdout"), answer.get("exit_code")) != ("ok\n", 0):
        raise RuntimeError(f"a wrong answer: {answer}")
    return took_ms


def over_a_socket() -> float:
    found = settings()
    url = found["MAGS_API_URL"].replace("http", "ws", 1) + f"/ws/jobs/{JOB}/exec"
    begun = time.perf_counter()
    data = b""
    with connect(url, proxy=None, compression=None) as socket:
        socket.send(json.dumps({"type": "auth", "token": found["MAGS_API_TOKEN"]}))
        socket.send(json.dumps({"type": "open", "command": "echo ok"}))
        told = {"type": ""}
        while told["type"] != "end":
            message = socket.recv(timeout=30)
            if isinstance(message, bytes):
                data += message[9:]
            else:
                told = json.loads(message)
        took_ms = (time.perf_counter() - begun) * 1000
    if (data, told.get("exit_code")) != (b"ok\n", 0):
        raise RuntimeError(f"a wrong answer: {data!r} {told}")
    return took_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    runs = parser.parse_args().runs
    save("commands", measure(runs), {})


if __name__ == "__main__":
    main()
