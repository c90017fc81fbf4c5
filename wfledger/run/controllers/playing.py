"""Running scripts where they can do no harm: in a process of their own (WFL-CTRL-096)."""

import json
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from wfledger.errors import BusyError, EnvironmentFailedError
from wfledger.plans.frontends.script_options import Asked
from wfledger.plans.frontends.scripts import HEAP_BYTES, Begins, Past, Played, Script
from wfledger.run.attempts.commanding import tail_of
from wfledger.run.processes import aside
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

_MODULE: Final = "wfledger.run.controllers.player"
#: Scripts that run at the same moment for one ledger on one machine.
AT_ONCE: Final = 4
#: Seconds of computing, and of waiting on a machine that has no time for it.
_CPU_S: Final = 10
_WALL_S: Final = 20.0
#: Bytes of memory that the process may ask the system for, the heap of the script among them.
_MEMORY: Final = 2**29


def play(workspace: Workspace, script: Script, past: Past) -> Played:
    """Run *script* from its start, up to where it waits.

    Raises `BusyError` where as many run already as may, `EnvironmentFailedError` when the process
    cannot be started, which says nothing about the script.
    """
    place = _place(workspace)
    layout = workspace.ledger.layout
    name = f"plays-{workspace.clock.short_id()}"  # others may run the same at this moment
    errand = aside.Errand(
        module=_MODULE, question=_question(script, past), folder=layout.tmp,
        log=layout.tmp / f"{name}.log", tag=name, wall_s=_WALL_S,
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


def _question(script: Script, past: Past) -> bytes:
    asked = {
        "script": asdict(script), "past": asdict(past), "cpu_s": _CPU_S, "memory": _MEMORY,
    }  # fmt: skip
    return json.dumps(asked).encode()


def _read(said: aside.Said) -> Played:
    if said.ended.reason == "wall":
        return Played("threw", message=f"it did not wait for anything within {_WALL_S:g} s")
    if said.is_out_of_time:
        return Played("threw", message=f"it computed for more than {_CPU_S} s")
    if said.ended.signal is not None:
        most = f"its heap has {HEAP_BYTES >> 20} MiB"
        return Played("threw", message=f"its process {said.ended.message}; {most}")
    answer = json.loads(said.answer)
    begins = tuple(Begins(one["number"], Asked(**one["asked"])) for one in answer.pop("begins"))
    return Played(
        **answer | {"digests": tuple(answer["digests"]), "log": tuple(answer["log"])},
        begins=begins,
    )  # fmt: skip
