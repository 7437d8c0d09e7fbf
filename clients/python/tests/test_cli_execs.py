"""`mags exec`: what is refused before anything is asked. The server's own tests have real commands."""

from __future__ import annotations

import pytest
from conftest import Command
from fake_server import FakeServer

from mags.cli.execs import command_text
from mags.execmessages import end_result, gap_of, input_lost, is_final, output_of, parting, refusal


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), None),
        (("ls -l | wc",), "ls -l | wc"),
        (("ls", "-l", "a b"), "ls -l 'a b'"),
        (("--", "a b"), "'a b'"),
        (("sh", "--", "x"), "sh -- x"),
    ],
)
def test_what_the_shell_gets(words: tuple[str, ...], text: str | None) -> None:
    assert command_text(words) == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("web", ""), b"The command is empty."),
        (("web", "--"), b"There is no command after --."),
        (("-t", "web", "ls"), b"-t needs a terminal on both sides"),
        (("--timeout", "x", "web", "ls"), b"is not a time"),
        ((), b"Missing argument 'JOB'"),
    ],
)
def test_wrong_usage(mags: Command, server: FakeServer, arguments: tuple[str, ...], words: bytes) -> None:
    done = mags("exec", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert not server.requests


def test_an_unreachable_server(mags: Command) -> None:
    done = mags("exec", "web", "ls", env={"MAGS_API_URL": "http://127.0.0.1:1"})
    assert (done.returncode, b"Cannot reach http://127.0.0.1:1" in done.stderr) == (125, True)


def test_frames() -> None:
    output = output_of(b"\x02" + (2**40).to_bytes(8, "big") + b"data")
    assert (output.stream, output.offset, output.data) == ("stderr", 2**40, b"data")
    gap = gap_of({"stream": 1, "offset": 5, "bytes": 3})
    assert (gap.stream, gap.offset, gap.data, gap.missing_bytes) == ("stdout", 8, b"", 3)
    assert end_result("ab", {"type": "end", "exec_id": "x", "exit_code": 0}) == {
        "exec_id": "ab",
        "exit_code": 0,
    }


def test_who_may_come_back() -> None:
    assert [is_final(code) for code in (4400, 4499, 4008, 4012, 1006, None)] == [True, True] + [False] * 4
    told = {"error": "No.", "code": "no_sandbox", "remediation": "Do."}
    error = refusal(4409, told, "http://x")
    assert (error.status, error.code, str(error), error.remediation) == (409, "no_sandbox", "No.", "Do.")
    assert (refusal(4401, None, "http://x").code, refusal(4404, None, "http://x").code) == (
        "unauthorized", "job_not_found",
    )  # fmt: skip
    assert (parting(None, "http://x").retryable, input_lost().retryable) == (True, False)
