"""Every write to execs."""

from execs.services.records import (
    Command,
    exec_create,
    exec_ended,
    exec_expire,
    exec_forget,
    exec_not_started,
    exec_started,
)
from execs.services.settling import Answer, Question, ask, questions, settle, settle_gone, sweep
from execs.services.startup import exec_startup

__all__ = [
    "Answer",
    "Command",
    "Question",
    "ask",
    "exec_create",
    "exec_ended",
    "exec_expire",
    "exec_forget",
    "exec_not_started",
    "exec_started",
    "exec_startup",
    "questions",
    "settle",
    "settle_gone",
    "sweep",
]
