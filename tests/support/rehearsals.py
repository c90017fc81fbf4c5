"""Scripted model servers for tests, closed again at the end of the test."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

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
