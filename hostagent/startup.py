"""Keeps the startup command of one held sandbox running: as an exec of the data port, which a restart of this
agent does not end and never starts twice, for each try has an id that follows from sandbox and number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid5

import msgspec

from execwire.frames import Open, Outcome
from hostagent import control, machine, startupwire
from hostagent.backoff import jitter
from hostagent.errors import AgentError
from hostagent.heldwire import StartupEnd, StartupReport, StartupWish
from hostagent.holdings import Holding, StartupTry
from hostagent.startupwire import Answer, Ended, Refused, StartOrder
from hostagent.waiting import first

EXEC_IDS = UUID("7d0c5a0e-6d0b-4b0e-9d3c-6f6d61677331")
START_S = 60.0  # for what takes milliseconds: a second order would wait for the first anyway

# After a failed try: 1 2 4 8 16 32 60 60 ... s, each drawn from its upper half; a server that died because
# another one was away for a moment is back in a second, one that cannot run costs a start a minute.
AGAIN_LIMIT_S = 60.0
LASTING_MS = 60_000  # who ran for so long begins with 1 s again
KEPT_TRIES = 3  # whose output is kept

# Until the data port is asked again, where it is away or the sandbox sleeps: 0.5 1 2 4 ... s
ASK_FIRST_S, ASK_LIMIT_S = 0.5, 8.0

_ENDS: dict[Outcome, StartupEnd] = {
    Outcome.EXITED: "exited",
    Outcome.SIGNALED: "signaled",
    Outcome.TIMED_OUT: "timed_out",
    Outcome.OOM: "oom",
    Outcome.KILLED: "signaled",
    Outcome.LOST: "lost",
}


class Startup:
    def __init__(
        self,
        state_dir: Path,
        holding: Holding,
        tell: Callable[[StartupReport], None],
        log: Any,
    ) -> None:
        self._port = state_dir / control.DATA_PORT
        self._holding = holding
        self._tell = tell
        self._log = log
        self._stirred = asyncio.Event()

    def stir(self) -> None:
        """The sandbox was woken: who did that may wait for what the command serves."""
        self._stirred.set()

    async def run(self) -> None:
        """Until it has ended by itself with 0: it has done its work, or left a daemon."""
        wish = self._holding.record.wish.startup
        while wish is not None:
            try:
                return await self._supervise(wish)
            except OSError as error:  # a full disk, for one: nothing is done that was not noted
                self._log.warning("startup_not_noted", error=str(error))
                await asyncio.sleep(jitter(ASK_LIMIT_S))
        return None

    async def _supervise(self, wish: StartupWish) -> None:
        while True:
            end = self._try.end or await self._one_try(wish)
            self._tell(end)
            if end.again_s is None:
                return
            left_s = end.again_s - (machine.now_ms() - end.at) / 1000
            await asyncio.sleep(max(0.0, min(left_s, end.again_s)))  # clocks are set back now and then
            self._note(StartupTry(self._try.number + 1, self._try.failures))

    @property
    def _try(self) -> StartupTry:
        return self._holding.record.startup or StartupTry()

    def _note(self, try_: StartupTry) -> None:
        self._holding.record.startup = try_
        self._holding.write()

    async def _one_try(self, wish: StartupWish) -> StartupReport:
        if not self._try.started_at:
            refused = await self._start(wish)
            if refused is not None:
                self._log.warning("startup_not_started", attempt=self._try.number, error=refused.error)
                return self._ended("not_started", None, machine.now_ms())
            self._note(msgspec.structs.replace(self._try, started_at=machine.now_ms()))
            self._log.info("startup_started", attempt=self._try.number)
        self._tell(self._report("started", self._try.started_at))
        answer = await self._end()
        if isinstance(answer, Refused):  # it is not known any more
            return self._ended("lost", None, machine.now_ms())
        return self._ended(_ENDS[answer.outcome], answer.exit_code, answer.at_ms)

    async def _start(self, wish: StartupWish) -> Refused | None:
        order = msgspec.json.encode(self._order(wish)).decode()
        answer = await self._ask(f"start {self._sandbox_id} {order}", START_S)
        return answer if isinstance(answer, Refused) else None

    def _order(self, wish: StartupWish) -> StartOrder:
        number = self._try.number
        command = wish.command.encode()
        opening = Open(self._exec_id(number), command=command, environment=wish.environment)
        previous = self._exec_id(number - 1) if number > 1 else None
        forget = self._exec_id(number - KEPT_TRIES) if number > KEPT_TRIES else None
        return StartOrder(opening, previous, forget)

    async def _end(self) -> Ended | Refused:
        timeout_s = startupwire.END_WAIT_S + control.ANSWER_S
        while True:
            command = f"end {self._sandbox_id} {self._exec_id(self._try.number)}"
            answer = await self._ask(command, timeout_s)
            if isinstance(answer, Ended | Refused):
                return answer

    async def _ask(self, command: str, timeout_s: float) -> Answer:
        """Again and again, where the data port is away or the sandbox sleeps."""
        span_s, known = ASK_FIRST_S, ""
        while True:
            self._stirred.clear()
            try:
                answer = startupwire.answer_of(await control.ask(self._port, f"exec {command}", timeout_s))
                if not isinstance(answer, Refused) or answer.code not in startupwire.NOT_NOW:
                    return answer
                why = answer.error
            except (AgentError, ValueError) as error:
                why = str(error)
            if why != known:
                self._log.warning("startup_waits", attempt=self._try.number, why=why)
            await first(self._stirred, timeout_s=jitter(span_s))
            span_s, known = min(2 * span_s, ASK_LIMIT_S), why

    def _ended(self, reason: StartupEnd, exit_code: int | None, at_ms: int) -> StartupReport:
        is_done = reason == "exited" and exit_code == 0
        is_lasting = 0 < self._try.started_at <= at_ms - LASTING_MS
        failures = 1 if is_lasting else self._try.failures + 1
        again_s = None if is_done else round(jitter(min(2.0 ** min(failures - 1, 16), AGAIN_LIMIT_S)), 3)
        end = msgspec.structs.replace(
            self._report("exited", at_ms), reason=reason, exit_code=exit_code, again_s=again_s
        )
        self._note(msgspec.structs.replace(self._try, failures=failures, end=end))
        self._log.info("startup_ended", attempt=end.attempt, reason=reason, code=exit_code, again_s=again_s)
        return end

    def _report(self, state: Literal["started", "exited"], at_ms: int) -> StartupReport:
        number = self._try.number
        epoch = self._holding.record.wish.epoch
        return StartupReport(self._sandbox_id, epoch, at_ms, self._exec_id(number), number, state)

    def _exec_id(self, number: int) -> str:
        return uuid5(EXEC_IDS, f"{self._sandbox_id}.{number}").hex

    @property
    def _sandbox_id(self) -> str:
        return self._holding.record.sandbox_id
