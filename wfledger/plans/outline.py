"""What a plan or a run is made of, as things that hold each other and wait for each other.

Pure; `graph` draws it and the picture of a plan is taken from it (spec 95.8).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from wfledger.core.control import Control
from wfledger.core.documents import TaskSpec
from wfledger.core.text import clean_line
from wfledger.plans.compiling import CompiledTask, Plan
from wfledger.plans.ordering import depth_first

#: Controllers that hold the tasks which they are made of.
_HOLDING: Final = frozenset({"branch_set", "sequence"})
_DETAIL: Final = 80


@dataclass(frozen=True)
class Part:
    """One node of a graph."""

    #: Name in the plan, or full id.
    id: str
    label: str
    #: `agent`, `command`, `person`, `phase`, or the kind of a controller.
    kind: str
    #: What it waits for.
    after: tuple[str, ...] = ()
    #: What it stands in; None: at the top.
    holder: str | None = None
    #: A few words: a condition, a bound.
    detail: str = ""
    status: str | None = None
    #: The controller that starts it, as often as that decides; None: it is there from the start.
    starter: str | None = None

    @property
    def is_work(self) -> bool:
        """Whether somebody works on it."""
        return self.kind in {"agent", "command", "person"}

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `graph --format json` prints."""
        shown: dict[str, Any] = {
            "id": self.id, "label": self.label, "kind": self.kind, "after": list(self.after),
            "holder": self.holder, "detail": self.detail, "starter": self.starter,
        }  # fmt: skip
        return shown if self.status is None else {**shown, "status": self.status}


def of_plan(plan: Plan) -> tuple[Part, ...]:
    """Return the parts of *plan*; what controllers may start stands inside of them, once."""
    parts = of_tasks(plan)
    if plan.phase_order:
        phases = [Part(f"phase {name}", name, "phase") for name in plan.phase_order]
        held = [
            replace(part, holder=f"phase {task.phase}")
            for part, task in zip(parts, plan.tasks, strict=True)
        ]
        return (*phases, *held)
    return within_groups(parts, {task.node: task.spec for task in plan.every})


def of_tasks(plan: Plan) -> list[Part]:
    """Return a part for each task that *plan* may start, in the order of `Plan.every`."""
    return [
        part_of(task.node, f"{_arm(task)}{task.given}", task.spec) for task in plan.every
    ]


def _arm(task: CompiledTask) -> str:
    """Return what is said before a node that stands in one arm of a condition."""
    holder = task.spec.parent
    inner = task.node.removeprefix(f"{holder}.") if holder is not None else ""
    return next((f"{arm}: " for arm in ("then", "else") if inner.startswith(f"{arm}.")), "")


def within_groups(parts: Iterable[Part], specs: Mapping[str, TaskSpec]) -> tuple[Part, ...]:
    """Return *parts*, each inside of the group or the choice that it is a member of."""
    holders: dict[str, str] = {}
    for name, spec in specs.items():
        control = spec.control
        if control is None:
            continue
        tries = f"{name}.try"
        for member in control.members:
            if control.kind in _HOLDING or member.startswith(tries):
                holders[member] = name
    return tuple(
        replace(part, holder=holders[part.id]) if part.id in holders else part for part in parts
    )


def part_of(name: str, label: str, spec: TaskSpec, status: str | None = None) -> Part:
    """Return the part that a task is; what it stands in is the task that started it."""
    control = spec.control
    detail = spec.title if control is None else _asks(control)
    return Part(
        name, label, kind_of(spec), after=spec.after, holder=spec.parent, starter=spec.parent,
        detail=clean_line(detail, _DETAIL), status=status,
    )  # fmt: skip


def kind_of(spec: TaskSpec) -> str:
    """Return what kind of thing does a task."""
    if spec.control is not None:
        return spec.control.kind
    if spec.manual:
        return "person"
    return "agent" if spec.prompt is not None else "command"


def _asks(control: Control) -> str:
    """Return in a few words what a controller decides."""
    said = []
    condition = control.condition
    if condition is not None:
        said.append(condition.expression or condition.prompt or f"$ {condition.command}")
    if control.source is not None:
        said.append(control.source)
    if control.bound is not None:
        said.append(f"at most {control.bound}")
    if control.promotion is not None:
        said.append(control.promotion.strategy)
    if control.gate is not None:
        said.append(f"{control.gate.gate} {control.gate.role} on {control.gate.on}")
    return ", ".join(said)


@dataclass(frozen=True)
class Spread:
    """Who waits for whom, by number, with what controllers start among it."""

    #: Those that were given, and after them one of the kind `start` for each that starts others.
    parts: tuple[Part, ...]
    before: tuple[tuple[int, ...], ...]
    #: Each number after those that it waits for.
    order: tuple[int, ...]


def spread(parts: Sequence[Part]) -> Spread:
    """Let what a controller starts wait for what it waits for, and the controller for that."""
    every = list(parts)
    numbers = {part.id: number for number, part in enumerate(parts)}
    before = [[numbers[name] for name in part.after if name in numbers] for part in parts]
    starter = [numbers.get(part.starter) if part.starter else None for part in parts]
    starts: dict[int, int] = {}
    for holder in dict.fromkeys(one for one in starter if one is not None):
        starts[holder] = len(every)
        every.append(Part("", "", "start"))
        before.append(list(before[holder]))
    for holder, start in starts.items():
        outer = starter[holder]
        if outer is not None:
            before[start].append(starts[outer])
    for number, by in enumerate(starter):
        if by is not None:
            before[number].append(starts[by])
            before[by].append(number)
    is_ordered = all(one < number for number, waits in enumerate(before) for one in waits)
    order = tuple(range(len(every))) if is_ordered else depth_first(before).nodes
    return Spread(tuple(every), tuple(tuple(waits) for waits in before), order)
