"""Named points at which a test may stop, break or kill the program.

`point("ledger.move.after-rename")` does nothing unless the environment variable `WFLEDGER_FAULTS`
was set when this module was imported. The variable holds one or more orders, separated by `;`:

    kill:NAME[:N]       SIGKILL to this process at the Nth time that NAME is reached (default 1)
    raise:NAME[:N]      OSError EIO at the Nth time
    pause:NAME:PATH     at the first time, one byte to the FIFO PATH.reached, then wait for one
                        byte (or end of file) from the FIFO PATH.go
    trace:NAME:PATH     append the name of each point reached to the file PATH

The name `*` stands for every point, so `kill:*:7` dies at the seventh point passed. Modules name
their points with `register`, from which crash tests are generated, and call `faults.point` through
the module, so that a test may replace it.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

VARIABLE: Final = "WFLEDGER_FAULTS"
_ANY: Final = "*"
_ACTIONS: Final = frozenset({"kill", "raise", "pause", "trace"})
_REGISTERED: Final[set[str]] = set()


def register(*names: str) -> None:
    """Declare the fault points of a module, once, at its top level."""
    _REGISTERED.update(names)


def names() -> tuple[str, ...]:
    """Return every fault point of the modules imported so far, sorted."""
    return tuple(sorted(_REGISTERED))


@dataclass
class _Order:
    """One instruction of the variable; `hits` counts how often its point was reached."""

    action: str
    name: str
    at: int = 1
    path: str = ""
    hits: int = 0


@dataclass
class Plan:
    """The orders of one process. Thread-safe: two threads never share a hit."""

    orders: list[_Order]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, name: str) -> None:
        """Carry out what is ordered for *name*; a name that nobody registered is a bug."""
        if name not in _REGISTERED:
            raise LookupError(f"fault point {name!r} is not registered")
        for order in self.orders:
            if order.name in {name, _ANY} and self._due(order):
                _carry_out(order, name)

    def _due(self, order: _Order) -> bool:
        with self._lock:
            order.hits += 1
            return order.action == "trace" or order.hits == order.at


def parse(text: str) -> Plan:
    """Read the value of the variable; raises ValueError with the order that is wrong."""
    return Plan([_parse_order(part.strip()) for part in text.split(";") if part.strip()])


def _parse_order(text: str) -> _Order:
    action, _, rest = text.partition(":")
    name, _, argument = rest.partition(":")
    if action not in _ACTIONS or not name:
        raise ValueError(f"{VARIABLE}: {text!r} is not ACTION:NAME[:ARGUMENT]")
    if action in {"pause", "trace"}:
        if not argument:
            raise ValueError(f"{VARIABLE}: {text!r} needs a path")
        return _Order(action, name, path=argument)
    if argument and not (argument.isdecimal() and int(argument) > 0):
        raise ValueError(f"{VARIABLE}: {argument!r} in {text!r} is not a count")
    return _Order(action, name, at=int(argument or 1))


def _carry_out(order: _Order, name: str) -> None:
    match order.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise OSError(errno.EIO, f"fault ordered at {name}")
        case "pause":
            Path(f"{order.path}.reached").write_bytes(b"r")
            with Path(f"{order.path}.go").open("rb", buffering=0) as go:
                go.read(1)
        case _:
            with Path(order.path).open("ab", buffering=0) as trace:
                trace.write(f"{name}\n".encode())


def _nothing(name: str) -> None:
    """Do nothing; what `point` is outside of tests."""


def armed(text: str) -> Callable[[str], None]:
    """Return the `point` that belongs to *text*, the trivial one where it is empty."""
    return parse(text).reach if text else _nothing


#: Mark a place that tests may break. Costs one empty call unless the variable is set.
point: Final[Callable[[str], None]] = armed(os.environ.get(VARIABLE, ""))
