"""What a plan looks like before it runs: depth, width, longest chain, collisions (spec 90.6)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core import scopes
from wfledger.core.scopes import Collision
from wfledger.plans.compiling import CompiledTask, Plan
from wfledger.plans.meeting import Meeting
from wfledger.plans.ordering import ancestors, depths, members

#: Pairs that are listed with a witness; all are counted.
LISTED: Final = 50


@dataclass(frozen=True)
class Contact:
    """Two tasks without a path between them whose scopes meet: one will wait for the other."""

    left: str
    right: str
    left_pattern: str
    right_pattern: str
    witness: str

    def as_json(self) -> dict[str, str]:
        """Return the shape that `plan --json` prints."""
        return {
            "left": self.left, "right": self.right, "witness": self.witness,
            "left_pattern": self.left_pattern, "right_pattern": self.right_pattern,
        }  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """Facts about a plan."""

    tasks: int
    #: Tasks that start an agent.
    agents: int
    writers: int
    #: Tasks of the longest chain.
    depth: int
    #: The largest number of tasks that are equally many steps from the start.
    width: int
    #: Ids, as given, of one longest chain.
    critical_path: tuple[str, ...]
    #: For each step its tasks, as given.
    steps: tuple[tuple[str, ...], ...]
    #: The first collisions; `collision_count` counts all.
    collisions: tuple[Contact, ...]
    collision_count: int
    hints: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `plan --json` prints."""
        return {
            "tasks": self.tasks,
            "agents": self.agents,
            "writers": self.writers,
            "depth": self.depth,
            "width": self.width,
            "critical_path": list(self.critical_path),
            "steps": [list(step) for step in self.steps],
            "collisions": [contact.as_json() for contact in self.collisions],
            "collision_count": self.collision_count,
            "hints": list(self.hints),
        }


def draw(plan: Plan) -> Picture:
    """Return the picture of *plan*."""
    tasks = plan.tasks
    numbers = {task.node: number for number, task in enumerate(tasks)}
    edges = [[numbers[node] for node in task.spec.after] for task in tasks]
    # The tasks of a plan stand in a linear extension already.
    order = range(len(tasks))
    depth = depths(edges, order)
    widths = Counter(depth)
    steps: list[list[str]] = [[] for _ in range(max(depth, default=0))]
    for task, level in zip(tasks, depth, strict=True):
        steps[level - 1].append(task.given)
    listed, count = _collisions(tasks, edges)
    return Picture(
        tasks=len(tasks),
        agents=sum(task.spec.prompt is not None for task in tasks),
        writers=sum(task.spec.writes for task in tasks),
        depth=max(depth, default=0),
        width=max(widths.values(), default=0),
        critical_path=tuple(tasks[number].given for number in _longest(edges, depth)),
        steps=tuple(tuple(step) for step in steps),
        collisions=listed,
        collision_count=count,
        hints=_hints(plan, max(widths.values(), default=0), count),
    )


def _longest(edges: Sequence[Sequence[int]], depth: Sequence[int]) -> list[int]:
    """Return one longest chain, from its start."""
    if not depth:
        return []
    node = max(range(len(depth)), key=depth.__getitem__)
    chain = [node]
    while edges[node]:
        node = max(edges[node], key=depth.__getitem__)
        chain.append(node)
    return chain[::-1]


def _collisions(
    tasks: Sequence[CompiledTask], edges: Sequence[Sequence[int]]
) -> tuple[tuple[Contact, ...], int]:
    """Return the first collisions, and how many there are."""
    meeting = Meeting([scopes.parse_all(task.spec.write) for task in tasks])
    before = ancestors(edges, range(len(tasks)))
    listed: list[Contact] = []
    count = 0
    # An earlier task waits for no later one, so each pair is seen once, from its later task.
    for right, task in enumerate(tasks):
        if not task.spec.write:
            continue
        met = meeting.met_by(right) & ~before[right] & ((1 << right) - 1)
        count += met.bit_count()
        if met and len(listed) < LISTED:
            listed.extend(
                _contact(tasks[left], task, meeting.witness(left, right))
                for left, _ in zip(members(met), range(LISTED - len(listed)), strict=False)
            )
    return tuple(listed), count


def _contact(left: CompiledTask, right: CompiledTask, found: Collision | None) -> Contact:
    if found is None:
        raise AssertionError("scopes that meet have a witness")
    return Contact(left.given, right.given, found.left.text, found.right.text, found.witness)


def _hints(plan: Plan, width: int, collisions: int) -> tuple[str, ...]:
    hints = []
    if len(plan.tasks) > 1 and width == 1:
        hints.append(
            "this plan is serial: each task waits for the one before; leave out the edges that "
            "are not needed, or set `parallel: true` where tasks do not need each other"
        )
    if collisions:
        hints.append(
            "tasks that write the same paths run one after the other; narrow their scopes, or "
            "put an edge between them to say which goes first"
        )
    if plan.max_concurrent is not None and plan.max_concurrent < width:
        hints.append(f"{width} tasks could run at once, but the plan allows {plan.max_concurrent}")
    return tuple(hints)
