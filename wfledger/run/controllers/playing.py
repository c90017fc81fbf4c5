"""Running scripts where they can do no harm: in a process of their own (WFL-CTRL-096)."""

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from wfledger.core.documents import Task, TaskSpec
from wfledger.errors import BusyError, EnvironmentFailedError
from wfledger.plans.frontends.scripts import HEAP_BYTES, Delivery, Script
from wfledger.run.attempts.commanding import tag_for, tail_of
from wfledger.run.processes import aside
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

_MODULE: Final = "wfledger.run.controllers.player"
#: Scripts that run at the same moment for one ledger on one machine.
AT_ONCE: Final = 4
#: Seconds of computing, and of waiting on a machine that has no time for it.
_CPU_S: Final = 10
_WALL_S: Final = 60.0
#: Bytes of memory that the process may ask the system for, the heap of the script among them.
_MEMORY: Final = 2**29


@dataclass(frozen=True)
class Step:
    """What has been recorded of a script, and how many tasks it may begin now."""

    script: Script
    deliveries: Sequence[Delivery]
    known: Sequence[str]
    begun: int
    room: int


@dataclass(frozen=True)
class Begun:
    """A call that begins: its number, what the ledger is given, and its label."""

    number: int
    spec: TaskSpec
    label: str


@dataclass(frozen=True)
class Told:
    """How far a script has come (`plans.frontends.scripts.Played`)."""

    state: str
    digests: tuple[str, ...] = ()
    begins: tuple[Begun, ...] = ()
    value: Any = None
    message: str = ""
    log: tuple[str, ...] = ()
    phase: str = ""


def play(workspace: Workspace, task: Task, step: Step) -> Told:
    """Run the script of the controller *task* from its start, up to where it waits.

    Raises `BusyError` where as many run already as may, `EnvironmentFailedError` when the process
    cannot be started, which says nothing about the script.
    """
    place = _place(workspace)
    layout = workspace.ledger.layout
    name = f"{layout.attempt_name(task.id, task.attempt)}.plays"
    errand = aside.Errand(
        module=_MODULE, question=_question(step), folder=layout.tmp,
        log=layout.tmp / f"{name}.log", tag=tag_for(workspace, name), wall_s=_WALL_S,
    )  # fmt: skip
    try:
        said = aside.ask(errand, stop=threading.Event(), clock=workspace.clock)
        return _read(said)
    except (ValueError, KeyError, TypeError):
        why = f"{said.ended.message}: {tail_of(errand.log)}"
        raise EnvironmentFailedError(f"a script could not be run: {why}") from None
    finally:
        place.release()
        errand.log.unlink(missing_ok=True)


def _place(workspace: Workspace) -> LiveLock:
    folder = workspace.ledger.layout.local / "live"
    for number in range(AT_ONCE):
        with suppress(BusyError):
            return LiveLock(folder / f"script-{number}", within_s=0)
    raise BusyError(f"{AT_ONCE} scripts run already", lock="script")


def _question(step: Step) -> bytes:
    asked: Mapping[str, Any] = {"step": asdict(step), "cpu_s": _CPU_S, "memory": _MEMORY}
    return json.dumps(asked).encode()


def _read(said: aside.Said) -> Told:
    if said.ended.reason == "wall":
        return Told("threw", message=f"it did not wait for anything within {_WALL_S:g} s")
    if said.is_out_of_time:
        return Told("threw", message=f"it computed for more than {_CPU_S} s")
    if said.ended.signal is not None:
        most = f"its heap has {HEAP_BYTES >> 20} MiB"
        return Told("threw", message=f"its process {said.ended.message}; {most}")
    answer = json.loads(said.answer)
    begins = tuple(
        Begun(one["number"], TaskSpec.model_validate_json(json.dumps(one["spec"])), one["label"])
        for one in answer.pop("begins")
    )
    return Told(
        **answer | {"digests": tuple(answer["digests"]), "log": tuple(answer["log"])},
        begins=begins,
    )  # fmt: skip
