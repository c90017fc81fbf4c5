"""The failure matrix of an adapter: what its agent makes of a server that fails in every way.

Each case is a task of a scratch ledger, worked on by the real engine: worktree, sandbox, limits,
the agent's own program, its verdict, landing. Only the model is scripted (spec 62, "Rehearsal").
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.core.documents import Result, Task
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.errors import EnvironmentFailedError, UsageError
from wfledger.run.attempts.requests import request_end
from wfledger.run.config.adapters import Adapter
from wfledger.run.engine import Pulse
from wfledger.run.rehearsal.script import FAILURES, Played, Script, Turn
from wfledger.run.rehearsal.server import Rehearsal
from wfledger.run.rehearsal.stage import Cast, Part, Stage, build, key_in_environment, settled
from wfledger.run.session import Session
from wfledger.run.workspace import Workspace

#: Seconds that an agent may take from being asked to end until it has.
GRACE_S: Final = 15.0
#: Seconds around an attempt: worktree, keeping, landing.
_AROUND_S: Final = 30.0
_LINE: Final = "written in a rehearsal"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """One way in which a server behaves, and what an agent's end must then be read as."""

    name: str
    #: What the server does.
    title: str
    #: What the first question is answered with; the prompt is played from then on.
    first: Turn | None = None
    #: What every question is answered with.
    always: Turn = field(default_factory=Played)
    #: Whether a file is asked for.
    writes: bool = True
    #: Whether the agent is asked to end when it waits for the server.
    stops: bool = False
    #: `done`, the class of a failure, or the code of a block.
    expected: str = "done"

    @property
    def script(self) -> Script:
        """What its server says, to whom brings the right key."""
        return Script(() if self.first is None else (self.first,), after=self.always)

    @property
    def path(self) -> str:
        """The file that the prompt asks for."""
        return f"{self.name}/rehearsal.txt"

    @property
    def prompt(self) -> str:
        """What the agent is asked."""
        asked = f"SCRIPTED_WRITE<<{self.path}: {_LINE}>>" if self.writes else "Nothing is asked."
        return f"Do what is asked here and nothing else.\n\n{asked}"


CASES: Final = (
    Case("edit", "asks for a file"),
    Case("empty", "asks for nothing", writes=False, expected="no_change"),
    Case("401", "refuses the key", always=FAILURES["401"], expected="auth"),
    Case("402", "says that the balance is used up", always=FAILURES["402"], expected="quota"),
    Case("429", "gets too many requests", always=FAILURES["429-retry-after"],
         expected="transport"),
    Case("500", "fails", always=FAILURES["500"], expected="transport"),
    Case("cut", "cuts every answer off", always=FAILURES["cut"], expected="transport"),
    Case("resume", "cuts one answer off", first=FAILURES["cut"]),
    Case("hang", "hangs; SIGTERM", always=FAILURES["hang"], stops=True, expected="stopped"),
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What a case has shown."""

    case: Case
    #: As `Case.expected`; what it waits for, where it was never started.
    found: str
    #: The agent's end in words.
    message: str = ""
    seconds: float = 0.0
    #: How often its model was asked.
    requests: int = 0
    #: How it was kept apart.
    sandbox: str = ""
    #: What is wrong besides.
    wrong: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the adapter passes."""
        return self.found == self.case.expected and not self.wrong

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `adapter test --json` prints."""
        return {
            "case": self.case.name, "title": self.case.title, "ok": self.ok,
            "expected": self.case.expected, "found": self.found, "message": self.message,
            "wrong": list(self.wrong), "seconds": round(self.seconds, 1),
            "requests": self.requests, "sandbox": self.sandbox,
        }  # fmt: skip


@dataclass(frozen=True)
class Order:
    """What is to be tried out, and how."""

    adapter: Adapter
    #: Its own table, where a fleet defines it.
    definition: Mapping[str, Any] | None = None
    #: More keys of its role: how it is kept apart.
    role: Mapping[str, Any] = field(default_factory=dict)
    #: Names of cases; empty: all.
    cases: tuple[str, ...] = ()
    #: Seconds that an agent has for one case.
    limit_s: float = 60.0
    #: Cases at once.
    jobs: int = 2
    keep: bool = False


@dataclass(frozen=True)
class Report:
    """What a rehearsal has shown."""

    adapter: str
    shown: tuple[Shown, ...]
    #: Where everything still is; None: it was taken away.
    kept: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the adapter passes in every case."""
        return all(one.ok for one in self.shown)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `adapter test --json` prints."""
        return {
            "adapter": self.adapter, "ok": self.ok,
            "cases": [one.as_json() for one in self.shown], "kept": self.kept,
        }  # fmt: skip


def require_testable(adapter: Adapter) -> None:
    """Raise where *adapter* cannot be rehearsed: no program here, or no way to point it."""
    if shutil.which(adapter.program) is None:
        raise EnvironmentFailedError(
            f"{adapter.program}, the program of the adapter {adapter.name}, is not installed here "
            "(it is not on the PATH)",
            hint=adapter.install, adapter=adapter.name, program=adapter.program,
        )  # fmt: skip
    if not adapter.dialects:
        raise UsageError(
            f"the adapter {adapter.name} cannot be pointed at a server, so its agent cannot be "
            "rehearsed",
            hint="say dialects and {+server} in it", adapter=adapter.name,
        )  # fmt: skip


def rehearse(order: Order, *, clock: Clock, say: Say) -> Report:
    """Try an adapter out; everything that was started has ended on return.

    Raises `WfledgerError` where it cannot be tried out here.
    """
    require_testable(order.adapter)
    cases = _chosen(order)
    key = clock.token()
    with ExitStack() as stack:
        servers = {
            case.name: stack.enter_context(Rehearsal(replace(case.script, key=key)))
            for case in cases
        }
        parts = tuple(Part(case.name, case.prompt, servers[case.name]) for case in cases)
        cast = Cast(order.adapter.name, order.definition, order.role)
        stage = build(clock, cast, parts, limit_s=order.limit_s)
        try:
            with key_in_environment(key):
                waits = _drive(stage, order, cases, servers, say)
            shown = tuple(_shown(stage, order, case, servers[case.name], waits) for case in cases)
            shown = _with_leaks(stage, shown, key)
        finally:
            if not order.keep:
                stage.remove()
    return Report(order.adapter.name, shown, str(stage.folder) if order.keep else None)


def _chosen(order: Order) -> tuple[Case, ...]:
    known = {case.name for case in CASES}
    for name in order.cases:
        if name not in known:
            raise UsageError(
                f"there is no case {name}; there are {', '.join(case.name for case in CASES)}"
            )
    able = (one for one in CASES if one.name != "resume" or order.adapter.resume)
    return tuple(case for case in able if not order.cases or case.name in order.cases)


def _drive(
    stage: Stage, order: Order, cases: tuple[Case, ...], servers: Mapping[str, Rehearsal], say: Say
) -> Mapping[str, str]:  # fmt: skip
    """Let the engine work until every case is settled; returns what waits for what."""
    listener = _Prompter(stage, cases, servers, say)
    workspace = stage.workspace
    run = workspace.ledger.run(next(iter(stage.tasks.values())).partition(".")[0])
    session = Session(
        workspace, run, slots=order.jobs, worker="rehearsal", listener=listener
    )
    rounds = -(-len(cases) // order.jobs)
    listener.session = session
    listener.until = workspace.clock.elapsed() + rounds * (order.limit_s + _AROUND_S)
    session.drive()
    return listener.waits


class _Prompter:
    """Watches a rehearsal: asks agents to end that hang, and the engine when all is settled."""

    def __init__(
        self, stage: Stage, cases: tuple[Case, ...], servers: Mapping[str, Rehearsal], say: Say
    ) -> None:
        self._workspace: Workspace = stage.workspace
        self._tasks = stage.tasks
        self._servers = servers
        self._stops = {case.name for case in cases if case.stops}
        self._open = dict(stage.tasks)
        self._say = say
        self.waits: dict[str, str] = {}
        self.session: Session | None = None
        self.until = float("inf")

    def event(self, task_id: str, text: str) -> None:
        """Pass on what happens."""
        self._say(f"{task_id.rpartition('.')[2]}: {text}")

    def stopping(self, *, at_once: bool) -> None:
        """Nothing is to be said of that: the rehearsal itself asks for it."""

    def pulse(self, pulse: Pulse) -> None:
        """Look what is settled, and end what hangs."""
        self.waits = dict(pulse.step.waits)
        for name, task_id in list(self._open.items()):
            if settled(self._workspace, task_id):
                del self._open[name]
            elif name in self._stops and self._servers[name].count():
                self._stops.discard(name)
                attempt = self._workspace.ledger.get(task_id).task.attempt
                request_end(self._workspace, task_id, attempt, reason="it hangs", cancel=False)
        if self.session is None:
            return
        if not self._open:
            self.session.stop_requests = max(self.session.stop_requests, 1)
        elif self._workspace.clock.elapsed() > self.until:
            self.session.stop_requests = 2


def _shown(
    stage: Stage, order: Order, case: Case, server: Rehearsal, waits: Mapping[str, str]
) -> Shown:
    entry = stage.workspace.ledger.get(stage.tasks[case.name])
    task = entry.task
    number = task.attempts[-1].number if task.attempts else task.attempt
    result = stage.workspace.ledger.result(task.id, number) if number else None
    if result is None:
        return Shown(case, "never started", waits.get(task.id, ""), requests=server.count())
    found = "done" if entry.status is Status.DONE else _class_of(task, result)
    confined = result.confined
    return Shown(
        case, found, clean_line(_words(task, result)), result.wall_s or 0.0, server.count(),
        confined.sandbox if confined is not None else "",
        tuple(_wrong(stage, case, order.adapter, result, server)),
    )  # fmt: skip


def _class_of(task: Task, result: Result) -> str:
    """Return what the end of the attempt counts as."""
    if result.failure is not None:
        return result.failure.failure_class
    return task.block.code if task.block is not None else "unfinished"


def _words(task: Task, result: Result) -> str:
    if result.failure is not None:
        return result.failure.message
    return task.block.reason if task.block is not None else result.summary


def _wrong(
    stage: Stage, case: Case, adapter: Adapter, result: Result, server: Rehearsal
) -> Iterator[str]:
    """Yield what is wrong with an end whose class may be right."""
    if not server.count():
        yield "its model was never asked"
    elif not any(one.key == server.script.key for one in server.asked):
        yield "it never brought the provider's key"
    spilt = [path for path in _written(result) if _holds(stage, result, path, server)]
    if spilt:
        yield f"it wrote the provider's key into {', '.join(spilt)}"
    if case.expected == "done" and result.failure is None:
        yield from _missing(stage, case, adapter, result)


def _written(result: Result) -> tuple[str, ...]:
    return tuple(one.path for one in result.changed if one.kind in {"added", "modified"})


def _holds(stage: Stage, result: Result, path: str, server: Rehearsal) -> bool:
    """Whether a file that an attempt left holds the server's key."""
    kept = stage.workspace.repo.read_blob(result.head, path) if result.head else None
    return (server.script.key or "").encode() in (kept or b"")


def _missing(stage: Stage, case: Case, adapter: Adapter, result: Result) -> Iterator[str]:
    """Yield what a finished case lacks: the file, where it has to land, and what it has used."""
    changed = [one.path for one in result.changed]
    run = stage.workspace.ledger.run(stage.tasks[case.name].partition(".")[0])
    repo = stage.workspace.repo
    tip = repo.tip(run.branch)
    landed = None if tip is None else repo.read_blob(tip, case.path)
    if changed != [case.path]:
        yield f"it was to write {case.path} and wrote {', '.join(changed) or 'nothing'}"
    elif landed != f"{_LINE}\n".encode():
        yield f"{case.path} has not landed as it was asked for"
    if adapter.usage.paths and (result.usage is None or result.usage.source == "unknown"):
        yield "what it has used was not found where the adapter says"


def _with_leaks(stage: Stage, shown: tuple[Shown, ...], key: str) -> tuple[Shown, ...]:
    """Note it at the first case where the key stands in a file that outlives an attempt."""
    leaks = stage.files_with(key)
    if not leaks or not shown:
        return shown
    said = f"the provider's key stands in {', '.join(leaks[:3])}"
    return (replace(shown[0], wrong=(*shown[0].wrong, said)), *shown[1:])
