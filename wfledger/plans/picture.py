"""What a plan looks like before it runs: depth, width, longest chain, collisions (spec 90.6)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core import scopes
from wfledger.core.scopes import Collision
from wfledger.plans import outline
from wfledger.plans.compiling import CompiledTask, Plan
from wfledger.plans.meeting import Meeting
from wfledger.plans.nodes.launch import Launch
from wfledger.plans.ordering import ancestors, depths, members
from wfledger.plans.outline import Spread

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
    #: Tasks that start an agent; of a tree of nodes with every round and item, at most.
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
    #: What a tree of nodes starts at most; None: the plan is no such tree.
    launch: Launch | None = None

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
            "launch": self.launch.as_json() if self.launch is not None else None,
        }


def draw(plan: Plan) -> Picture:
    """Return the picture of *plan*; controllers are no step of their own."""
    found = outline.spread(outline.of_tasks(plan))
    work = [number for number, part in enumerate(found.parts) if part.is_work]
    weights = [int(part.is_work) for part in found.parts]
    depth = depths(found.before, found.order, weights)
    widths = Counter(depth[number] for number in work)
    steps: list[list[str]] = [[] for _ in widths]
    for number in work:
        steps[depth[number] - 1].append(found.parts[number].label)
    listed, count = _collisions(plan.every, found)
    width = max(widths.values(), default=0)
    return Picture(
        tasks=len(plan.tasks),
        agents=plan.launch.agents if plan.launch else sum(p.kind == "agent" for p in found.parts),
        writers=sum(task.spec.writes and task.spec.control is None for task in plan.every),
        depth=len(steps),
        width=width,
        critical_path=tuple(_longest(found, depth)),
        steps=tuple(tuple(step) for step in steps),
        collisions=listed,
        collision_count=count,
        hints=_hints(plan, len(work), width, count),
        launch=plan.launch,
    )


def _longest(found: Spread, depth: Sequence[int]) -> list[str]:
    """Return the work of one longest chain, from its start."""
    if not depth:
        return []
    node = max(range(len(depth)), key=depth.__getitem__)
    chain = [node]
    while found.before[node]:
        node = max(found.before[node], key=depth.__getitem__)
        chain.append(node)
    return [found.parts[number].label for number in reversed(chain) if found.parts[number].is_work]


def _collisions(
    tasks: Sequence[CompiledTask], found: Spread
) -> tuple[tuple[Contact, ...], int]:
    """Return the first collisions, and how many there are."""
    # A candidate holds nothing: its review does.
    meeting = Meeting([
        () if task.spec.candidate_of else scopes.parse_all(task.spec.write) for task in tasks
    ])  # fmt: skip
    before = ancestors(found.before, found.order)
    apart = _apart(tasks)
    listed: list[Contact] = []
    count = 0
    seen = 0
    # One that stands earlier waits for no later one: each pair is seen once, from its later task.
    for right in (number for number in found.order if number < len(tasks)):
        if tasks[right].spec.write and not tasks[right].spec.candidate_of:
            met = meeting.met_by(right) & ~before[right] & ~apart.get(right, 0) & seen
            count += met.bit_count()
            listed.extend(
                _contact(tasks[left], tasks[right], meeting.witness(left, right))
                for left, _ in zip(members(met), range(LISTED - len(listed)), strict=False)
            )
        seen |= 1 << right
    return tuple(listed), count


def _apart(tasks: Sequence[CompiledTask]) -> dict[int, int]:
    """Return for each task those in the other arm of a condition, which never run beside it."""
    sides: dict[str, tuple[list[int], list[int]]] = {}
    parents = {task.node: task.spec.parent for task in tasks}
    for number, task in enumerate(tasks):
        node, holder = task.node, task.spec.parent
        while holder is not None:
            then, otherwise = sides.setdefault(holder, ([], []))
            (otherwise if node.startswith(f"{holder}.else.") else then).append(number)
            node, holder = holder, parents.get(holder)
    apart: dict[int, int] = {}
    for then, otherwise in sides.values():
        for mine, others in ((then, otherwise), (otherwise, then)):
            bits = sum(1 << number for number in others)
            for number in mine if bits else ():
                apart[number] = apart.get(number, 0) | bits
    return apart


def _contact(left: CompiledTask, right: CompiledTask, found: Collision | None) -> Contact:
    if found is None:
        raise AssertionError("scopes that meet have a witness")
    return Contact(left.given, right.given, found.left.text, found.right.text, found.witness)


def _hints(plan: Plan, work: int, width: int, collisions: int) -> tuple[str, ...]:
    hints = []
    if work > 1 and width == 1 and not any(task.phase == "expand" for task in plan.every):
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
