"""Where gates between roles stand among the tasks of a plan (spec 95.4, WFL-NODE-047)."""

from collections.abc import Iterable, Mapping, Sequence

from wfledger.core.control import Control
from wfledger.core.documents import TaskSpec
from wfledger.plans import naming
from wfledger.plans.compiling import CompiledTask
from wfledger.plans.nodes import specs
from wfledger.plans.nodes.compiling import Compiled, Setting, in_order
from wfledger.plans.nodes.edges import inputs_of
from wfledger.plans.nodes.model import UNFOLDING, GateDoc, Leaf, Node, Reduce, inside, walk
from wfledger.plans.ordering import ancestors
from wfledger.plans.problems import Findings, quote


def set_gates(compiled: Compiled, gates: Sequence[GateDoc], setting: Setting) -> None:
    """Add a controller for each gate, and let what it holds back wait for it."""
    if gates:
        setter = _Setter(compiled, setting)
        for gate, name in zip(gates, _names(compiled, gates), strict=True):
            setter.set(gate, name)


def _names(compiled: Compiled, gates: Sequence[GateDoc]) -> list[str]:
    """Return the name of each gate's task; nodes keep theirs."""
    taken = set(compiled.tasks)
    given: list[str] = []
    for gate in gates:
        wanted = gate.id
        while wanted in taken:
            wanted = f"gate {wanted}"
        taken.add(wanted)
        given.append(wanted)
    found = naming.nodes((*compiled.tasks, *given))
    return [found[one] for one in given]


class _Setter:
    """Puts gates among the tasks of a plan, one after the other."""

    def __init__(self, compiled: Compiled, setting: Setting) -> None:
        self._compiled = compiled
        self._setting = setting
        #: Role -> the tasks that have it, or start what has it -> those nodes.
        self._players: dict[str, dict[str, list[Node]]] = {}
        for node in compiled.level.nodes:
            within: Iterable[Node] = walk(inside(node)) if isinstance(node, UNFOLDING) else (node,)
            for one in within:
                if isinstance(one, Leaf | Reduce) and one.plays is not None:
                    tasks = self._players.setdefault(one.plays.lower(), {})
                    tasks.setdefault(compiled.name_of(node), []).append(one)

    def set(self, gate: GateDoc, name: str) -> None:
        """Add the controller *name* for *gate*."""
        mine = self._players.get(gate.role.lower(), {})
        if not mine and (gate.on == "role_start" or gate.blocks_role is None):
            return  # that nobody plays the role was said (WFL-NODE-014)
        if not mine:
            # Nobody will ever pass it: open, it would let everything through (WFL-CTRL-041).
            self._put(gate, name, specs.gate_control(gate))
        elif gate.on == "role_start":
            self._at_start(gate, name, tuple(mine))
        else:
            self._at_end(gate, name, mine)
        if gate.blocks_role is not None:
            self._hold_back(gate, name, gate.blocks_role)

    def _at_end(self, gate: GateDoc, name: str, mine: Mapping[str, Sequence[Node]]) -> None:
        again = [node for nodes in mine.values() for node in nodes]
        arounds = [self._setting.narrowed.around[node].written() for node in again]
        if gate.on_fail == "retry" and any(one != arounds[0] for one in arounds):
            message = (
                f"{gate.label} tries nodes again that stand in branches which allow different "
                "things; give them the same permissions and budgets, or block"
            )
            self._setting.findings.error("unsupported_gate", message, gate.pointer)
        own = {node.id for node in again}
        wanted = (ref for node in again for ref in inputs_of(node) if ref not in own)
        level = self._compiled.level.stands
        self._put(gate, name, specs.gate_control(
            gate, members=tuple(mine), body=tuple(dict(node.raw) for node in again),
            outer={ref: self._compiled.name_of(level[ref]) for ref in wanted if ref in level},
            around=arounds[0], lenient=self._setting.findings.lenient,
        ))  # fmt: skip

    def _at_start(self, gate: GateDoc, name: str, mine: Sequence[str]) -> None:
        if gate.on_fail == "retry":
            message = f"{gate.label} has nothing to try again at the start of a role: it escalates"
            self._setting.findings.warn("not_enforced", message, gate.pointer)
        before = _Before(self._compiled)
        first = [task for task in mine if not before.waits(task, mine)]
        tasks = self._compiled.tasks
        members = dict.fromkeys(one for task in first for one in tasks[task].spec.after)
        self._put(gate, name, specs.gate_control(gate, members=tuple(members)))
        for task in mine:
            self._wait(task, name)

    def _put(self, gate: GateDoc, name: str, control: Control) -> None:
        # What it holds back waits until it has passed, whatever the plan does about failures.
        spec = TaskSpec(
            title=f"{gate.gate} of {gate.role}", control=control, on_failure="hold",
            after=control.members, inputs=control.members,
        )  # fmt: skip
        self._compiled.tasks[name] = CompiledTask(name, gate.id, spec, "gate")

    def _hold_back(self, gate: GateDoc, name: str, role: str) -> None:
        """Let the tasks of the blocked role that can come later wait for the gate."""
        theirs = self._players.get(role.lower(), {})
        before = _Before(self._compiled)
        later = [task for task in theirs if not before.waits(name, (task,))]
        if theirs and not later:
            message = (
                f"{gate.label} holds nothing back: every node of the role {quote(role)} comes "
                "before it"
            )
            self._setting.findings.warn("not_enforced", message, gate.pointer)
        for task in later:
            self._wait(task, name)

    def _wait(self, task: str, gate: str) -> None:
        spec = self._compiled.tasks[task].spec
        if gate not in spec.after:
            # Its inputs, too: what the role came to in the end is known by the gate.
            self._compiled.update(task, after=(*spec.after, gate), inputs=(*spec.inputs, gate))


class _Before:
    """Who waits for whom, at any distance."""

    def __init__(self, compiled: Compiled) -> None:
        self._tasks = in_order(compiled, Findings(lenient=True))
        self._numbers = {task.node: number for number, task in enumerate(self._tasks)}
        edges = [
            [self._numbers[one] for one in task.spec.after if one in self._numbers]
            for task in self._tasks
        ]
        self._sets = ancestors(edges, range(len(edges)))

    def waits(self, task: str, others: Iterable[str]) -> bool:
        """Whether *task* waits for one of *others*."""
        mine = self._sets[self._numbers[task]]
        return any(mine >> self._numbers[other] & 1 for other in others)
