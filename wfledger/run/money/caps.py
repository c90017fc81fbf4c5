"""What budgets leave: of a task, of its run, of what either belongs to, of a provider (spec 66).

Asked at dispatch, and by a model worker before each request. Where nothing has a budget nothing is
read. One `Caps` is one reading.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from wfledger.core.documents import Run, Task
from wfledger.core.routes import Routed
from wfledger.core.usage import Budget, Spent, left_of, used_up
from wfledger.errors import NotFoundError
from wfledger.run.config.providers import Provider
from wfledger.run.config.roles import Fleet
from wfledger.run.hub import clocks
from wfledger.run.money.spending import above
from wfledger.run.workspace import Workspace
from wfledger.store.layout import run_of

#: How much more the command to go on suggests.
_MORE: Final = 2


@dataclass(frozen=True)
class Cap:
    """A limit that is reached."""

    reason: str
    #: The command that goes on with more, ready to paste.
    command: str
    #: Whether it is of the task alone, or of a task that it belongs to.
    is_of_task: bool


@dataclass(frozen=True)
class _Limit:
    """A budget, what was used of it, and how it is raised."""

    whose: str
    budget: Budget
    spent: Spent
    command: str
    is_of_task: bool = False

    def cap(self) -> Cap | None:
        said = used_up(self.budget, self.spent)
        if said is None:
            return None
        return Cap(f"budget of {self.whose}: {said}", self.command, self.is_of_task)


class Caps:
    """Answers which tasks a budget keeps from starting, and what is left for an attempt."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._spending = workspace.spending
        self._has_looked = False
        self._runs: dict[str, Run | None] = {}
        self._of_runs: dict[str, Spent] = {}
        #: Task or run -> the tasks that what it is the parent of belongs to; thousands have one.
        self._known_above: dict[str, tuple[Task, ...]] = {}

    def is_free(self, task: Task) -> bool:
        """Whether nothing says what *task* may use: so most are, and cost no more than this."""
        run = self._run(task.run)
        has_none = run is None or (run.budget or run.time_s or run.parent) is None
        return has_none and task.spec.budget is None and task.spec.parent is None

    def of(self, task: Task) -> Cap | None:
        """Return the limit that keeps *task* from starting; None: there is some left of all."""
        found = next(filter(None, (one.cap() for one in self._limits(task))), None)
        return found or self._time(task)

    def of_provider(self, provider: Provider) -> Cap | None:
        """Return the limit of a provider that is reached, for all runs of the ledger."""
        limit = self._provider(provider)
        return limit.cap() if limit is not None else None

    def left_of_task(self, task: Task) -> Budget:
        """Return what is left of the budgets of *task* and of the tasks that it belongs to."""
        whole = Budget()
        for limit in self._limits(task):
            if limit.is_of_task:
                whole = whole.within(left_of(limit.budget, limit.spent))
        return whole

    def left(self, task: Task, fleet: Fleet, route: Routed | None) -> Budget:
        """Return what an attempt of *task* that starts now may use."""
        whole = Budget()
        for limit in self._limits(task):
            whole = whole.within(left_of(limit.budget, limit.spent))
        provider = fleet.provider(route.provider) if route and route.provider else None
        limit_there = self._provider(provider) if provider is not None else None
        if limit_there is not None:
            whole = whole.within(left_of(limit_there.budget, limit_there.spent))
        role = next((one for one in fleet.roles if one.name == task.spec.role), None)
        is_prompt = task.spec.prompt is not None
        return whole.within(role.budget) if role is not None and is_prompt else whole

    def _limits(self, task: Task) -> Iterator[_Limit]:
        """Yield every budget that holds for *task*, its own first."""
        for one in (task, *self._above(task)):
            if one.spec.budget is not None:
                self._look()
                yield _Limit(
                    f"the task {one.id}", one.spec.budget, self._spending.of_task(one.id),
                    f"wfledger retry {one.id} --budget {_more(one.spec.budget)}", is_of_task=True,
                )  # fmt: skip
        for run_id in dict.fromkeys(run_of(one.id) for one in (task, *self._above(task))):
            run = self._run(run_id)
            if run is not None and run.budget is not None:
                yield _Limit(
                    f"the run {run_id}", run.budget, self._spent_of_run(run_id),
                    f"wfledger run {run_id} --budget {_more(run.budget)}",
                )  # fmt: skip

    def _provider(self, provider: Provider) -> _Limit | None:
        if provider.budget is None:
            return None
        self._look()
        return _Limit(
            f"the provider {provider.name}", provider.budget,
            self._spending.of_account(provider.name), f"wfledger provider list  # then raise "
            f"[provider.{provider.name}] budget in fleet.toml",
        )  # fmt: skip

    def _time(self, task: Task) -> Cap | None:
        run = self._run(run_of(task.id))
        if run is None or run.time_s is None or run.started is None:
            return None
        began = clocks.here(self._workspace, run.started, run.home)
        over = began + timedelta(seconds=run.time_s)
        if self._workspace.clock.now() < over:
            return None
        command = f"wfledger run {run.id} --budget time={_MORE * run.time_s:g}s"
        reason = f"time of the run {run.id}: its {run.time_s:g} s are over since {over:%H:%M:%S}Z"
        return Cap(reason, command, is_of_task=False)

    def _above(self, task: Task) -> Iterator[Task]:
        """Yield the tasks that *task* belongs to, nearest first."""
        run = self._run(task.run)
        parent = task.spec.parent or (run.parent if run is not None else None)
        if parent is None:
            return
        if parent not in self._known_above:
            names = (parent, *above(self._workspace, parent))
            entries = (self._workspace.ledger.find(name) for name in names)
            self._known_above[parent] = tuple(one.task for one in entries if one is not None)
        yield from self._known_above[parent]

    def _run(self, run_id: str) -> Run | None:
        if run_id not in self._runs:
            try:
                self._runs[run_id] = self._workspace.ledger.run(run_id)
            except NotFoundError:
                self._runs[run_id] = None
        return self._runs[run_id]

    def _spent_of_run(self, run_id: str) -> Spent:
        if run_id not in self._of_runs:
            self._look()
            self._of_runs[run_id] = self._spending.of_runs({run_id})
        return self._of_runs[run_id]

    def _look(self) -> None:
        if not self._has_looked:
            self._spending.look()
            self._has_looked = True


def capped(workspace: Workspace, tasks: Iterable[Task]) -> dict[str, Cap]:
    """Return which of *tasks* a budget keeps from starting; what is done by people is not asked."""
    caps = Caps(workspace)
    found = (
        (task.id, caps.of(task)) for task in tasks
        if task.spec.control is None and task.accepted is None and not task.spec.manual
        and not caps.is_free(task)
    )  # fmt: skip
    return {task_id: cap for task_id, cap in found if cap is not None}


def guard(workspace: Workspace, task: Task, provider: Provider | None) -> Callable[[], str | None]:
    """Return what a worker of *task* asks before each request: why none may be made, or None."""

    def over() -> str | None:
        caps = Caps(workspace)
        cap = caps.of(task) or (caps.of_provider(provider) if provider is not None else None)
        return cap.reason if cap is not None else None

    return over


def shut_providers(workspace: Workspace, providers: Collection[Provider]) -> dict[str, Cap]:
    """Return the providers whose budget is used up."""
    caps = Caps(workspace)
    found = ((one.name, caps.of_provider(one)) for one in providers if one.budget is not None)
    return {name: cap for name, cap in found if cap is not None}


def _more(budget: Budget) -> str:
    usd = None if budget.usd is None else math.ceil(_MORE * budget.usd * 100) / 100
    tokens = None if budget.tokens is None else _MORE * budget.tokens
    steps = None if budget.steps is None else _MORE * budget.steps
    named = {"usd": usd, "tokens": tokens, "steps": steps}
    return ",".join(f"{name}={value:g}" if name == "usd" else f"{name}={value}"
                    for name, value in named.items() if value is not None)  # fmt: skip
