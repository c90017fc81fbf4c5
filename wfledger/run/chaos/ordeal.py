"""What every torture goes through: faults for a while, calm in which all ends, and the verdict.

`chaos.torture` is that of one ledger, `chaos.machines` that of many machines that share one.
Nothing of the user's is touched: see `chaos.scene`.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from wfledger.core.statuses import Status
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.fleet import Fleet
from wfledger.run.chaos.hubs import Kind
from wfledger.run.chaos.invariants import Violation
from wfledger.run.chaos.scene import Scene
from wfledger.run.chaos.toll import Toll
from wfledger.run.chaos.verdict import repair
from wfledger.run.processes.proctree import become_subreaper
from wfledger.store.ledger import Ledger

_TURN_S: Final = 0.05
_SAY_S: Final = 5.0
#: Longest wait for everybody to go.
_END_S: Final = 40.0

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


class Ordeal(ABC):
    """One torture, from the making of its scene to the verdict."""

    #: Seconds between two faults, between two looks at what must never be lost, and between two
    #: things that people do.
    pause_s: ClassVar[tuple[float, float]]
    sample_s: ClassVar[float]
    person_s: ClassVar[float]

    def __init__(
        self, report: Report, fleet: Fleet, faults: Toll, chance: Chance, *, say: Say
    ) -> None:
        self._report = report
        self._order = report.order
        self._fleet = fleet
        self._faults = faults
        self._chance = chance
        self._clock = faults.clock
        self._say = say
        #: Tips of the ledger that somebody took for confirmed, which must never be lost.
        self._seen: dict[str, None] = {}
        self._due: dict[str, float] = {}
        self._began = self._clock.elapsed()

    @property
    def folder(self) -> Path:
        """Where everything lies."""
        return self._report.folder

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
            self._end()
            self._finish(kept=kept)
        return self._report

    def _end(self) -> None:
        """Let nothing of the torture run any more."""
        self._faults.take_back(at_once=True)
        self._fleet.dismiss()

    def _finish(self, *, kept: bool) -> None:
        report = self._report
        report.faults, report.missed = self._faults.counts, self._faults.missed
        report.ended = self._fleet.ended
        report.kept = kept
        if not kept:
            self._remove()

    # -- what differs ----------------------------------------------------------------------------

    @abstractmethod
    def _enlist(self) -> None:
        """Let the fleet begin."""

    @abstractmethod
    def _sample(self) -> None:
        """Remember what is confirmed."""

    @abstractmethod
    def _be_people(self) -> None:
        """Give the commands that people would give."""

    @abstractmethod
    def _calm(self) -> None:
        """Let the fleet come to its end without faults; what it cannot is left to the verdict."""

    @abstractmethod
    def _judge(self) -> None:
        """Check what must hold."""

    @abstractmethod
    def _remove(self) -> None:
        """Remove the folder."""

    def _is_enough(self) -> bool:
        """Whether faults are to end before their time."""
        return False

    # -- what is the same ------------------------------------------------------------------------

    def _storm(self) -> None:
        began = self._clock.elapsed()
        until, next_fault = began + self._order.time_s, began + self.pause_s[1]
        while self._clock.elapsed() < until and not self._is_enough():
            self._turn()
            if self._clock.elapsed() >= next_fault:
                self._faults.do()
                next_fault = self._clock.elapsed() + self._chance.between(*self.pause_s)
            self._progress("faults")
        self._report.storm_s = self._clock.elapsed() - began

    def _turn(self) -> None:
        self._faults.take_back()
        self._fleet.look_after()
        if self._is_due("sample", self.sample_s):
            self._sample()
        if self._is_due("person", self.person_s):
            self._be_people()
        self._clock.wait(_TURN_S)

    def _is_due(self, name: str, every_s: float) -> bool:
        now = self._clock.elapsed()
        if now < self._due.get(name, 0.0):
            return False
        self._due[name] = now + every_s
        return True

    def _let_go(self) -> None:
        """Wait until everybody has gone: nothing is left to do, and daemons are told to go."""
        self._fleet.wind_up()
        until = self._clock.elapsed() + _END_S
        while any(self._fleet.running().values()) and self._clock.elapsed() < until:
            self._fleet.look_after()
            self._clock.wait(_TURN_S)
        for kind, found in self._fleet.running().items():
            pids = ", ".join(f"{one.pid} ({command_of(one.pid)})" for one in found)
            self._report.violations.append(
                Violation("orphan", kind, f"does not end, though it was told to: {pids}")
            )

    def _repair(self, scenes: Iterable[Scene]) -> None:
        """Have `doctor --fix` mend what faults have left, and count it."""
        self._say("checking what must hold")
        for scene in scenes:
            for said in repair(scene):
                self._report.helped[f"repaired: {said.rpartition(': ')[2]}"] += 1

    def _progress(self, phase: str) -> None:
        if self._is_due("say", _SAY_S):
            with suppress(OSError):
                seconds = self._clock.elapsed() - self._began
                self._say(f"{seconds:5.0f} s {phase}: {self._standing()}; {self._so_far()}")

    @abstractmethod
    def _standing(self) -> str:
        """Return how many tasks there are of each status; raises `OSError`."""

    def _so_far(self) -> str:
        faults = self._faults.counts
        kills = sum(count for name, count in faults.items() if name.startswith("kill"))
        return f"{sum(faults.values())} faults, {kills} of them kills"


def command_of(pid: int) -> str:
    """Return what a process was started with, "" where that cannot be seen."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""


def standing(ledger: Ledger, run: str | None = None) -> str:
    """Return how many tasks of a run, or of all, have each status."""
    counts = {status.value: len(ledger.names(status, run=run)) for status in Status}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
