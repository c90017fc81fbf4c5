"""Torture of many machines that share a ledger by a hub: faults for a while, calm, the verdict.

See `chaos.ordeal` for how it goes, `chaos.clones` for the scene, `chaos.weather` for the faults,
`chaos.agreement` for what must hold.
"""

import json
import queue
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from wfledger.clock import Clock
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.chaos import agreement
from wfledger.run.chaos.absences import LEDGER
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.clones import Clone, World, build, jobs_of
from wfledger.run.chaos.fleet import Fleet
from wfledger.run.chaos.invariants import Violation
from wfledger.run.chaos.ordeal import Ordeal, Order, Report, Say, standing
from wfledger.run.chaos.scene import Job, work
from wfledger.run.chaos.weather import PAUSE_S, Weather
from wfledger.run.hub.state import read_state
from wfledger.run.workspace import LOCAL, Workspace

#: Share of the faults' time that the tasks' work would fill if nothing went wrong.
_FILLED: Final = 0.35
_LONGEST_S: Final = 15.0
#: Least time for the end, and the longest in which nothing moves: slow machines are no violation.
_CALM_S: Final = 150.0
#: Shell workers, which take tasks by `mv` alone.
_CLAIMERS: Final = 2
_CLAIMER: Final = Path(__file__).parents[3] / "examples/shell-worker.sh"
#: Share of the tasks that people add while the fleet works.
_ADDED: Final = 0.1
_ROUNDS: Final = 3
_COUNTED: Final = ("commits", "steps", "grants", "claims")


class Machines(Ordeal):
    """The torture of many machines that share a ledger."""

    pause_s: ClassVar = PAUSE_S
    sample_s: ClassVar = 0.5
    person_s: ClassVar = 2.0

    def __init__(self, order: Order, *, clock: Clock, say: Say) -> None:
        chance = Chance(order.seed)
        planned = order.tasks - int(order.tasks * _ADDED)
        mean_s = min(order.time_s * order.workers / order.tasks * _FILLED, _LONGEST_S)
        jobs = jobs_of(chance, tasks=planned, mean_s=mean_s)
        self._mean_s = mean_s
        self._world = build(clock, chance, order.server, clones=order.clones, jobs=jobs)
        fleet = Fleet(self._world.clones[0], chance)
        self._weather = Weather(self._world, fleet, chance, order.time_s, clock=clock)
        report = Report(order, self._world.folder)
        report.figures["cut machines off"] = self.partitions
        super().__init__(report, fleet, self._weather, chance, say=say)
        self._workspaces = [clone.workspace() for clone in self._world.clones]
        self._person = _Person(self._world, self._report, say)
        self._to_add = [f"extra{number}" for number in range(order.tasks - planned)]
        self._met: dict[str, str] = {}

    @property
    def partitions(self) -> str:
        """What cuts machines off from the hub."""
        return self._world.partitions

    def _enlist(self) -> None:
        clones = self._world.clones
        each = max(self._order.workers // len(clones), 1)
        for clone in clones:
            argv = clone.command("daemon", "--workers", str(each), "--quiet")
            self._fleet.enlist("supervisor", f"daemon-{clone.name}", argv, scene=clone)
        if _CLAIMER.exists():
            for clone in self._chance.some_of(clones, _CLAIMERS):
                argv = ["sh", str(_CLAIMER), "-f", "-n", f"shell-{clone.name}"]
                self._fleet.enlist("claimer", f"claimer-{clone.name}", argv, scene=clone)

    def _sample(self) -> None:
        """Remember what each machine takes for confirmed, which must never be lost."""
        for workspace in self._workspaces:
            with suppress(WfledgerError, OSError):
                tip = workspace.repo.tip(LEDGER)
                if tip is not None:
                    self._seen[tip] = None
        self._note_meetings()

    def _note_meetings(self) -> None:
        """Write down what each machine's meetings come to, for whoever looks into a violation."""
        lines = []
        for clone in self._world.clones:
            with suppress(OSError):
                met = (clone.repo / ".git" / LOCAL / "hub" / "met.json").read_text("utf-8")
                if met != self._met.get(clone.name):
                    self._met[clone.name] = met
                    seconds = self._clock.elapsed() - self._began
                    lines.append(f"{seconds:7.1f} {clone.name} {met.strip()}\n")
        with (self._world.folder / "meetings").open("a") as file:
            file.writelines(lines)

    def _be_people(self) -> None:
        """Add, cancel and retry, on whatever machine; put back what the hub has lost."""
        chance = self._chance
        self._restore()
        self._world.hub.tidy()
        # Nobody is at a machine that sleeps; and what is said at one that is gone for good, and
        # that the hub has not heard, is gone with it.
        clones = [one for one in self._world.clones if one.is_there and not one.is_alone]
        if not clones:
            return
        with suppress(WfledgerError, OSError):
            clone = chance.one_of(clones)
            blocked = sorted(self._workspaces[clone.number].ledger.names(Status.BLOCKED))
            if blocked:
                self._person.ask(clone, "retry", chance.one_of(blocked))
        if self._to_add:
            name = self._to_add.pop()
            job = Job(name, f"extra/{name}", (), round(self._mean_s, 2), leaves_child=False)
            self._person.add(chance.one_of(clones), job)
            if self._person.added and chance.often(0.3):
                wanted = chance.one_of(self._person.added)
                self._world.unwanted.add(wanted)
                self._person.ask(chance.one_of(clones), "cancel", wanted)

    def _restore(self) -> None:
        """Give the hub back what it has lost: who has it all first, then whoever has stopped."""
        lost = self._weather.lost
        if self._person.is_busy:
            self._weather.is_whole = False
            return
        if lost is not None and not self._world.hub.has(LEDGER, lost.tip):
            # A machine can decide on what it has seen.
            seen = ("remote", "restore", "--yes") if _has_stopped(lost.holder) else ("sync",)
            self._person.ask(lost.holder, *seen)
            return
        self._weather.lost = None
        stopped = [clone for clone in self._world.clones if _has_stopped(clone)]
        self._weather.is_whole = not stopped
        for clone in stopped:
            if clone.is_there:
                self._person.ask(clone, "remote", "restore", "--yes")

    # -- calm --------------------------------------------------------------------------------------

    def _storm(self) -> None:
        """Let the fleet come to its first work before anything happens to it."""
        until = self._clock.elapsed() + _CALM_S
        while self._clock.elapsed() < until and not (self._world.notes / "ran").stat().st_size:
            self._turn()
            self._progress("start")
        self._weather.begin()
        super()._storm()

    def _calm(self) -> None:
        began = self._clock.elapsed()
        self._weather.abate()
        (self._world.notes / "calm").touch()
        until, last = began + _CALM_S, ""
        while self._clock.elapsed() < until and not self._is_over():
            self._turn()
            self._progress("calm")
            now = str(self._world.hub.tip(LEDGER)) if self._is_due("tip", self.sample_s) else last
            if now != last:
                last, until = now, max(until, self._clock.elapsed() + _CALM_S)
        self._report.calm_s = self._clock.elapsed() - began
        self._report.figures["all final after faults, s"] = round(self._report.calm_s, 1)
        while self._clock.elapsed() < until and not self._do_agree():
            self._turn()
            self._progress("agreeing")
        spent = self._clock.elapsed() - began
        self._report.figures["all agree after faults, s"] = round(spent, 1)
        self._let_go()

    def _is_over(self) -> bool:
        """Whether every task that was added is at its end, as one machine sees it."""
        if not self._is_due("count", self.sample_s) or self._to_add or self._person.is_busy:
            return False
        with suppress(OSError):
            ledger = self._living()[0].ledger
            final = {name for status in Status if status.is_final for name in ledger.names(status)}
            return self._weather.lost is None and self._world.jobs.keys() <= final
        return False

    def _do_agree(self) -> bool:
        """Whether every machine has confirmed what the hub has, and nothing of its own besides."""
        return self._is_due("agree", self.sample_s) and self._is_one()

    def _is_one(self) -> bool:
        with suppress(WfledgerError, OSError):
            tip = self._world.hub.tip(LEDGER)
            return all(
                one.repo.tip(LEDGER) == tip and one.ledger.journal.is_empty()
                for one in self._living()
            )
        return False

    def _living(self) -> list[Workspace]:
        """Return the machines that are not gone for good."""
        off = {clone.number for clone in self._world.clones if clone.is_off}
        return [one for number, one in enumerate(self._workspaces) if number not in off]

    def _let_go(self) -> None:
        self._person.close()
        for member in list(self._fleet.members):
            if member.kind == "claimer" and member.process is not None:
                member.process.terminate()
        super()._let_go()

    # -- the verdict -------------------------------------------------------------------------------

    def _judge(self) -> None:
        report, world = self._report, self._world
        for clone in world.clones:
            clone.is_off = False  # who was gone for good comes back to find it all done
        self._repair(world.clones)
        for _ in range(_ROUNDS):
            for clone in world.clones:
                status, _ = clone.verb("sync")
                report.helped[f"sync {status}"] += 1
            if self._is_one():
                break
        found = agreement.checked(world)
        report.violations += agreement.violations(world, found, seen=self._seen)
        report.violations += [Violation("defect", "process", text) for text in self._fleet.odd]
        first = world.clones[0].workspace()
        done = set(first.ledger.names(Status.DONE)) & world.jobs.keys()
        report.done = len(done)
        self._count(first, found.counts, Counter(found.machines))

    def _count(self, first: Workspace, counts: "Counter[str]", machines: "Counter[str]") -> None:
        report, world = self._report, self._world
        began = agreement.executions(world)
        report.attempts = len(began)
        report.figures |= {
            "executions": sum(began.values()),
            **agreement.taken_over(world),
            "cancelled": len(set(first.ledger.names(Status.CANCELLED)) & world.jobs.keys()),
            **{name: counts[name] for name in _COUNTED},
            "steps of the busiest machine": max(machines.values(), default=0),
            "steps of the least busy": min(machines.values(), default=0),
            "connections spoilt": sum(c.proxy.spoilt for c in world.clones if c.proxy is not None),
            "tips that were seen": len(self._seen),
            "lost, and said why": sum(_lines(clone) for clone in world.clones),
        }

    def _end(self) -> None:
        self._person.close()
        super()._end()

    def _finish(self, *, kept: bool) -> None:
        super()._finish(kept=kept)
        if kept:
            text = json.dumps(self._report.as_json(), indent=1)
            (self._world.folder / "report.json").write_text(text)

    def _remove(self) -> None:
        self._world.remove()

    def _standing(self) -> str:
        return standing(self._living()[0].ledger)


class _Person:
    """Somebody who gives commands one after the other, while everything else goes on."""

    def __init__(self, world: World, report: Report, say: Say) -> None:
        self._world = world
        self._report = report
        self._say = say
        #: Tasks that were added.
        self.added: list[str] = []
        self._wanted: queue.Queue[tuple[Clone, tuple[str, ...], Job | None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._live, daemon=True, name="person")
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be done."""
        return self._wanted.unfinished_tasks > 0

    def ask(self, clone: Clone, *args: str) -> None:
        """Have a verb run on a machine."""
        self._wanted.put((clone, args, None))

    def add(self, clone: Clone, job: Job) -> None:
        """Have a task added on a machine."""
        command = work(self._world.notes, job)
        args = ("add", job.node, "--id", job.node, "--write", str(job.path), "--", *command)
        self._wanted.put((clone, args, job))

    def close(self) -> None:
        """Give no more commands, once those that were asked for are given."""
        if self._thread.is_alive():
            self._wanted.put(None)
            self._thread.join(_CALM_S)

    def _live(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            clone, args, job = wanted
            with suppress(Exception):  # a verb that hangs is seen by its absence from the counts
                self._do(clone, args, job)
            self._wanted.task_done()
        self._wanted.task_done()

    def _do(self, clone: Clone, args: tuple[str, ...], job: Job | None) -> None:
        if job is None:
            status, said = clone.verb(*args)
        else:
            at = args.index("--")
            status, said = _json_before(clone, args, at)
        self._report.helped[f"{args[0]} {status}"] += 1
        if status == 0 and job is not None:
            self._world.jobs[said["task"]] = job
            self.added.append(said["task"])
        if status not in {0, 1, 4, 8, 75}:
            self._say(f"wfledger {' '.join(args[:3])} on {clone.name} ended with {status}: "
                      f"{said.get('message')}")  # fmt: skip


def _json_before(clone: Clone, args: tuple[str, ...], at: int) -> tuple[int, dict[str, Any]]:
    """Run a verb whose last arguments are a command, which `--json` has to stand before."""
    done = clone.call(*clone.command(*args[:at], "--json", *args[at:]))
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode, {"message": (done.stdout + done.stderr)[-2000:]}


def _has_stopped(clone: Clone) -> bool:
    with suppress(WfledgerError, OSError):
        return read_state(clone.repo / ".git" / LOCAL).stopped is not None
    return False


def _lines(clone: Clone) -> int:
    path = clone.repo / ".git" / LOCAL / "hub" / "lost.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0
