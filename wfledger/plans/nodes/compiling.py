"""Compiles nodes that start together to tasks of the ledger (spec 95.4).

Every node becomes a task: a leaf and a reduce with a prompt or a command work, all others are
controllers. What is inside of a loop, a condition or an expand is compiled when its controller
starts it (`bodies`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.core import choice
from wfledger.core.control import Control, Promotion
from wfledger.core.documents import TaskSpec
from wfledger.plans import naming
from wfledger.plans.compiling import COMPILED_EDGES, PLAN_EDGES, CompiledTask
from wfledger.plans.nodes import specs
from wfledger.plans.nodes.edges import Level, inputs_of, level_of, outside_of
from wfledger.plans.nodes.model import (
    PICKING,
    UNFOLDING,
    Chain,
    Cond,
    Expand,
    Group,
    Leaf,
    Loop,
    Node,
    Reduce,
    Review,
    inside,
    kind_of,
)
from wfledger.plans.nodes.narrowing import Narrowed
from wfledger.plans.ordering import depth_first
from wfledger.plans.problems import Findings, join, quote

#: Members that one controller holds; more are held by controllers in between.
MEMBERS: Final = 500


@dataclass(frozen=True)
class Setting:
    """What nodes are compiled in: what each of them may, and what is known around them."""

    findings: Findings
    narrowed: Narrowed
    #: Of controllers without one of their own.
    on_failure: str = "skip_continue"
    #: Of reviews without one of their own.
    promotion: Promotion = field(default_factory=Promotion)
    #: Names outside of the nodes that are compiled -> their tasks.
    outer: Mapping[str, str] = field(default_factory=dict)
    #: What placeholders inside of bodies stand for.
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Compiled:
    """The tasks of one level by their names, and who became what."""

    level: Level
    #: Id of a node -> name of its task.
    names: dict[str, str]
    tasks: dict[str, CompiledTask] = field(default_factory=dict)

    def name_of(self, node: Node) -> str:
        """Return the name of the task that *node* became."""
        return self.names[node.id]

    def update(self, name: str, **changes: Any) -> None:
        """Change the spec of a task."""
        old = self.tasks[name]
        self.tasks[name] = CompiledTask(name, old.given, old.spec.but(**changes), old.phase)


def compile_level(nodes: Sequence[Node], setting: Setting, *, chained: bool) -> Compiled:
    """Return the tasks of *nodes*, without their order and without gates."""
    level = level_of(nodes, chained=chained)
    compiled = Compiled(level, naming.nodes(node.id for node in level.nodes))
    _report_clashes(compiled, setting.findings)
    builder = _Builder(compiled, setting)
    for node in level.nodes:
        builder.add(node)
    return compiled


def _report_clashes(compiled: Compiled, findings: Findings) -> None:
    """Report names that what a controller starts could get as well (WFL-NODE-046)."""
    starting = {
        compiled.name_of(node): node for node in compiled.level.nodes
        if isinstance(node, (*UNFOLDING, Review)) or _starts_more(node)
    }  # fmt: skip
    for node in compiled.level.nodes:
        parts = compiled.name_of(node).split(".")
        heads = (".".join(parts[:length]) for length in range(1, len(parts)))
        other = next((starting[head] for head in heads if head in starting), None)
        if other is not None:
            message = (
                f"{node.label} could have the id of a task that {other.label} starts; "
                "give it another id"
            )
            findings.error("clashing_id", message, join(node.pointer, "id"))


def _starts_more(node: Node) -> bool:
    if isinstance(node, Leaf):
        return node.best_of is not None
    return len(inside(node)) > MEMBERS


class _Builder:
    """Makes the task of each node."""

    def __init__(self, compiled: Compiled, setting: Setting) -> None:
        self._compiled = compiled
        self._setting = setting
        self._makers: Mapping[type, Callable[[Any], None]] = {
            Leaf: self._leaf, Reduce: self._reduce, Review: self._review, Group: self._group,
            Chain: self._group, Loop: self._unfolding, Cond: self._unfolding,
            Expand: self._unfolding,
        }  # fmt: skip

    def add(self, node: Node) -> None:
        """Add the task, or the tasks, of *node*."""
        self._makers[type(node)](node)

    def _place(self, node: Node) -> tuple[str, ...]:
        before = self._compiled.level.before.get(node)
        return () if before is None else (self._compiled.name_of(before),)

    def _stands(self, name: str) -> str | None:
        """Return the task that stands for *name*; None for what is no node."""
        node = self._compiled.level.stands.get(name)
        return self._setting.outer.get(name) if node is None else self._compiled.name_of(node)

    def _tasks(self, names: Iterable[str]) -> tuple[str, ...]:
        found = (self._stands(name) for name in names)
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def _put(
        self, node: Node, spec: TaskSpec, inputs: tuple[str, ...], name: str | None = None
    ) -> None:
        after = tuple(dict.fromkeys((*self._place(node), *inputs)))
        self._keep(node, spec.but(after=after, inputs=inputs), name)

    def _keep(self, node: Node, spec: TaskSpec, name: str | None = None) -> None:
        own = self._compiled.name_of(node)
        name = name or own
        given = f"{node.id}{name.removeprefix(own)}"
        if self._setting.narrowed.network(node) is False:
            spec = spec.but(network=False)
        self._compiled.tasks[name] = CompiledTask(name, given, spec, kind_of(node))

    def _controller(self, control: Control, on_failure: str | None = None) -> TaskSpec:
        policy: Any = on_failure or self._setting.on_failure
        return TaskSpec(control=control, on_failure=policy)

    def _leaf(self, node: Leaf) -> None:
        spec = specs.leaf_spec(node, self._setting.narrowed.allowed[node])
        inputs = self._tasks(inputs_of(node))
        if node.best_of is None:
            self._put(node, spec, inputs)
            return
        name = self._compiled.name_of(node)
        found = choice.best_of(name, spec, node.best_of, judges=specs.judges_of(node.judge))
        for one, attempt in found.tries.items():
            self._put(node, attempt, inputs, one)
        self._keep(node, found.review)

    def _reduce(self, node: Reduce) -> None:
        inputs = self._tasks(inputs_of(node))
        if node.is_neutral:
            control = Control(kind="reduce", members=inputs)
            self._put(node, self._controller(control, node.on_failure), inputs)
        else:
            allowed = self._setting.narrowed.allowed[node]
            self._put(node, specs.reduce_spec(node, allowed), inputs)

    def _review(self, node: Review) -> None:
        policy = node.policy(self._setting.promotion)
        members = self._candidates(node) if policy.strategy in PICKING else ()
        members = members or self._tasks(node.candidates)
        control = specs.review_control(node, policy, members)
        self._put(node, self._controller(control).but(allow_no_change=True), members)

    def _candidates(self, node: Review) -> tuple[str, ...]:
        """Return what is chosen among: of branches the one task in each that writes, if any."""
        found: list[str] = []
        for given in node.candidates:
            candidate = self._compiled.level.stands.get(given)
            if candidate is None or candidate.id != given:
                found.extend(self._tasks((given,)))
            else:
                found.extend(self._compiled.name_of(one) for one in contenders(candidate))
        return tuple(dict.fromkeys(found))

    def _group(self, node: Group | Chain) -> None:
        members = [self._compiled.name_of(child) for child in node.children]
        if len(members) > MEMBERS:
            starts = range(0, len(members), MEMBERS)
            members = [self._part(node, members, start) for start in starts]
        self._hold(node, None, tuple(members))

    def _part(self, node: Group | Chain, members: Sequence[str], start: int) -> str:
        """Put a controller between a wide group and some of its members, for a task has a bound."""
        name = f"{self._compiled.name_of(node)}.part{start // MEMBERS + 1}"
        self._hold(node, name, tuple(members[start : start + MEMBERS]))
        return name

    def _hold(self, node: Group | Chain, name: str | None, members: tuple[str, ...]) -> None:
        kind: Final = "branch_set" if isinstance(node, Group) else "sequence"
        spec = self._controller(Control(kind=kind, members=members))
        self._keep(node, spec.but(after=members or self._place(node)), name)

    def _unfolding(self, node: Loop | Cond | Expand) -> None:
        outer = {
            name: task for name in outside_of(node) if (task := self._stands(name)) is not None
        }
        common = {"outer": outer, **self._surroundings(node)}
        if isinstance(node, Loop):
            control = specs.loop_control(node, **common)
        elif isinstance(node, Cond):
            control = specs.cond_control(node, **common)
        else:
            control = specs.expand_control(node, **common)
        self._put(node, self._controller(control), tuple(dict.fromkeys(outer.values())))

    def _surroundings(self, node: Node) -> dict[str, Any]:
        """Return what `bodies.unfold` needs to know of the surroundings of a body."""
        setting = self._setting
        return {
            "around": setting.narrowed.around[node].written(),
            "lenient": setting.findings.lenient,
            "values": dict(setting.values),
            "reviews": None if setting.promotion == Promotion() else setting.promotion,
        }


def contenders(node: Node) -> list[Node]:
    """Return the nodes that compete where *node* is named as a candidate.

    Branches that run at once compete with each other; one after the other they are one piece of
    work, whose result is that of the task in it that writes.
    """
    if isinstance(node, Group) and node.parallel:
        return [one for child in node.children for one in contenders(child)]
    if isinstance(node, Group | Chain):
        within = [one for child in node.children for one in contenders(child)]
        writers: list[Node] = [one for one in within if isinstance(one, Leaf) and one.writes]
        return writers if len(writers) == 1 else [node]
    return [node]


def _held_by(node: Node, compiled: Compiled) -> tuple[str, ...]:
    """Return what a review chooses among; nothing where it does not, or is none."""
    control = compiled.tasks[compiled.name_of(node)].spec.control
    if not isinstance(node, Review) or control is None or control.promotion is None:
        return ()
    return control.members if control.promotion.strategy in PICKING else ()


def hold_candidates(compiled: Compiled, findings: Findings) -> None:
    """Keep what candidates write from landing until their review has chosen (WFL-NODE-045)."""
    for node in compiled.level.nodes:
        members = _held_by(node, compiled)
        if not members:
            continue
        scope: list[str] = []
        contracts: list[str] = []
        for name in members:
            member = compiled.tasks.get(name)
            if member is None or member.spec.control is not None or member.spec.candidate_of:
                message = (
                    f"what {quote(name)} changes lands whatever {node.label} chooses; name single "
                    "leaves as its candidates, and each in one review"
                )
                findings.warn("not_enforced", message, join(node.pointer, "candidates"))
            elif member.spec.writes:
                compiled.update(name, candidate_of=compiled.name_of(node))
                scope.extend(member.spec.write)
                contracts.extend(member.spec.contracts)
        compiled.update(
            compiled.name_of(node), write=tuple(dict.fromkeys(scope)),
            contracts=tuple(dict.fromkeys(contracts)),
        )  # fmt: skip


def in_order(compiled: Compiled, findings: Findings) -> tuple[CompiledTask, ...]:
    """Return the tasks, each after those it waits for; in lenient what closes a circle goes."""
    tasks = list(compiled.tasks.values())
    numbers = {task.node: number for number, task in enumerate(tasks)}
    edges = [
        [numbers[name] for name in task.spec.after if name in numbers] for task in tasks
    ]
    order = depth_first(edges)
    for cycle in order.cycles:
        shown = [quote(tasks[number].given) for number in cycle.nodes[:10]]
        shown += ["…"] if len(cycle.nodes) > 10 else []
        message = f"nodes wait for each other: {' → '.join((*shown, shown[0]))}"
        if findings.lenient:
            findings.warn("dropped_edge", f"{message}; the last edge is left out", "/nodes")
        else:
            findings.error("dependency_cycle", message, "/nodes")
    placed = [tasks[number] for number in order.nodes]
    return _without_circles(placed) if order.cycles else tuple(placed)


def _without_circles(placed: Sequence[CompiledTask]) -> tuple[CompiledTask, ...]:
    """Return the tasks without the edges to those that stand later."""
    later = {task.node for task in placed}
    result = []
    for task in placed:
        after = tuple(name for name in task.spec.after if name not in later)
        inputs = tuple(name for name in task.spec.inputs if name not in later)
        later.discard(task.node)
        spec = task.spec.but(after=after, inputs=inputs)
        result.append(CompiledTask(task.node, task.given, spec, task.phase))
    return tuple(result)


def too_wide(tasks: Sequence[CompiledTask], findings: Findings) -> bool:
    """Report a plan with more edges than can be kept; return whether it is one."""
    widest = max((len(task.spec.after) for task in tasks), default=0)
    total = sum(len(task.spec.after) for task in tasks)
    if widest <= COMPILED_EDGES and total <= PLAN_EDGES:
        return False
    message = (
        f"a node waits for {widest} others, and all together for {total}: at most "
        f"{COMPILED_EDGES} for one and {PLAN_EDGES} for a plan; put a branch_set between"
    )
    findings.error("too_many_edges", message, "/nodes")
    return True
