"""Every call of the REST reference in curl, Python and Node, executed against a whole stack."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from handbook.rest import document, examples
from tests.e2e.running import RunningStack
from tests.handbook.playing import Played, ordered, play, write

LANGUAGES = ("curl", "python", "node")
USERS = """
import json
from accounts.cli_logins import Asking, TokenWish, device_begin, device_consent, device_find
from accounts.services import token_create, user_create
made = {{}}
for language, name in {names}.items():
    user = user_create(name + "@example.org", None)
    device_code, user_code = device_begin(Asking("laptop", "Linux", "127.0.0.1"))
    device_consent(device_find(user_code), user, TokenWish("laptop", None, ("run",)), None)
    made[language] = token_create(user, "docs", scopes=["admin"])[1], device_code
print(json.dumps(made))
"""

pytestmark = [pytest.mark.stack, pytest.mark.privileged]


def prepared(client: httpx.Client) -> dict[str, str]:
    """What the examples are about: a sandbox `web` with two versions, a job `build` that runs, and so on."""
    answered(client.post("/mags-jobs", json={"script": "sleep 600", "name": "build"}))
    web = {"script": "touch first", "name": "web", "workspace_id": "web", "persistent": True}
    job = answered(client.post("/mags-jobs", json=web))["request_id"]
    answered(client.get(f"/mags-jobs/{job}/status", params={"wait": 60}))
    answered(client.post(f"/mags-jobs/{job}/exec", json={"command": "touch /root/one"}))
    answered(client.post(f"/mags-jobs/{job}/sync"))
    answered(client.post(f"/mags-jobs/{job}/exec", json={"command": "touch /root/two"}))
    answered(client.post(f"/mags-jobs/{job}/sync"))
    done = answered(client.post(f"/mags-jobs/{job}/exec", json={"command": "echo hi"}))
    running = left_running(client, job)
    answered(client.post(f"/mags-jobs/{job}/access", json={"port": 22}))
    file = answered(client.post("/mags-files", files={"file": ("data.csv", b"a,b\n")}))
    token = answered(client.post("/auth/tokens", json={"name": "old"}))
    return {
        "EXEC_ID": done["exec_id"],
        "RUNNING_EXEC_ID": running,
        "FILE_ID": file["file_id"],
        "TOKEN_ID": str(token["id"]),
    }


def left_running(client: httpx.Client, job: str) -> str:
    """The id of a command whose caller went away."""
    with contextlib.suppress(httpx.ReadTimeout):
        client.post(f"/mags-jobs/{job}/exec", json={"command": "sleep 600"}, timeout=0.5)
    deadline = time.monotonic() + 20
    while True:
        newest = client.get(f"/mags-jobs/{job}/execs").json()["execs"][0]
        if (newest["command"], newest["state"]) == ("sleep 600", "running"):
            return str(newest["exec_id"])
        assert time.monotonic() < deadline, newest


def answered(response: httpx.Response) -> dict[str, str]:
    assert response.is_success, response.text
    told: dict[str, str] = response.json()
    return told


@pytest.fixture(scope="module")
def played(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Played]]:
    """By language. Each has an account of its own, as the examples name things as people would."""
    names = {language: f"{language}-{secrets.token_hex(4)}" for language in LANGUAGES}
    secrets_of = json.loads(stack.manage("shell", "-v0", "-c", USERS.format(names=names)))

    def of(language: str) -> dict[str, Played]:
        return played_in(language, stack, *secrets_of[language], tmp_path_factory.mktemp(language))

    with ThreadPoolExecutor(len(LANGUAGES)) as threads:
        return dict(zip(LANGUAGES, threads.map(of, LANGUAGES), strict=True))


def played_in(
    language: str, stack: RunningStack, token: str, device_code: str, directory: Path
) -> dict[str, Played]:
    (directory / "data.csv").write_text("a,b\n1,2\n")
    with stack.client(token) as client:
        write(language, directory, {**prepared(client), "DEVICE_CODE": device_code})
        try:
            return play(language, directory, {**stack.environment(), "MAGS_API_TOKEN": token})
        finally:
            for job in ("web", "build"):
                client.post(f"/mags-jobs/{job}/stop")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_example_does_what_it_says(language: str, played: dict[str, dict[str, Played]]) -> None:
    failures = {name: each.failure for name, each in played[language].items() if each.failure}
    assert failures == {}
    assert list(played[language]) == ordered()


@pytest.mark.parametrize("language", ["curl", "node"])
def test_every_call_answers_as_documented(language: str, played: dict[str, dict[str, Played]]) -> None:
    told = {name: status_of(language, each.said) for name, each in played[language].items()}
    assert told == {name: document.calls()[name].status for name in ordered()}


def status_of(language: str, said: str) -> int:
    """curl tells it behind the body, Node before it."""
    return int(said.rpartition("\n")[2] if language == "curl" else said.partition(" ")[0])


def test_answers_have_the_documented_fields(played: dict[str, dict[str, Played]]) -> None:
    for name, each in played["curl"].items():
        call = document.calls()[name]
        if call.answer and not examples.examples()[name].is_text:
            told = json.loads(each.said.rpartition("\n")[0])
            assert (name, {field.name for field in call.answer if field.is_required} - set(told)) == (
                name,
                set(),
            )


def test_every_call_of_the_api_is_in_the_reference() -> None:
    assert sorted(ordered()) == sorted(document.calls())
    assert set(examples.examples()) == set(document.calls())
