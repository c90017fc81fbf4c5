"""The rules of the phases shape, in the order of the original (WFL-PLAN-013)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wfledger.core import bounds
from wfledger.plans import fields
from wfledger.plans.checks import uncovered
from wfledger.plans.model import CONFIG, PHASE, TASK, ConfigDoc, PhaseDoc, TaskDoc
from wfledger.plans.ordering import Order, ancestors, depth_first
from wfledger.plans.problems import Findings, Problem, join, quote
from wfledger.plans.terms import contradictions, tool_contradictions
from wfledger.plans.words import is_blank
from wfledger.plans.writing import (
    EVERYWHERE,
    Scope,
    Writer,
    hint_scopes,
    read_scope,
    report_overlaps,
)

#: What other shapes call the fields of this one.
_OTHER_NAMES: Final[Mapping[str, str]] = {
    "write": "file_scope", "scope": "file_scope", "inputs": "depends_on_results",
    "after": "depends_on", "timeout_s": "timeout",
}  # fmt: skip


@dataclass(frozen=True)
class Resolved:
    """A document without errors: its phases in order, their edges, the scopes of its tasks."""

    doc: ConfigDoc
    #: Indices of phases, dependencies first.
    order: tuple[int, ...]
    #: For each phase the indices of the phases that it waits for.
    edges: tuple[tuple[int, ...], ...]
    #: For each phase the scopes of its tasks.
    scopes: tuple[tuple[Scope, ...], ...]


def resolve(doc: ConfigDoc, findings: Findings) -> Resolved | None:
    """Apply every rule; None where what was found leaves nothing to compile."""
    _document_rules(doc, findings)
    count = sum(len(phase.tasks) for phase in doc.phases)
    if count > bounds.RUN_TASKS:
        message = f"the plan has {count} tasks; a run has at most {bounds.RUN_TASKS}"
        findings.error("too_many_tasks", message, "/phases")
        return None
    _declaration_rules(doc, findings)
    if findings.parse:
        return None
    names = {phase.name: index for index, phase in reversed(list(enumerate(doc.phases)))}
    scopes = []
    writers = sum(task.writes for phase in doc.phases for task in phase.tasks)
    for index, phase in enumerate(doc.phases):
        _dependency_rules(phase, index, names, findings)
        # WFL-PLAN-017: nothing of its own plan can meet the scope of a lone writer.
        missing = "missing_write_scope" if writers > 1 else None
        if phase.parallel:
            missing = "missing_parallel_write_scope"
        scopes.append(_scope_rules(phase, missing, findings))
    edges = _edges(doc, names)
    order = depth_first(edges)
    _cycle_rules(doc, order, findings)
    _result_rules(doc, edges, order, findings)
    return Resolved(doc, order.nodes, edges, tuple(scopes))


def report_late(late: Sequence[Problem], findings: Findings) -> None:
    """Report what was kept for this place in the order; unknown names are forgiven in lenient."""
    for problem in late:
        if problem.kind == "unknown_field":
            findings.strictly(problem.kind, problem.message, problem.pointer)
        else:
            findings.extend((problem,))


def report_unknown(
    unknown: Sequence[str], shape: fields.Shape, *, pointer: str, label: str,
    others: Mapping[str, str], findings: Findings,
) -> None:  # fmt: skip
    """Report fields that no dialect knows (WFL-PLAN-014)."""
    for name in unknown:
        hint = fields.did_you_mean(name, shape, others)
        message = f"{label} has the unknown field {quote(name)}{hint}"
        findings.strictly("unknown_field", message, join(pointer, name))


def _document_rules(doc: ConfigDoc, findings: Findings) -> None:
    """Apply steps 1 to 3, then what only wfledger knows."""
    if is_blank(doc.goal):
        findings.error("empty_field", "the `goal` of the plan is blank", "/goal")
    if not 1 <= doc.max_concurrent <= 20:
        message = f"`max_concurrent` is {doc.max_concurrent}; it goes from 1 to 20"
        findings.error("invalid_max_concurrent", message, "/max_concurrent")
    if not doc.phases and not findings.parse:
        findings.error("empty_workflow", "the plan has no phases", "/phases")
    report_late(doc.late, findings)
    if {"max_concurrent", "concurrency"} <= doc.names:
        message = "the plan has both `max_concurrent` and `concurrency`"
        findings.error("contradictory_fields", message, "/concurrency")
    report_unknown(doc.unknown, CONFIG, pointer="", label="the plan", others={}, findings=findings)


def _declaration_rules(doc: ConfigDoc, findings: Findings) -> None:
    """Apply step 4: names, ids, and each task by itself."""
    phases: set[str] = set()
    tasks: set[str] = set()
    for phase in doc.phases:
        if is_blank(phase.name):
            where = join(phase.pointer, "name")
            findings.error("empty_field", f"the name of {phase.label} is blank", where)
        if not phase.tasks and not findings.parse:
            where = join(phase.pointer, "tasks")
            findings.error("empty_phase", f"{phase.label} has no tasks", where)
        if phase.name in phases:
            message = f"two phases have the name {quote(phase.name)}"
            findings.error("duplicate_phase", message, join(phase.pointer, "name"))
        phases.add(phase.name)
        report_unknown(
            phase.unknown, PHASE, pointer=phase.pointer, label=phase.label,
            others=_OTHER_NAMES, findings=findings,
        )  # fmt: skip
        for task in phase.tasks:
            _task_rules(task, tasks, findings)
            tasks.add(task.id)


def _task_rules(task: TaskDoc, seen: set[str], findings: Findings) -> None:
    if is_blank(task.id):
        findings.error("empty_field", f"the id of {task.label} is blank", join(task.pointer, "id"))
    if task.prompt is not None and is_blank(task.prompt):
        message = f"the prompt of {task.label} is blank"
        findings.error("empty_field", message, join(task.pointer, "prompt"))
    if task.id in seen:
        message = f"two tasks have the id {quote(task.id)}"
        findings.error("duplicate_task", message, join(task.pointer, "id"))
    report_late(task.late, findings)
    findings.extend(contradictions(task.names, task.terms, task.pointer, task.label))
    scope = (task.file_scope or EVERYWHERE) if task.writes else ()
    findings.extend(tool_contradictions(task.terms, scope, task.pointer, task.label))
    for name, value in (("max_steps", task.max_steps), ("timeout_secs", task.timeout_secs)):
        if value == 0:
            message = f"`{name}` of {task.label} is 0; at least 1 is needed"
            findings.strictly("invalid_bound", message, join(task.pointer, name))
    report_unknown(
        task.unknown, TASK, pointer=task.pointer, label=task.label,
        others=_OTHER_NAMES, findings=findings,
    )  # fmt: skip


def _dependency_rules(
    phase: PhaseDoc, index: int, names: Mapping[str, int], findings: Findings
) -> None:
    """Apply step 5 (a)."""
    for place, name in enumerate(phase.depends_on):
        if name in names and names[name] != index:
            continue
        what = "itself" if name in names else f"{quote(name)}, which is no phase of this plan"
        message = f"{phase.label} depends on {what}"
        findings.error(
            "invalid_phase_dependency", message, join(phase.pointer, "depends_on", place)
        )


def _scope_rules(phase: PhaseDoc, missing: str | None, findings: Findings) -> tuple[Scope, ...]:
    """Apply step 5 (b): each scope, then the pairs of a parallel phase."""
    found = []
    for task in phase.tasks:
        writer = writer_of(task)
        scope = read_scope(writer, findings, missing=missing)
        hint_scopes(writer, scope, findings)
        wanted, allowed = task.terms.deliverables, task.file_scope if task.writes else ()
        findings.extend(uncovered(wanted, allowed, task.pointer, task.label))
        found.append(scope)
    if phase.parallel:
        chosen = [n for n, task in enumerate(phase.tasks) if task.writes and task.file_scope]
        report_overlaps(
            [writer_of(phase.tasks[n]) for n in chosen], [found[n] for n in chosen],
            quote(phase.name), findings,
        )  # fmt: skip
    return tuple(found)


def writer_of(task: TaskDoc) -> Writer:
    """Return what *task* says about writing."""
    return Writer(task.id, join(task.pointer, "file_scope"), task.file_scope, task.writes)


def _edges(doc: ConfigDoc, names: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(dict.fromkeys(
            names[name] for name in phase.depends_on if name in names and names[name] != index
        ))
        for index, phase in enumerate(doc.phases)
    )  # fmt: skip


def _cycle_rules(doc: ConfigDoc, order: Order, findings: Findings) -> None:
    """Apply step 6."""
    for cycle in order.cycles:
        phases = [doc.phases[index] for index in cycle.nodes]
        shown = [quote(phase.name) for phase in phases[:10]]
        shown += ["…"] if len(phases) > 10 else []
        message = f"phases depend on each other: {' → '.join((*shown, shown[0]))}"
        where = join(phases[0].pointer, "depends_on")
        findings.error("phase_dependency_cycle", message, where)


def _result_rules(
    doc: ConfigDoc, edges: Sequence[Sequence[int]], order: Order, findings: Findings
) -> None:
    """Apply step 7."""
    places: dict[str, tuple[int, int]] = {}
    for number, phase in enumerate(doc.phases):
        for index, task in enumerate(phase.tasks):
            places.setdefault(task.id, (number, index))
    rank = {phase: position for position, phase in enumerate(order.nodes)}
    asked = any(task.depends_on_results for phase in doc.phases for task in phase.tasks)
    before = ancestors(edges, order.nodes) if asked and not order.cycles else None
    for number, phase in enumerate(doc.phases):
        for index, entry, name in _results(phase):
            task = phase.tasks[index]
            where = join(task.pointer, "depends_on_results", entry)
            if name not in places:
                message = f"{task.label} needs the result of {quote(name)}, which is no task"
                findings.error("invalid_task_result_dependency", message, where)
            elif before is not None:
                _result_rule(
                    doc, (number, index), places[name],
                    paths=_Paths(rank, before), where=where, findings=findings,
                )  # fmt: skip


def _results(phase: PhaseDoc) -> Iterator[tuple[int, int, str]]:
    """Yield every entry of `depends_on_results`: task, place in the list, name."""
    for index, task in enumerate(phase.tasks):
        for entry, name in enumerate(task.depends_on_results):
            yield index, entry, name


@dataclass(frozen=True)
class _Paths:
    """The order of phases: their rank, and who waits for whom."""

    rank: Mapping[int, int]
    before: Sequence[int]


def _result_rule(
    doc: ConfigDoc, consumer: tuple[int, int], producer: tuple[int, int],
    *, paths: _Paths, where: str, findings: Findings,
) -> None:  # fmt: skip
    """Apply step 7 (b) and WFL-PLAN-016 to one result."""
    phase, other = doc.phases[consumer[0]], doc.phases[producer[0]]
    task, source = phase.tasks[consumer[1]], quote(other.tasks[producer[1]].id)
    kind = "unavailable_task_result_dependency"
    needs = f"{task.label} of phase {quote(phase.name)} needs the result of {source}"
    if consumer[0] == producer[0]:
        if phase.parallel or producer[1] >= consumer[1]:
            what = "runs at the same time" if phase.parallel else "does not run before it"
            findings.error(kind, f"{needs}, which {what}", where)
    elif paths.rank[producer[0]] > paths.rank[consumer[0]]:
        message = f"{needs}, whose phase {quote(other.name)} comes later"
        findings.error(kind, message, where)
    elif not paths.before[consumer[0]] >> producer[0] & 1:
        message = (
            f"{needs}, but no path of `depends_on` leads to its phase {quote(other.name)}; "
            f"add {quote(other.name)} to `depends_on` of {phase.label}"
        )
        if findings.lenient:
            findings.warn("added_edge", f"{message} (done for this task)", where)
        else:
            findings.error(kind, message, where)
