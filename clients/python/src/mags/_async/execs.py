"""Calls about commands in sandboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from mags import execmessages, wire
from mags._async.connection import AsyncConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mags._async.execsession import AsyncExecSession
    from mags.execmessages import Size
    from mags.exectypes import Exec, ExecList, ExecPage, ExecResult

START_WAIT_S = 20.0  # the server waits so long for the sandbox
END_WAIT_S = 24 * 3600.0  # without a timeout: a proxy between would cut it, and the same exec is joined again


class Execs(AsyncConnection):
    """Execute commands in sandboxes, and look at what was executed."""

    async def exec(
        self,
        name_or_id: str,
        command: str | Sequence[str],
        *,
        timeout: int | None = 30,
        environment: Mapping[str, str] | None = None,
    ) -> ExecResult:
        """Execute a command in a job's sandbox, which is woken for it, and return when it has ended.

            result = Mags().exec("web", "ls /root")
            print(result["exit_code"], result["output"])

        A text is for the shell, a list the words of one command. `timeout` (seconds) ends it, with
        `reason` "timed_out" and exit code 124; None lets it run. `truncated_bytes` says how much output
        the answer leaves out: `exec_output` has it.
        """
        body: dict[str, Any] = {"command": execmessages.command_text(command)}
        if timeout is not None:
            body["timeout"] = timeout
        if environment is not None:
            body["environment"] = dict(environment)
        request = wire.execution(
            wire.job_path(name_or_id, "exec"), body, (timeout or END_WAIT_S) + START_WAIT_S
        )
        answer = await self._call(request)
        return cast("ExecResult", {**answer, "output": answer.get("stdout", "")})

    def exec_session(
        self,
        name_or_id: str,
        command: str | Sequence[str] | None = None,
        *,
        stdin: bool = False,
        terminal: Size | None = None,
        timeout: int | None = None,
        environment: Mapping[str, str] | None = None,
        exec_id: str | None = None,
        on_state: Callable[[str], None] | None = None,
    ) -> AsyncExecSession:
        """A command that is followed live; without one a login shell. See `AsyncExecSession`.

            with Mags().exec_session("web", "apt-get update") as session:
                for piece in session:
                    print(piece.stream, piece.data)
            print(session.end["exit_code"])

        With `stdin` it has input: `write` and `eof`. In a `terminal` it has one stream and input.
        """
        from mags._async.execsession import AsyncExecSession  # noqa: PLC0415 - 60 ms that few calls need

        opening: dict[str, Any] = {"command": execmessages.command_text(command), "stdin": stdin}
        if terminal is not None:
            opening["terminal"] = {"rows": terminal.rows, "columns": terminal.columns}
        if timeout is not None:
            opening["timeout"] = timeout
        if environment is not None:
            opening["environment"] = dict(environment)
        return AsyncExecSession(
            self._config,
            name_or_id,
            opening,
            exec_id=exec_id,
            patience_s=(self._retry_for_s, self._reconnect_for_s),
            on_state=on_state,
        )

    async def exec_list(self, name_or_id: str, *, page: int = 1, page_size: int = 20) -> ExecList:
        """What was executed in a job's sandboxes, newest first."""
        query = {"page": page, "page_size": page_size}
        return cast(
            "ExecList", await self._call(wire.Request("GET", wire.job_path(name_or_id, "execs"), query=query))
        )

    async def exec_get(self, name_or_id: str, exec_id: str) -> Exec:
        """One exec: whether it runs, or how it ended."""
        return cast("Exec", await self._call(wire.Request("GET", wire.exec_path(name_or_id, exec_id))))

    async def exec_output(
        self,
        name_or_id: str,
        exec_id: str,
        *,
        stream: Literal["stdout", "stderr"] = "stdout",
        offset: int = 0,
        wait: float | None = None,
    ) -> ExecPage:
        """A stream from `offset` on, at most 1 MiB. The page that completes it has `end`.

        With `wait`, as soon as there is some or it has ended, or after that many seconds.
        """
        seconds = None if wait is None else round(wait, 3)
        query = {"stream": stream, "offset": offset, "wait": seconds}
        path = wire.exec_path(name_or_id, exec_id, "output")
        request = wire.Request("GET", path, query=query, wait_s=wait or 0.0)
        return cast("ExecPage", await self._call(request, is_following=wait is not None))

    async def exec_signal(self, name_or_id: str, exec_id: str, signal: str = "TERM") -> dict[str, Any]:
        """Send a signal to a command's process group; KILL ends all its processes."""
        path = wire.exec_path(name_or_id, exec_id, "signal")
        return await self._call(wire.Request("POST", path, body={"signal": signal}))
