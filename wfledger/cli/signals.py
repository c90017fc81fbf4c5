"""Being asked to stop: Ctrl-C, SIGTERM and a terminal that goes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Stoppable(Protocol):
    """What can be asked to stop."""

    #: How often it was: 1 for a Ctrl-C, 2 more for what cannot wait.
    stop_requests: int


@contextmanager
def stoppable(what: Stoppable) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP be counted in *what* while the block lasts.

    The handler only counts: it may run while the main thread holds any lock.
    """

    def interrupt(_signal: int, _frame: object) -> None:
        what.stop_requests += 1

    def terminate(_signal: int, _frame: object) -> None:
        what.stop_requests += 2

    wanted = {signal.SIGINT: interrupt, signal.SIGTERM: terminate, signal.SIGHUP: terminate}
    # What is ignored, such as hanging up under nohup, stays ignored.
    wanted = {n: found for n, found in wanted.items() if signal.getsignal(n) is not signal.SIG_IGN}
    before = {number: signal.signal(number, found) for number, found in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and a terminal that goes end the block as Ctrl-C does: nothing stays behind."""
    wanted = [signal.SIGTERM, signal.SIGHUP]
    before = {number: signal.signal(number, signal.default_int_handler) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
