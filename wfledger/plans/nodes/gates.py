"""Where gates between roles stand among the tasks of a plan (spec 95.4, WFL-NODE-047)."""

from collections.abc import Iterable, Mapping, Sequence

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
    players = _players(compiled) if gates else {}
    for gate, name in zip(gates, _names(compiled, gates), strict=True):
        mine = players.get(gate.role.lower(), {})
        if not mine:
            continue  # that nobody plays the role was said (WFL-NODE-010)
        if gate.on == "role_start":
            _at_start(compiled, gate, name, tuple(mine))
        else:
            _at_end(compiled, gate, name, mine, setting)
        _hold_back(compiled, gate, name, players, setting.findings)


def _names(compiled: Compiled, gates: Sequence[GateDoc]) -> list[str]:
    """Return the name of each gate's task; nodes keep theirs."""
    if not gates:
        return []
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


def _players(compiled: Compiled) -> dict[str, dict[str, list[Node]]]:
    """Return for each role the tasks that have it, or start what has it, with those nodes."""
    found: dict[str, dict[str, list[Node]]] = {}
    for node in compiled.level.nodes:
        within: Iterable[Node] = walk(inside(node)) if isinstance(node, UNFOLDING) else (node,)
        for one in within:
            if isinstance(one, Leaf | Reduce) and one.plays is not None:
                tasks = found.setdefault(one.plays.lower(), {})
                tasks.setdefault(compiled.name_of(node), []).append(one)
    return found


def _at_end(
    compiled: Compiled, gate: GateDoc, name: str, mine: Mapping[str, Sequence[Node]],
    setting: Setting,
) -> None:  # fmt: skip
    members = tuple(mine)
    again = [node for nodes in mine.values() for node in nodes]
    arounds = [setting.narrowed.around[node].written() for node in again]
    if gate.on_fail == "retry" and any(one != arounds[0] for one in arounds):
        message = (
            f"{gate.label} tries nodes again that stand in branches which allow different things; "
            "give them the same permissions and budgets, or block"
        )
        setting.findings.error("unsupported_gate", message, gate.pointer)
    own = {node.id for node in again}
    wanted = (ref for node in again for ref in inputs_of(node) if ref not in own)
    level = compiled.level.stands
    outer = {ref: compiled.name_of(level[ref]) for ref in wanted if ref in level}
    control = specs.gate_control(
        gate, members=members, outer=outer, body=tuple(dict(node.raw) for node in again),
        args={"around": arounds[0], "lenient": setting.findings.lenient},
    )  # fmt: skip
    _put(compiled, gate, name, TaskSpec(
        control=control, on_failure="hold", after=members, inputs=members
    ))  # fmt: skip


def _at_start(compiled: Compiled, gate: GateDoc, name: str, mine: Sequence[str]) -> None:
    before = _Before(compiled)
    first = [task for task in mine if not before.waits(task, mine)]
    after = dict.fromkeys(one for task in first for one in compiled.tasks[task].spec.after)
    control = specs.gate_control(gate, members=tuple(after))
    _put(compiled, gate, name, TaskSpec(
        control=control, on_failure="hold", after=tuple(after), inputs=tuple(after)
    ))  # fmt: skip
    for task in mine:
        _wait(compiled, task, name)


def _hold_back(
    compiled: Compiled, gate: GateDoc, name: str,
    players: Mapping[str, Mapping[str, object]], findings: Findings,
) -> None:  # fmt: skip
    """Let the tasks of the blocked role that can come later wait for the gate."""
    if gate.blocks_role is None:
        return
    role = quote(gate.blocks_role)
    theirs = players.get(gate.blocks_role.lower(), {})
    before = _Before(compiled)
    later = [task for task in theirs if not before.waits(name, (task,))]
    if theirs and not later:
        _idle(gate, f"every node of the role {role} comes before it", findings)
    for task in later:
        _wait(compiled, task, name)


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


def _wait(compiled: Compiled, task: str, gate: str) -> None:
    spec = compiled.tasks[task].spec
    if gate not in spec.after:
        compiled.update(task, after=(*spec.after, gate), inputs=(*spec.inputs, gate))


def _put(compiled: Compiled, gate: GateDoc, name: str, spec: TaskSpec) -> None:
    compiled.tasks[name] = CompiledTask(name, gate.id, spec, "gate")


def _idle(gate: GateDoc, why: str, findings: Findings) -> None:
    findings.warn("not_enforced", f"{gate.label} holds nothing back: {why}", gate.pointer)
