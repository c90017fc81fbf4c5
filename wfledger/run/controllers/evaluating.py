"""Working expressions out where they can do no harm: in a process of their own (WFL-EXPR-030)."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from wfledger.errors import EnvironmentFailedError
from wfledger.run.attempts.commanding import tail_of
from wfledger.run.processes import aside
from wfledger.run.workspace import Workspace

_MODULE: Final = "wfledger.run.controllers.evaluator"
#: Seconds of computing, and of waiting on a machine that has no time for it.
_CPU_S: Final = 2
_WALL_S: Final = 10.0
#: Bytes of memory that it may ask the system for.
_MEMORY: Final = 2**29


@dataclass(frozen=True)
class Worth:
    """What an expression comes to: a JSON value."""

    value: Any


@dataclass(frozen=True)
class Trouble:
    """Why an expression comes to nothing; `unresolved`: it names what is not there."""

    kind: Literal["unresolved", "expression"]
    reason: str


def work_out(workspace: Workspace, text: str, variables: Mapping[str, Any]) -> Worth | Trouble:
    """Return what *text*, an expression, comes to.

    Raises `EnvironmentFailedError` when the process cannot be started, which says nothing about
    the expression.
    """
    layout = workspace.ledger.layout
    asked = {"text": text, "variables": variables, "cpu_s": _CPU_S, "memory": _MEMORY}
    name = f"asks-{workspace.clock.short_id()}"  # others may ask the same at this moment
    errand = aside.Errand(
        module=_MODULE, question=json.dumps(asked).encode(), folder=layout.tmp,
        log=layout.tmp / f"{name}.log", tag=name, wall_s=_WALL_S,
    )  # fmt: skip
    said = aside.ask(errand, stop=threading.Event(), clock=workspace.clock)
    try:
        return _read(said)
    except (ValueError, KeyError, TypeError):
        why = f"{said.ended.message}: {tail_of(errand.log)}"
        raise EnvironmentFailedError(f"an expression could not be worked out: {why}") from None
    finally:
        errand.log.unlink(missing_ok=True)


def _read(said: aside.Said) -> Worth | Trouble:
    if said.ended.reason == "wall":
        return Trouble("expression", f"there was no answer within {_WALL_S:g} s")
    if said.is_out_of_time:
        return Trouble("expression", f"there was no answer within {_CPU_S} s of computing")
    if said.ended.signal is not None:
        most = f"it may take {_MEMORY >> 20} MiB of memory"
        return Trouble("expression", f"its process {said.ended.message}; {most}")
    answer = json.loads(said.answer)
    if "kind" in answer:
        return Trouble(answer["kind"], answer["reason"])
    return Worth(answer["value"])
