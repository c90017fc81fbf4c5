"""Checking the text of a plan, whatever language it is in: what has to be evaluated is, elsewhere.

A Starlark plan is somebody's program. It is evaluated in a process of its own that has little time
and memory, no file, and nothing of the environment; whatever it does, an error comes of it.
"""

import json
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.plans.checking import Checked, check_text
from wfledger.plans.frontends import starlark
from wfledger.plans.frontends.fronts import Evaluated
from wfledger.plans.problems import Problem

_MODULE: Final = "wfledger.run.starlarking"
#: Seconds of computing, of waiting on a machine that has no time for it, and bytes of memory.
CPU_S: Final = 3
_WALL_S: Final = 60.0
_MEMORY: Final = 2**29


def check_plan(text: bytes, source: str, *, lenient: bool = False, clock: Clock) -> Checked:
    """Check a plan's text; never raises for what the text holds."""
    return check_text(
        text, source, lenient=lenient, evaluate=lambda plan, name: evaluate(plan, name, clock)
    )


def evaluate(text: str, source: str, clock: Clock) -> Evaluated:
    """Evaluate a Starlark text; what goes wrong is a problem."""
    if not starlark.is_installed():
        return Evaluated(problem=starlark.missing())
    from wfledger.run.processes import aside

    asked = {"text": text, "source": source, "cpu_s": CPU_S, "memory": _MEMORY}
    with tempfile.TemporaryDirectory(prefix="wfledger-") as folder:
        errand = aside.Errand(
            module=_MODULE, question=json.dumps(asked).encode(), folder=Path(folder),
            log=Path(folder) / "log", tag=f"starlark:{clock.short_id()}", wall_s=_WALL_S,
        )  # fmt: skip
        said = aside.ask(errand, stop=threading.Event(), clock=clock)
    try:
        return _read(json.loads(said.answer))
    except (ValueError, KeyError, TypeError):
        most = f"it may compute for {CPU_S} s and use {_MEMORY >> 20} MiB of memory"
        message = f"the plan could not be evaluated: its process {said.ended.message}; {most}"
        return Evaluated(problem=Problem("evaluation_limit", message, ""))


def _read(answer: dict[str, Any]) -> Evaluated:
    problem = answer["problem"]
    if problem is not None:
        return Evaluated(problem=Problem(**problem))
    return Evaluated(answer["document"], repaired=answer["repaired"])
