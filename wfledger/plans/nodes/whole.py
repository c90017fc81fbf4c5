"""Compiles a checked document of the node shape to a plan (spec 95.4)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from wfledger.core import bounds
from wfledger.core.documents import TaskSpec
from wfledger.core.records import canonical_json
from wfledger.plans.compiling import CompiledTask, Plan, renamed
from wfledger.plans.nodes.compiling import (
    Compiled,
    Setting,
    compile_level,
    hold_candidates,
    in_order,
    too_wide,
)
from wfledger.plans.nodes.edges import outside_of
from wfledger.plans.nodes.gates import set_gates
from wfledger.plans.nodes.launch import launch_of
from wfledger.plans.nodes.model import UNFOLDING, Loop, Node, SpecDoc, arms, walk
from wfledger.plans.nodes.narrowing import amounts
from wfledger.plans.nodes.placeholders import check_placeholders, widest
from wfledger.plans.nodes.rules import Resolved
from wfledger.plans.problems import Findings

#: What the names of the nodes in an arm of a condition begin with.
_ARMS: Final = {"then_nodes": "then.", "else_nodes": "else."}


def compile_plan(resolved: Resolved, findings: Findings) -> Plan | None:
    """Return the plan; None where something stands against it, after reporting."""
    doc = resolved.doc
    check_placeholders(doc.nodes, findings)
    setting = Setting(
        findings, resolved.narrowed, on_failure=doc.on_failure, promotion=doc.promotion
    )
    compiled = compile_level(doc.nodes, setting, chained=False)
    set_gates(compiled, doc.gates, setting)
    hold_candidates(compiled, findings)
    tasks = in_order(compiled, findings)
    if too_wide(tasks, findings) or _too_large(doc, findings):
        return None
    later = tuple(_later(compiled, setting))
    if findings.errors:
        return None
    return _plan(doc, tasks, later, findings)


def _plan(
    doc: SpecDoc, tasks: tuple[CompiledTask, ...], later: tuple[CompiledTask, ...],
    findings: Findings,
) -> Plan:  # fmt: skip
    limits = amounts(doc.budget)
    at_once = [many for many in (doc.concurrency, doc.budget.max_parallel) if many]
    return Plan(
        goal=doc.goal,
        name=doc.name or doc.id or "",
        max_concurrent=min(at_once, default=None),
        tasks=tasks,
        phase_order=(),
        warnings=tuple(findings.warnings),
        gate=doc.gate,
        budget=limits.budget,
        time_s=limits.time_s,
        later=later,
        launch=launch_of(doc.nodes),
    )


def _too_large(doc: SpecDoc, findings: Findings) -> bool:
    """Report bodies that no document of a task can hold (WFL-NODE-048)."""
    found = False
    for node in walk(doc.nodes):
        if not isinstance(node, UNFOLDING):
            continue
        size = len(canonical_json(node.raw))
        if size > bounds.TASK_BYTES // 2:
            message = f"{node.label} holds {size} bytes; at most {bounds.TASK_BYTES // 2}"
            findings.error("too_large", message, node.pointer)
            found = True
    return found


def _later(compiled: Compiled, setting: Setting) -> Iterator[CompiledTask]:
    """Yield what the controllers of a level may start, and what is started by that, once each."""
    pending = list(_with_nodes(compiled))
    while pending:
        task, node = pending.pop()
        inner: list[tuple[CompiledTask, Node | None]] = []
        if isinstance(node, UNFOLDING):
            outer = dict.fromkeys(outside_of(node), task.node)
            for arm, nodes in arms(node):
                inner += _inside(task, arm, nodes, replace(setting, outer=outer))
        yield from (one for one, _ in inner)
        pending.extend(inner)
        last = [one.node for one, _ in inner] if isinstance(node, Loop) else []
        yield from _asked(task, last)


def _with_nodes(compiled: Compiled) -> Iterator[tuple[CompiledTask, Node | None]]:
    nodes = {compiled.name_of(node): node for node in compiled.level.nodes}
    yield from ((task, nodes.get(name)) for name, task in compiled.tasks.items())


def _inside(
    holder: CompiledTask, arm: str, nodes: Sequence[Node], setting: Setting
) -> list[tuple[CompiledTask, Node | None]]:
    """Return the tasks of one arm of a controller, by the names that they have in the plan."""
    inner = compile_level(nodes, setting, chained=arm != "template")
    hold_candidates(inner, setting.findings)
    prefix = f"{holder.node}.{_ARMS.get(arm, '')}"
    names = {one: f"{prefix}{one}" for one in inner.tasks} | {holder.node: holder.node}
    by_name = {inner.name_of(node): node for node in inner.level.nodes}
    found: list[tuple[CompiledTask, Node | None]] = []
    for task in in_order(inner, setting.findings):
        spec = _as_wide_as_can_be(task.spec, names, holder=holder.node)
        one = CompiledTask(names[task.node], task.given, spec, task.phase)
        found.append((one, by_name.get(task.node)))
    return found


def _asked(task: CompiledTask, after: Sequence[str]) -> Iterator[CompiledTask]:
    """Yield the tasks that answer the questions of a controller: probes and judges."""
    control = task.spec.control
    if control is None:
        return
    questions = (control.condition, *dict.fromkeys(control.judges))
    for number, one in enumerate(questions):
        if one is None or one.expression is not None:
            continue
        label = "asks" if number == 0 else f"judge{number}"
        spec = TaskSpec(
            command=one.command, prompt=None if one.command is not None else one.prompt or "",
            role=one.role, probe=one.command is not None, agent_type="verifier",
            on_failure="skip_continue", parent=task.node, after=tuple(after),
            network=task.spec.network,
        )  # fmt: skip
        yield CompiledTask(f"{task.node}.{label}", f"{task.given} {label}", spec, label)


def _as_wide_as_can_be(spec: TaskSpec, names: Mapping[str, str], *, holder: str) -> TaskSpec:
    """Return the spec of what may be started, with a scope that covers all that values can make."""
    spec = renamed(spec, names)
    return spec.but(
        parent=holder,
        after=tuple(name for name in spec.after if name != holder),
        inputs=tuple(name for name in spec.inputs if name != holder),
        write=tuple(dict.fromkeys(widest(text) for text in spec.write)),
    )
