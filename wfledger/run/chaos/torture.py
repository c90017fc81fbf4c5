"""Torture: a fleet at work in a scratch repository while processes die, stop and find no room.

Faults for a while, then calm in which the fleet has to come to its end, then the verdict
(`chaos.verdict`). Nothing of the user's is touched: see `chaos.scene`.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.fleet import Fleet, claimer, supervisor
from wfledger.run.chaos.hubs import Kind
from wfledger.run.chaos.injecting import PAUSE_S, Faults
from wfledger.run.chaos.invariants import Violation, guarded
from wfledger.run.chaos.scene import build
from wfledger.run.chaos.verdict import of_damage, repair, violations
from wfledger.run.processes.proctree import become_subreaper
from wfledger.run.workspace import Workspace

_TURN_S: Final = 0.05
_PERSON_S: Final = 6.0
_SAMPLE_S: Final = 1.0
_SAY_S: Final = 5.0
#: Share of the faults' time that the tasks' work would fill if nothing went wrong.
_FILLED: Final = 0.5
_LONGEST_S: Final = 15.0
#: Least time in which the fleet must come to its end once faults have stopped, and the longest in
#: which no task is finished: a machine that is busy with other work is slow, and no violation.
_CALM_S: Final = 120.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What kind of torture is wanted."""

    time_s: float
    workers: int
    tasks: int
    seed: int
    #: Verbs that supervise here; each gives one process, `run` at least one.
    verbs: tuple[str, ...] = ("run", "run")
    keep: bool = False
    #: Machines that share the ledger; 0: it has no remote. By which server they do.
    clones: int = 0
    server: Kind = "path"


@dataclass
class Report:
    """What a torture came to."""

    order: Order
    folder: Path
    violations: list[Violation] = field(default_factory=list)
    faults: "Counter[str]" = field(default_factory=Counter)
    missed: "Counter[str]" = field(default_factory=Counter)
    ended: "Counter[str]" = field(default_factory=Counter)
    #: What a person had to do meanwhile: verbs, and repairs.
    helped: "Counter[str]" = field(default_factory=Counter)
    done: int = 0
    attempts: int = 0
    #: Seconds of faults, and until everything was done afterwards.
    storm_s: float = 0.0
    calm_s: float = 0.0
    kept: bool = False
    #: Of many machines: what their history came to, how soon they agreed.
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `torture --json` prints."""
        order = self.order
        return {
            "ok": not self.violations,
            "seed": order.seed,
            "workers": order.workers,
            "tasks": order.tasks,
            "done": self.done,
            "attempts": self.attempts,
            "storm_s": round(self.storm_s, 1),
            "calm_s": round(self.calm_s, 1),
            "faults": dict(sorted(self.faults.items())),
            "missed": dict(sorted(self.missed.items())),
            "ended": dict(sorted(self.ended.items())),
            "helped": dict(sorted(self.helped.items())),
            "violations": [one.as_json() for one in self.violations],
            "folder": str(self.folder) if self.kept else None,
            **({"clones": order.clones, "server": order.server, "figures": self.figures}
               if order.clones else {}),
        }


class Torture:
    """One torture, from the making of its scratch repository to the verdict."""

    def __init__(self, order: Order, *, clock: Clock, say: Say) -> None:
        self._order = order
        self._clock = clock
        self._say = say
        self._chance = Chance(order.seed)
        mean_s = order.time_s * order.workers / order.tasks * _FILLED
        self._scene = build(
            clock, chance=self._chance, tasks=order.tasks, mean_s=min(mean_s, _LONGEST_S)
        )
        self._fleet = Fleet(self._scene, self._chance)
        self._faults = Faults(self._scene, self._fleet, self._chance)
        self._report = Report(order, self._scene.folder)
        self._workspace = self._scene.workspace()
        self._seen: dict[str, None] = {}
        self._due: dict[str, float] = {}
        self._began = clock.elapsed()

    @property
    def folder(self) -> Path:
        """Where everything lies."""
        return self._scene.folder

    def carry_out(self) -> Report:
        """Do all of it; returns with nothing of the torture running any more.

        The folder is removed unless something was found, or it was to be kept; also when somebody
        interrupts it.
        """
        become_subreaper()
        kept = self._order.keep
        try:
            self._enlist()
            self._storm()
            self._calm()
            self._judge()
            kept |= bool(self._report.violations)
        except Exception:
            kept = True  # what it could not look at is what somebody has to look at
            raise
        finally:
            self._faults.take_back(at_once=True)
            self._fleet.dismiss()
            self._finish(kept=kept)
        return self._report

    def _enlist(self) -> None:
        order = self._order
        claimers = min(4, order.workers // 4)
        for number, verb in enumerate(order.verbs):
            argv = supervisor(self._scene, workers=max(order.workers - claimers, 1), verb=verb)
            self._fleet.enlist("supervisor", f"{verb}-{number}", argv)
        for number in range(claimers):
            name = f"claimer-{number}"
            self._fleet.enlist("claimer", name, claimer(self._scene, name))

    # -- faults ------------------------------------------------------------------------------------

    def _storm(self) -> None:
        began = self._clock.elapsed()
        until, next_fault = began + self._order.time_s, began + PAUSE_S[1]
        while self._clock.elapsed() < until and not self._is_done():
            self._turn()
            if self._clock.elapsed() >= next_fault:
                self._faults.do()
                next_fault = self._clock.elapsed() + self._chance.between(*PAUSE_S)
            self._progress("faults")
        self._report.storm_s = self._clock.elapsed() - began

    def _turn(self) -> None:
        self._faults.take_back()
        self._fleet.look_after()
        if self._is_due("sample", _SAMPLE_S):
            self._sample()
        if self._is_due("person", _PERSON_S):
            self._be_a_person()
        self._clock.wait(_TURN_S)

    def _is_due(self, name: str, every_s: float) -> bool:
        now = self._clock.elapsed()
        if now < self._due.get(name, 0.0):
            return False
        self._due[name] = now + every_s
        return True

    def _sample(self) -> None:
        """Remember the tip of the ledger's branch, which must never be lost."""
        with suppress(WfledgerError, OSError):
            tip = self._workspace.history.tip()
            if tip is not None:
                self._seen[tip] = None

    def _be_a_person(self) -> None:
        """Give the commands that blocked tasks ask for, as somebody who watches would."""
        with suppress(WfledgerError, OSError):
            for name in self._workspace.ledger.names(Status.BLOCKED, run=self._scene.run):
                self._help("retry", name)

    def _help(self, *args: str) -> int:
        status, said = self._scene.verb(*args)
        self._report.helped[f"{args[0]} {status}"] += 1
        if status not in {0, 1, 4, 75}:
            self._say(f"wfledger {' '.join(args)} ended with {status}: {said.get('message')}")
        return status

    # -- calm --------------------------------------------------------------------------------------

    def _calm(self) -> None:
        """Let the fleet come to its end without faults; what it cannot is left to the verdict."""
        began = self._clock.elapsed()
        self._faults.take_back(at_once=True)
        (self._scene.notes / "calm").touch()
        self._report.violations += guarded("doctor", of_damage(self._scene))
        until, most = began + max(_CALM_S, 0.5 * self._order.tasks), self._report.done
        while self._clock.elapsed() < until and not self._is_done():
            self._turn()
            if self._is_due("doctor", 3 * _PERSON_S):
                self._help("doctor", "--fix")
            self._progress("calm")
            if self._report.done > most:
                most, until = self._report.done, max(until, self._clock.elapsed() + _CALM_S)
        self._report.calm_s = self._clock.elapsed() - began
        self._let_go()

    def _let_go(self) -> None:
        """Wait until everybody has gone: nothing is left to do, and the daemon is told to go."""
        self._fleet.wind_up()
        until = self._clock.elapsed() + 40.0
        while any(self._fleet.running().values()) and self._clock.elapsed() < until:
            self._fleet.look_after()
            self._clock.wait(_TURN_S)
        for kind, found in self._fleet.running().items():
            pids = ", ".join(str(one.pid) for one in found)
            self._report.violations.append(
                Violation("orphan", kind, f"does not end, though it was told to: {pids}")
            )

    def _is_done(self) -> bool:
        """Whether every task is done; looked at once a second."""
        if not self._is_due("count", _SAMPLE_S):
            return False
        with suppress(OSError):
            self._report.done = len(self._done(self._workspace))
        return self._report.done == len(self._scene.jobs)

    def _done(self, workspace: Workspace) -> set[str]:
        return set(self._scene.jobs) & set(
            workspace.ledger.names(Status.DONE, run=self._scene.run)
        )

    # -- the verdict -------------------------------------------------------------------------------

    def _judge(self) -> None:
        report, scene = self._report, self._scene
        self._say("checking what must hold")
        for said in repair(scene):
            report.helped[f"repaired: {said.rpartition(': ')[2]}"] += 1
        report.violations += violations(scene, seen=self._seen)
        report.violations += [Violation("defect", "process", text) for text in self._fleet.odd]
        workspace = scene.workspace()
        report.done = len(self._done(workspace))
        report.attempts = sum(
            task.attempt for task in workspace.ledger.tasks(Status.DONE, run=scene.run)
        )

    def _finish(self, *, kept: bool) -> None:
        report = self._report
        report.faults, report.missed = self._faults.counts, self._faults.missed
        report.ended = self._fleet.ended
        report.kept = kept
        if not kept:
            self._scene.remove()

    def _progress(self, phase: str) -> None:
        if not self._is_due("say", _SAY_S):
            return
        ledger = self._workspace.ledger
        with suppress(OSError):
            counts = {s.value: len(ledger.names(s, run=self._scene.run)) for s in Status}
            shown = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            kills = sum(n for name, n in self._faults.counts.items() if name.startswith("kill"))
            seconds = self._clock.elapsed() - self._began
            faults = sum(self._faults.counts.values())
            self._say(f"{seconds:5.0f} s {phase}: {shown}; {faults} faults, {kills} of them kills")
