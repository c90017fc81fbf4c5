"""Scripted model servers for tests, and the adapter of a small agent of our own."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support import scripted_agent
from wfledger.run.rehearsal.script import Script, Turn
from wfledger.run.rehearsal.server import Rehearsal


class Rehearse(Protocol):
    """Starts a scripted server."""

    def __call__(self, *turns: Turn, script: Script | None = None) -> Rehearsal:
        """Return a server that says *turns* and then plays prompts, or what *script* says."""
        ...


@pytest.fixture
def rehearse() -> Iterator[Rehearse]:
    """Start scripted servers, each closed at the end of the test."""
    with ExitStack() as stack:

        def start(*turns: Turn, script: Script | None = None) -> Rehearsal:
            return stack.enter_context(Rehearsal(script or Script(turns)))

        yield start


def agent(habit: str = "good") -> dict[str, Any]:
    """Return the adapter of our own small agent, with one of its habits, as a table."""
    start = [sys.executable, scripted_agent.__file__, "{+server}", "{+model}"]
    return {
        "title": "an agent of the tests",
        "argv": [*start, habit, "{prompt}"],
        "resume": [*start, "--session", "{session}", habit, "{prompt}"],
        "stream": "jsonl", "dialects": ["chat"], "key": "AGENT_KEY",
        "args": {"server": ["--base-url", "{base_url}"], "model": ["--model", "{model}"]},
        "home": {"AGENT_HOME": ".agent"},
        "end": {
            "ok": [{"type": "done"}], "failed": [{"type": "failed"}],
            "message": [{"at": "message"}], "status": [{"at": "status"}],
            "session": [{"at": "id", "when": {"type": "session"}}],
        },
        "errors": [{"match": "connection lost", "kind": "transport"}],
        "resume_wait": 0.05,
        "usage": {"when": {"type": "done"}, "input": "usage.input", "output": "usage.output"},
    }  # fmt: skip


def allow_unsandboxed(home: Path) -> None:
    """Let this machine run agents of tests without a sandbox, as a person may."""
    folder = home / ".config" / "wfledger"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "machine.toml").write_text("allow_unsandboxed = true\n")
