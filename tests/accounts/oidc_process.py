"""An OpenID Connect provider in a process of its own: `python oidc_process.py PORT`.

`oidc-provider-mock`, made to remember what it was sent: `GET /seen`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import flask
import uvicorn
from oidc_provider_mock import app


def serve(port: int) -> None:
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    provider = app()
    seen: list[dict[str, Any]] = []

    @provider.before_request
    def remember() -> None:
        seen.append({"path": flask.request.path, "form": dict(flask.request.form)})

    @provider.get("/seen")
    def what_was_seen() -> flask.Response:
        return flask.jsonify(seen)

    uvicorn.run(provider, interface="wsgi", host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
