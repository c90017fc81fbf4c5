"""The short form: a document with `tasks`, and the phases document that it stands for (spec 90.5).

Errors are found here, in the words and places of the short form; what has none of them is written
out as a phases document with one phase for each task, and that is what is compiled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.documents import Check, Gate, Limits, Retry
from wfledger.errors import PlanError
from wfledger.plans import durations, fields
from wfledger.plans.budgets import Allowance, read_budget, write_budget, write_model
from wfledger.plans.checks import read_checks, read_gate, uncovered, write_check, write_gate
from wfledger.plans.fields import Field, Site
from wfledger.plans.model import AGENT_TYPES, ON_FAILURE, UNLIMITED
from wfledger.plans.ordering import ancestors, depth_first
from wfledger.plans.problems import Findings, Problem, join, quote
from wfledger.plans.rules import report_late, report_unknown
from wfledger.plans.terms import (
    TERMS,
    Terms,
    contradictions,
    read_retry,
    split,
    tool_contradictions,
)
from wfledger.plans.words import is_blank, read_label, read_pattern
from wfledger.plans.writing import Writer, hint_scopes, read_scope

_OTHER_NAMES: Final[Mapping[str, str]] = {
    "file_scope": "write", "scope": "write", "depends_on": "after", "timeout_s": "timeout",
    "depends_on_results": "inputs", "timeout_secs": "timeout", "provider": "worker",
}  # fmt: skip


@dataclass(frozen=True)
class ShortTask:
    """One task of the short form."""

    pointer: str
    label: str
    names: frozenset[str]
    unknown: tuple[str, ...]
    late: tuple[Problem, ...]
    terms: Terms
    id: str
    prompt: str | None = None
    agent_type: str | None = None
    write: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    inputs: tuple[str, ...] | None = None
    on_failure: str | None = None
    plays: str | None = None


@dataclass(frozen=True)
class ShortDoc:
    """A whole document of the short form, with the defaults for its tasks."""

    unknown: tuple[str, ...]
    late: tuple[Problem, ...]
    goal: str = "?"
    name: str | None = None
    description: str | None = None
    max_concurrent: int | None = None
    gate: Gate | None = None
    role: str | None = None
    verify: tuple[Check, ...] = ()
    timeout: float | None = None
    retry: Retry | None = None
    on_failure: str = "hold"
    budget: Allowance | None = None
    tasks: tuple[ShortTask, ...] = ()


TASK: Final[fields.Shape] = {
    "id": Field(fields.text, required=True),
    "prompt": Field(fields.text, optional=True),
    "agent_type": Field(fields.choice(*AGENT_TYPES), optional=True),
    "write": Field(fields.many(read_pattern, "pattern")),
    "after": Field(fields.many(fields.text, "entry")),
    "inputs": Field(fields.many(fields.text, "entry")),
    "on_failure": Field(fields.choice(*ON_FAILURE), optional=True),
    "plays": Field(read_label, optional=True),
    **TERMS,
}


def _task(value: object, site: Site) -> Any:
    name = value.get("id") if isinstance(value, dict) else None
    label = f"task {quote(name)}" if isinstance(name, str) else site.label
    inner = Site(site.pointer, label, site.parse)
    given = fields.read_object(value, TASK, inner)
    if given is None:
        return fields.BAD
    terms, rest = split(given.values)
    rest.setdefault("id", f"\ufffd{site.pointer}")
    if not ({"prompt", "command"} & given.names or terms.manual):
        missing = inner.under("prompt", f"`prompt` of {label}")
        missing.wrong("is missing (or give a `command`, or `manual: true`)")
    return ShortTask(
        pointer=site.pointer, label=label, names=given.names, unknown=given.unknown,
        late=tuple(inner.late), terms=terms, **rest,
    )  # fmt: skip


DOCUMENT: Final[fields.Shape] = {
    "goal": Field(fields.text, required=True),
    "name": Field(fields.text, optional=True),
    "description": Field(fields.text, optional=True),
    "worker": Field(TERMS["worker"].read, into="role", optional=True),
    "verify": Field(read_checks, optional=True),
    "max_concurrent": Field(fields.ranged(1, bounds.MAX_SLOTS), optional=True),
    "gate": Field(read_gate, optional=True),
    "budget": Field(read_budget, optional=True),
    "timeout": Field(fields.duration, optional=True),
    "retry": Field(read_retry, optional=True),
    "on_failure": Field(fields.choice(*ON_FAILURE), optional=True),
    "tasks": Field(fields.many(_task, "task")),
}


def desugar(document: object, *, lenient: bool = False) -> dict[str, Any]:
    """Return the phases document that *document* stands for; raises `PlanError` on errors."""
    findings = Findings(lenient=lenient)
    result = expand(document, findings)
    if result is None:
        errors = findings.errors
        raise PlanError(
            f"{errors[0].pointer or '/'}: {errors[0].message}",
            errors=[problem.as_json() for problem in errors],
        )
    return result


def expand(document: object, findings: Findings) -> dict[str, Any] | None:
    """Check *document* and return its phases document; None if it has errors."""
    doc = _read(document, findings)
    if doc is None:
        return None
    _document_rules(doc, findings)
    if len(doc.tasks) > bounds.RUN_TASKS:
        message = f"the plan has {len(doc.tasks)} tasks; a run has at most {bounds.RUN_TASKS}"
        findings.error("too_many_tasks", message, "/tasks")
        return None
    _task_rules(doc, findings)
    scopes = [_scope(task, findings) for task in doc.tasks]
    if not findings.parse:
        _graph_rules(doc, findings)
    return None if findings.errors else _phases(doc, scopes)


def _read(document: object, findings: Findings) -> ShortDoc | None:
    site = Site("", "the plan", findings.parse)
    given = fields.read_object(document, DOCUMENT, site)
    if given is None:
        return None
    return ShortDoc(unknown=given.unknown, late=tuple(site.late), **given.values)


def _document_rules(doc: ShortDoc, findings: Findings) -> None:
    if is_blank(doc.goal):
        findings.error("empty_field", "the `goal` of the plan is blank", "/goal")
    if not doc.tasks and not findings.parse:
        findings.error("empty_workflow", "the plan has no tasks", "/tasks")
    report_late(doc.late, findings)
    report_unknown(
        doc.unknown, DOCUMENT, pointer="", label="the plan", others=_OTHER_NAMES,
        findings=findings,
    )  # fmt: skip


def _task_rules(doc: ShortDoc, findings: Findings) -> None:
    seen: set[str] = set()
    for task in doc.tasks:
        where = join(task.pointer, "id")
        if is_blank(task.id):
            findings.error("empty_field", f"the id of {task.label} is blank", where)
        if task.prompt is not None and is_blank(task.prompt):
            message = f"the prompt of {task.label} is blank"
            findings.error("empty_field", message, join(task.pointer, "prompt"))
        if task.id in seen:
            findings.error("duplicate_task", f"two tasks have the id {quote(task.id)}", where)
        seen.add(task.id)
        report_late(task.late, findings)
        findings.extend(contradictions(task.names, task.terms, task.pointer, task.label))
        findings.extend(tool_contradictions(task.terms, task.write, task.pointer, task.label))
        report_unknown(
            task.unknown, TASK, pointer=task.pointer, label=task.label,
            others=_OTHER_NAMES, findings=findings,
        )  # fmt: skip


def _scope(task: ShortTask, findings: Findings) -> tuple[str, ...]:
    writer = Writer(task.id, join(task.pointer, "write"), task.write, writes=bool(task.write))
    scope = read_scope(writer, findings, missing=None)
    hint_scopes(writer, scope, findings)
    wanted = task.terms.deliverables
    findings.extend(uncovered(wanted, task.write, task.pointer, task.label))
    return scope.write


def _graph_rules(doc: ShortDoc, findings: Findings) -> None:
    """Report unknown dependencies, then cycles, then inputs that are not there in time."""
    numbers = {task.id: number for number, task in reversed(list(enumerate(doc.tasks)))}
    for task in doc.tasks:
        for place, name in enumerate(task.after):
            if name in numbers and name != task.id:
                continue
            what = "itself" if name in numbers else f"{quote(name)}, which is no task of this plan"
            where = join(task.pointer, "after", place)
            findings.error("invalid_task_dependency", f"{task.label} is after {what}", where)
    edges = [
        [numbers[name] for name in task.after if name in numbers and name != task.id]
        for task in doc.tasks
    ]
    order = depth_first(edges)
    for cycle in order.cycles:
        shown = [quote(doc.tasks[number].id) for number in cycle.nodes[:10]]
        shown += ["…"] if len(cycle.nodes) > 10 else []
        message = f"tasks wait for each other: {' → '.join((*shown, shown[0]))}"
        where = join(doc.tasks[cycle.nodes[0]].pointer, "after")
        findings.error("dependency_cycle", message, where)
    before = None if order.cycles else ancestors(edges, order.nodes)
    _input_rules(doc, numbers, before, findings)


def _input_rules(
    doc: ShortDoc, numbers: Mapping[str, int], before: Sequence[int] | None, findings: Findings
) -> None:
    for task in doc.tasks:
        for place, name in enumerate(task.inputs or ()):
            where = join(task.pointer, "inputs", place)
            if name not in numbers:
                message = f"{task.label} takes the result of {quote(name)}, which is no task"
                findings.error("invalid_task_result_dependency", message, where)
            elif before is not None and not before[numbers[task.id]] >> numbers[name] & 1:
                message = (
                    f"{task.label} takes the result of {quote(name)}, but no path of `after` "
                    f"leads there; add {quote(name)} to its `after`"
                )
                findings.error("unavailable_task_result_dependency", message, where)


# --- writing it out


def _phases(doc: ShortDoc, scopes: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    limit = UNLIMITED if doc.max_concurrent is None else doc.max_concurrent
    return _present({
        "goal": doc.goal,
        "name": doc.name,
        "description": doc.description,
        "concurrency": limit,
        "gate": write_gate(doc.gate) if doc.gate else None,
        "budget": write_budget(doc.budget) if doc.budget else None,
        "phases": [_phase(doc, task, scope) for task, scope in zip(doc.tasks, scopes, strict=True)],
    })  # fmt: skip


def _phase(doc: ShortDoc, task: ShortTask, scope: tuple[str, ...]) -> dict[str, Any]:
    return _present({
        "name": task.id,
        "depends_on": list(dict.fromkeys(task.after)),
        "on_failure": task.on_failure or doc.on_failure,
        "tasks": [_ir_task(doc, task, scope)],
    })  # fmt: skip


def _ir_task(doc: ShortDoc, task: ShortTask, scope: tuple[str, ...]) -> dict[str, Any]:
    terms = task.terms
    inputs = task.after if task.inputs is None else task.inputs
    retry = terms.retry or doc.retry
    tools = {} if terms.tools is None else {"tools": list(terms.tools)}
    return tools | _present({
        "id": task.id,
        "prompt": task.prompt,
        "agent_type": task.agent_type,
        "mode": "read_write" if scope else None,
        "isolation": "worktree" if scope else None,
        "file_scope": list(scope),
        "depends_on_results": list(dict.fromkeys(inputs)),
        "plays": task.plays,
        "command": _plain(terms.command),
        "manual": terms.manual or None,
        "role": terms.role or (doc.role if terms.starts_agent else None),
        "title": terms.title,
        "verify": [write_check(check) for check in _verify(doc, task, scope)],
        "deliverables": list(terms.deliverables),
        "limits": _limits(doc, terms),
        "retry": _retry(retry) if retry else None,
        "needs": list(terms.needs),
        "contracts": list(terms.contracts),
        "class": terms.class_,
        "priority": terms.priority or None,
        "env": list(terms.env),
        "allow_no_change": terms.allow_no_change or None,
        "model": write_model(terms.model) if terms.model else None,
        "requires": list(terms.requires),
        "budget": write_budget(terms.budget) if terms.budget else None,
    })  # fmt: skip


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* without what is absent or empty."""
    return {name: value for name, value in values.items() if value is not None and value != []}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _verify(doc: ShortDoc, task: ShortTask, scope: tuple[str, ...]) -> tuple[Check, ...]:
    if task.terms.verify is not None:
        return task.terms.verify
    return doc.verify if scope else ()


def _limits(doc: ShortDoc, terms: Terms) -> dict[str, Any] | None:
    limits = terms.limits or Limits()
    wall = terms.timeout or limits.wall_s
    if not wall and not terms.manual and not (terms.budget and terms.budget.time_s):
        wall = doc.timeout
    values = {
        "idle_s": limits.idle_s and durations.shortest(limits.idle_s),
        "output_bytes": limits.output_bytes,
        "silence_s": limits.silence_s and durations.shortest(limits.silence_s),
        "wall_s": wall and durations.shortest(wall),
    }
    return _present(values) or None


def _retry(retry: Retry) -> dict[str, Any]:
    return {
        "backoff_max_s": durations.shortest(retry.backoff_max_s),
        "backoff_s": durations.shortest(retry.backoff_s),
        "max_attempts": retry.max_attempts,
        "on": list(retry.on),
    }
