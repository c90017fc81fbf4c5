"""Torture: a fleet at work in a scratch repository while processes die, stop and find no room.

See `chaos.ordeal` for how it goes, `chaos.injecting` for the faults, `chaos.verdict` for what must
hold.
"""

from contextlib import suppress
from typing import ClassVar, Final

from wfledger.clock import Clock
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.fleet import Fleet, claimer, supervisor
from wfledger.run.chaos.injecting import PAUSE_S, Faults
from wfledger.run.chaos.invariants import Violation, guarded
from wfledger.run.chaos.ordeal import Ordeal, Order, Report, Say, standing
from wfledger.run.chaos.scene import build
from wfledger.run.chaos.verdict import of_damage, violations
from wfledger.run.workspace import Workspace

#: Share of the faults' time that the tasks' work would fill if nothing went wrong.
_FILLED: Final = 0.5
_LONGEST_S: Final = 15.0
#: Least time in which the fleet must come to its end once faults have stopped, and the longest in
#: which no task is finished: a machine that is busy with other work is slow, and no violation.
_CALM_S: Final = 120.0


class Torture(Ordeal):
    """The torture of a ledger that is this machine's alone."""

    pause_s: ClassVar = PAUSE_S
    sample_s: ClassVar = 1.0
    person_s: ClassVar = 6.0

    def __init__(self, order: Order, *, clock: Clock, say: Say) -> None:
        chance = Chance(order.seed)
        mean_s = order.time_s * order.workers / order.tasks * _FILLED
        self._scene = build(
            clock, chance=chance, tasks=order.tasks, mean_s=min(mean_s, _LONGEST_S)
        )
        fleet = Fleet(self._scene, chance)
        faults = Faults(self._scene, fleet, chance, clock=clock)
        super().__init__(Report(order, self._scene.folder), fleet, faults, chance, say=say)
        self._workspace = self._scene.workspace()

    def _enlist(self) -> None:
        order = self._order
        claimers = min(4, order.workers // 4)
        for number, verb in enumerate(order.verbs):
            argv = supervisor(self._scene, workers=max(order.workers - claimers, 1), verb=verb)
            self._fleet.enlist("supervisor", f"{verb}-{number}", argv)
        for number in range(claimers):
            name = f"claimer-{number}"
            self._fleet.enlist("claimer", name, claimer(self._scene, name))

    def _sample(self) -> None:
        """Remember the tip of the ledger's branch, which must never be lost."""
        with suppress(WfledgerError, OSError):
            tip = self._workspace.history.tip()
            if tip is not None:
                self._seen[tip] = None

    def _be_people(self) -> None:
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
        began = self._clock.elapsed()
        self._faults.take_back(at_once=True)
        (self._scene.notes / "calm").touch()
        self._report.violations += guarded("doctor", of_damage(self._scene))
        until, most = began + max(_CALM_S, 0.5 * self._order.tasks), self._report.done
        while self._clock.elapsed() < until and not self._is_done():
            self._turn()
            if self._is_due("doctor", 3 * self.person_s):
                self._help("doctor", "--fix")
            self._progress("calm")
            if self._report.done > most:
                most, until = self._report.done, max(until, self._clock.elapsed() + _CALM_S)
        self._report.calm_s = self._clock.elapsed() - began
        self._let_go()

    def _is_enough(self) -> bool:
        return self._is_done()

    def _is_done(self) -> bool:
        """Whether every task is done; looked at once a second."""
        if not self._is_due("count", self.sample_s):
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
        self._repair([scene])
        report.violations += violations(scene, seen=self._seen)
        report.violations += [Violation("defect", "process", text) for text in self._fleet.odd]
        workspace = scene.workspace()
        report.done = len(self._done(workspace))
        report.attempts = sum(
            task.attempt for task in workspace.ledger.tasks(Status.DONE, run=scene.run)
        )

    def _remove(self) -> None:
        self._scene.remove()

    def _standing(self) -> str:
        return standing(self._workspace.ledger, self._scene.run)
