"""The failure matrix of an adapter: what its agent makes of a server that fails in every way.

Each case is a task of a scratch ledger, worked on by the real engine: worktree, sandbox, limits,
the agent's own program, its verdict, landing. Only the model is scripted (spec 62, "Rehearsal").
"""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from wfledger.clock import Clock
from wfledger.errors import EnvironmentFailedError, UsageError
from wfledger.run.attempts.requests import request_end
from wfledger.run.config.adapters import Adapter
from wfledger.run.engine import Pulse
from wfledger.run.rehearsal.cases import CASES, Case
from wfledger.run.rehearsal.server import Rehearsal
from wfledger.run.rehearsal.showing import Scene, Shown, shown_by
from wfledger.run.rehearsal.stage import Cast, Part, Stage, build, key_in_environment, settled
from wfledger.run.session import Session
from wfledger.run.workspace import Workspace

#: Seconds around an attempt: worktree, keeping, landing.
_AROUND_S: Final = 30.0

class Say(Protocol):
    """Who is told how a rehearsal goes on."""

    def __call__(self, text: str, *, detail: bool) -> None:
        """Take note of a case that is over, or, as a *detail*, of what happens in it."""


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
    limit_s: float = 420.0
    #: Cases at once.
    jobs: int = 2
    keep: bool = False
    #: The state home, below which everything is made.
    state_home: Path = Path()


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
    say(
        f"{len(cases)} cases for {order.adapter.name}, {order.jobs} at once, each within "
        f"{order.limit_s:g} s", detail=False,
    )  # fmt: skip
    with ExitStack() as stack:
        servers = {
            case.name: stack.enter_context(Rehearsal(replace(case.script, key=key)))
            for case in cases
        }
        parts = tuple(Part(case.name, case.prompt, servers[case.name]) for case in cases)
        cast = Cast(order.adapter.name, order.definition, order.role)
        stage = build(clock, cast, parts, limit_s=order.limit_s, below=order.state_home)
        try:
            with key_in_environment(key):
                waits = _drive(stage, order, _Prompter(stage, cases, servers, say))
            shown = tuple(
                shown_by(
                    Scene(stage, case, servers[case.name], order.adapter),
                    waits.get(stage.tasks[case.name], ""),
                )
                for case in cases
            )
            shown = _with_leaks(stage, shown, key)
        finally:
            if order.keep:
                stage.keep()
            else:
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


def _drive(stage: Stage, order: Order, listener: "_Prompter") -> Mapping[str, str]:
    """Let the engine work until every case is settled; returns what waits for what."""
    workspace = stage.workspace
    run = workspace.ledger.run(next(iter(stage.tasks.values())).partition(".")[0])
    session = Session(
        workspace, run, slots=order.jobs, worker="rehearsal", listener=listener
    )
    rounds = -(-len(stage.tasks) // order.jobs)
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
        self._say(f"{task_id.rpartition('.')[2]}: {text}", detail=True)

    def stopping(self, *, at_once: bool) -> None:
        """Nothing is to be said of that: the rehearsal itself asks for it."""

    def pulse(self, pulse: Pulse) -> None:
        """Look what is settled, and end what hangs."""
        self.waits = dict(pulse.step.waits)
        for name, task_id in list(self._open.items()):
            if settled(self._workspace, task_id):
                del self._open[name]
                self._say(f"{name} is over; {len(self._open)} to go", detail=False)
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


def _with_leaks(stage: Stage, shown: tuple[Shown, ...], key: str) -> tuple[Shown, ...]:
    """Note it at the first case where the key stands in a file that outlives an attempt."""
    leaks = stage.files_with(key)
    if not leaks or not shown:
        return shown
    said = f"the provider's key stands in {', '.join(leaks[:3])}"
    return (replace(shown[0], wrong=(*shown[0].wrong, said)), *shown[1:])
