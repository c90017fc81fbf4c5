"""What of a plan would be taken from earlier runs, what would run again, and why.

Nothing is started or changed. A task is looked up under the key that it would have if everything
before it were taken; once something runs again, so does all that depends on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from wfledger.core.control import ControlState
from wfledger.core.documents import Run, Task, TaskSpec
from wfledger.core.keys import COUNTED, COUNTED_SETS, Fed, Surroundings, key_of, relative
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.plans.compiling import CompiledTask, Plan
from wfledger.run.reuse.earlier import Catalog, Earlier, read_done
from wfledger.run.reuse.keying import Keyer, feeding, made_of
from wfledger.run.submit import as_submitted, new_task
from wfledger.run.workspace import Workspace

#: The run of tasks that are in no ledger; no text has this by chance.
_NEW: Final = "forecast-of-a-plan"
#: Fields of a spec -> how people call them.
_WORDS: Final = {
    "prompt": "the prompt", "command": "the command", "write": "the write scope",
    "env": "the names of variables", "tools": "the tools", "model": "the model",
    "verify": "the checks", "deliverables": "the deliverables", "control": "what it decides by",
}  # fmt: skip

Action = Literal["reuse", "run", "decide"]


@dataclass(frozen=True)
class Reason:
    """Why a task would run again."""

    #: `new`, `changed`, `role`, `inputs`, `dependency`, `base`, `not_done`, `no_key`,
    #: `added`, `unknown`.
    kind: str
    message: str

    def as_json(self) -> dict[str, str]:
        """Return the shape that `plan --diff --json` prints."""
        return {"kind": self.kind, "message": self.message}


@dataclass(frozen=True)
class Line:
    """What would become of one task of a plan."""

    node: str
    #: `decide`: a controller, which decides again at no cost.
    action: Action
    reasons: tuple[Reason, ...] = ()
    #: Whose result would be taken.
    earlier: Earlier | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `plan --diff --json` prints."""
        source = self.earlier
        return {
            "task": self.node, "action": self.action,
            "reasons": [one.as_json() for one in self.reasons],
            "from": None if source is None
            else {"task": source.task.id, "attempt": source.result.attempt},
        }  # fmt: skip


@dataclass(frozen=True)
class Forecast:
    """What would become of every task of a plan, in the plan's order."""

    runs: tuple[str, ...]
    base: str
    lines: tuple[Line, ...]

    @property
    def reused(self) -> int:
        """How many results would be taken."""
        return sum(1 for line in self.lines if line.action == "reuse")

    @property
    def work(self) -> int:
        """How many tasks are work, and no controllers."""
        return sum(1 for line in self.lines if line.action != "decide")

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `plan --diff --json` prints."""
        return {
            "runs": list(self.runs), "base": self.base, "reused": self.reused,
            "again": self.work - self.reused, "tasks": [line.as_json() for line in self.lines],
        }  # fmt: skip


def forecast(
    workspace: Workspace, plan: Plan, runs: Sequence[Run], *, base: str, role: str | None = None
) -> Forecast:
    """Return what would become of *plan*, started from *base*, with the results of *runs*."""
    teller = _Teller(workspace, runs, base)
    fleet = workspace.fleet()
    ids = {task.node: f"{_NEW}.{task.node}" for task in plan.tasks}
    for item in in_order(plan):
        teller.tell(item, as_submitted(item.spec, ids, role, fleet))
    lines = tuple(teller.lines[task.node] for task in plan.tasks)
    return Forecast(tuple(run.id for run in runs), base, lines)


def in_order(plan: Plan) -> list[CompiledTask]:
    """Return the tasks of a plan, each after those that it waits for or is made of."""
    waiting = {task.node: task for task in plan.tasks}
    ordered: dict[str, CompiledTask] = {}
    stack = [task.node for task in reversed(plan.tasks)]
    while stack:
        node = stack[-1]
        task = waiting.get(node)
        if task is None or node in ordered:
            stack.pop()
            continue
        control = task.spec.control
        before = (*task.spec.after, *(control.members if control is not None else ()))
        open_ = [one for one in before if one in waiting and one not in ordered and one != node]
        if open_:
            stack += open_
            continue
        ordered[node] = task
        stack.pop()
    return list(ordered.values())


@dataclass
class _Teller:
    workspace: Workspace
    runs: Sequence[Run]
    base: str
    lines: dict[str, Line] = field(default_factory=dict)
    #: Full id in the plan -> whose result stands for it; None: it would be another one.
    _stands: dict[str, Earlier | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._keyer = Keyer(self.workspace)
        self._catalog = Catalog(self.workspace)
        self._names = [run.id for run in self.runs]
        self._catalog.look(self._names)
        self._tree = self._keyer.tree(self.base)

    def tell(self, item: CompiledTask, spec: TaskSpec) -> None:
        task = new_task(f"{_NEW}.{item.node}", spec, "")
        counterpart = self._counterpart(item.node)
        if counterpart is not None:  # nothing before it is another one, or it runs again anyhow
            task = task.but(received=counterpart.received)
        if spec.control is not None and counterpart is not None:
            task = task.but(control=counterpart.control or ControlState())
        found = self._found(task, item.node)
        self._stands[task.id] = found
        if spec.control is not None:
            self.lines[item.node] = Line(item.node, "decide", self._why(task, counterpart, found))
        elif found is not None:
            self.lines[item.node] = Line(item.node, "reuse", earlier=found)
        else:
            self.lines[item.node] = Line(item.node, "run", self._why(task, counterpart, None))

    def _found(self, task: Task, node: str) -> Earlier | None:
        """Return the result that would be taken; of a controller, the one that it would repeat."""
        fed = self._fed(task)
        if fed is None:
            return None
        try:
            around = Surroundings(
                name=node, run=_NEW, base=self._tree, staff=self._keyer.staff(task.spec), fed=fed,
                trees=self._keyer.named_trees(task.spec), handed=self._keyer.handed(task),
            )
            return self._catalog.find(key_of(task.spec, around), node, self._names)
        except (WfledgerError, OSError, ValueError):
            return None

    def _fed(self, task: Task) -> list[Fed] | None:
        """Return what is before *task*; None where something of that runs again."""
        found = []
        for name, handed in feeding(task):
            earlier = self._stands[name] if name in self._stands else self._done(name)
            if earlier is None:
                return None
            shown = relative(self._name(name), self._name(task.id))
            try:
                fed = self._keyer.fed(shown, earlier.task, earlier.result, handed=handed)
            except (WfledgerError, OSError, ValueError):
                return None
            found.append(fed)
        return found

    def _name(self, task_id: str) -> str:
        return self._keyer.name(task_id)

    def _done(self, name: str) -> Earlier | None:
        """Return what a controller has started in the earlier run, by its id there."""
        return read_done(self.workspace, name)

    def _counterpart(self, node: str) -> Task | None:
        for run in self._names:
            entry = self.workspace.ledger.find(f"{run}.{node}")
            if entry is not None:
                return entry.task
        return None

    # -- why not -----------------------------------------------------------------------------------

    def _why(
        self, task: Task, before: Task | None, found: Earlier | None
    ) -> tuple[Reason, ...]:
        if found is not None:
            return ()
        if before is None:
            return (Reason("new", "there was no task of that name"), *self._base_moved())
        reasons = [*_changed(before.spec, task.spec), *self._of_edges(task, before)]
        reasons += [
            Reason("dependency", f"{one} runs again") for one in self._again(task)
        ]
        reasons += self._base_moved()
        return tuple(reasons or self._of_record(before))

    def _of_edges(self, task: Task, before: Task) -> list[Reason]:
        def names(of: Sequence[str]) -> set[str]:
            return {name.partition(".")[2] for name in of}

        if names(task.spec.inputs) != names(before.spec.inputs):
            return [Reason("inputs", "it is handed other results")]
        if names(task.spec.after) != names(before.spec.after):
            return [Reason("inputs", "it waits for other tasks")]
        return []

    def _again(self, task: Task) -> list[str]:
        return [
            name.partition(".")[2] for name, _ in feeding(task)
            if name in self._stands and self._stands[name] is None
        ]

    def _base_moved(self) -> list[Reason]:
        trees = {self._keyer.tree(run.base) for run in self.runs}
        if self._tree in trees:
            return []
        return [Reason("base", f"it starts from {self.base[:12]}, whose files are others")]

    def _of_record(self, before: Task) -> list[Reason]:
        done = read_done(self.workspace, before.id)
        if done is None:
            entry = self.workspace.ledger.find(before.id)
            status = entry.status if entry is not None else Status.CANCELLED
            why = f" ({before.block.code})" if before.block is not None else ""
            return [Reason("not_done", f"{before.id} is {status.value}{why}")]
        if before.spec.control is None and before.id in self._catalog.parents:
            return [Reason("added", f"the worker of {before.id} added tasks of its own")]
        if done.result.key is None:
            return [Reason("no_key", f"the result of {before.id} has no key")]
        if self._keyer.staff(before.spec) is not None:
            return [Reason("role", f"what the role {before.spec.role} resolves to has changed")]
        if made_of(before):
            return [Reason("inputs", "what it was made of has changed")]
        return [Reason("unknown", "its key differs")]


def _changed(before: TaskSpec, now: TaskSpec) -> list[Reason]:
    """Return what of the spec has changed, by the words for it."""
    names = [
        name for name in (*COUNTED, "verify", "role")
        if name != "role" or (before.prompt is not None and before.command is None)
        if getattr(before, name) != getattr(now, name)
    ]
    names += [
        name for name in COUNTED_SETS
        if set(getattr(before, name) or ()) != set(getattr(now, name) or ())
    ]
    found = [
        Reason("role" if name == "role" else "changed",
               f"{_WORDS.get(name, name.replace('_', ' '))} changed")
        for name in names
    ]  # fmt: skip
    if _decides(before) != _decides(now):
        found.append(Reason("changed", f"{_WORDS['control']} changed"))
    return found


def _decides(spec: TaskSpec) -> Mapping[str, Any] | None:
    control = spec.control
    if control is None:
        return None
    return control.model_dump(exclude={"members", "outer", "budget", "time_s"})
