"""Compiles a checked document of the phases shape to tasks of the ledger (spec 90.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.documents import Gate, Limits, Retry, TaskSpec
from wfledger.core.usage import Budget
from wfledger.plans import naming
from wfledger.plans.model import ConfigDoc, PhaseDoc, TaskDoc
from wfledger.plans.nodes.launch import Launch
from wfledger.plans.ordering import ancestors
from wfledger.plans.problems import Findings, Problem, join
from wfledger.plans.rules import Resolved
from wfledger.plans.writing import Scope, treated

#: Edges of one compiled task and of a whole plan (WFL-PLAN-032).
COMPILED_EDGES: Final = 4_096
PLAN_EDGES: Final = 250_000


@dataclass(frozen=True)
class CompiledTask:
    """One task, ready to be submitted."""

    #: Unique in the plan; the task's id is `<run>.<node>`.
    node: str
    #: The id as the plan has it.
    given: str
    #: `after` and `inputs` hold nodes.
    spec: TaskSpec
    #: The phase, or the kind of the node.
    phase: str


@dataclass(frozen=True)
class Plan:
    """A plan that can be run."""

    goal: str
    name: str
    #: How many tasks may run at once; None: as many as there are slots.
    max_concurrent: int | None
    #: Every task stands after those that it waits for.
    tasks: tuple[CompiledTask, ...]
    phase_order: tuple[str, ...]
    warnings: tuple[Problem, ...]
    #: Must pass on every tree that lands, besides the ledger's own gate.
    gate: Gate | None = None
    #: What all attempts together may use.
    budget: Budget | None = None
    #: Seconds since the first attempt, after which nothing starts.
    time_s: float | None = None
    #: What controllers may start, once each: never submitted, but shown and checked like the rest.
    #: Their nodes begin with that of their controller.
    later: tuple[CompiledTask, ...] = ()
    #: What a tree of nodes would start at most; None: the plan is no such tree.
    launch: Launch | None = None

    @property
    def every(self) -> tuple[CompiledTask, ...]:
        """Everything that may be started."""
        return (*self.tasks, *self.later)


def renamed(spec: TaskSpec, ids: Mapping[str, str]) -> TaskSpec:
    """Return *spec* with full ids in place of the names of nodes."""
    more: dict[str, Any] = {}
    if spec.candidate_of is not None:
        more["candidate_of"] = ids[spec.candidate_of]
    if spec.control is not None:
        more["control"] = spec.control.but(
            members=tuple(ids[node] for node in spec.control.members),
            outer={name: ids[node] for name, node in spec.control.outer.items()},
        )
    after = tuple(ids[node] for node in spec.after)
    return spec.but(after=after, inputs=tuple(ids[node] for node in spec.inputs), **more)


def compile_plan(resolved: Resolved, findings: Findings) -> Plan | None:
    """Return the plan; None if it has too many edges, after reporting."""
    doc = resolved.doc
    nodes = naming.nodes(task.id for phase in doc.phases for task in phase.tasks)
    edges = _Edges(resolved, nodes)
    tasks: list[CompiledTask] = []
    total = 0
    for number in resolved.order:
        phase = doc.phases[number]
        for index, task in enumerate(phase.tasks):
            own = edges.of(number, index)
            total += len(own.after)
            if len(own.after) > COMPILED_EDGES or total > PLAN_EDGES:
                _report_edges(phase, findings)
                return None
            scope = resolved.scopes[number][index]
            spec = _spec(task, phase, scope, edges=own, findings=findings)
            tasks.append(CompiledTask(nodes[task.id], task.id, spec, phase.name))
    return _plan(doc, resolved, tasks, findings)


def _plan(
    doc: ConfigDoc, resolved: Resolved, tasks: Sequence[CompiledTask], findings: Findings
) -> Plan:
    return Plan(
        goal=doc.goal,
        name=doc.name,
        max_concurrent=doc.at_once,
        tasks=tuple(tasks),
        phase_order=tuple(doc.phases[number].name for number in resolved.order),
        warnings=tuple(findings.warnings),
        gate=doc.gate,
        budget=doc.budget.budget if doc.budget else None,
        time_s=doc.budget.time_s if doc.budget else None,
    )


def _report_edges(phase: PhaseDoc, findings: Findings) -> None:
    findings.error(
        "too_many_edges",
        f"the tasks of {phase.label} would wait for too many others, one by one: at most "
        f"{COMPILED_EDGES} for a task and {PLAN_EDGES} for a plan; put a phase of one task between",
        join(phase.pointer, "depends_on"),
    )


@dataclass(frozen=True)
class _TaskEdges:
    """What one task waits for, and whose envelopes it is handed."""

    after: tuple[str, ...]
    inputs: tuple[str, ...]


class _Edges:
    """Turns edges between phases into edges between tasks (WFL-PLAN-031)."""

    def __init__(self, resolved: Resolved, nodes: dict[str, str]) -> None:
        self._resolved = resolved
        self._nodes = nodes
        self._phase_edges: dict[int, tuple[str, ...]] = {}
        self._before: list[int] | None = None

    def of(self, number: int, index: int) -> _TaskEdges:
        """Return the edges of a task."""
        phase = self._resolved.doc.phases[number]
        wanted = phase.tasks[index].depends_on_results
        inputs = tuple(dict.fromkeys(self._nodes[name] for name in wanted))
        if phase.parallel or index == 0:
            waits = self._entering(number)
        else:
            waits = (self._nodes[phase.tasks[index - 1].id],)
        return _TaskEdges(tuple(dict.fromkeys((*waits, *inputs))) if inputs else waits, inputs)

    def _entering(self, number: int) -> tuple[str, ...]:
        """Return what the first tasks of a phase wait for."""
        known = self._phase_edges.get(number)
        if known is None:
            befores = self._resolved.edges[number]
            known = self._leaving(befores)
            if len(known) > bounds.TASK_EDGES:
                known = self._leaving(self._needed(befores))
            self._phase_edges[number] = known
        return known

    def _leaving(self, phases: Sequence[int]) -> tuple[str, ...]:
        """Return the tasks of *phases* that no other task of them waits for."""
        result: list[str] = []
        for number in phases:
            phase = self._resolved.doc.phases[number]
            last = phase.tasks if phase.parallel else phase.tasks[-1:]
            result.extend(self._nodes[task.id] for task in last)
        return tuple(result)

    def _needed(self, phases: Sequence[int]) -> list[int]:
        """Return *phases* without those that another of them waits for."""
        if self._before is None:
            self._before = ancestors(self._resolved.edges, self._resolved.order)
        implied = 0
        for number in phases:
            implied |= self._before[number]
        return [number for number in phases if not implied >> number & 1]


def _spec(
    task: TaskDoc, phase: PhaseDoc, scope: Scope, *, edges: _TaskEdges, findings: Findings
) -> TaskSpec:
    _warn(task, findings)
    terms = task.terms
    return TaskSpec(
        title=terms.title or "",
        command=terms.command,
        prompt=task.prompt,
        manual=terms.manual,
        role=terms.role,
        plays=task.plays,
        agent_type=task.agent_type,
        max_steps=task.max_steps or None,
        model=terms.model,
        requires=terms.requires,
        tools=terms.tools,
        budget=terms.budget.budget if terms.budget else None,
        write=scope.write,
        contracts=terms.contracts,
        after=edges.after,
        inputs=edges.inputs,
        needs=terms.needs,
        class_=terms.class_,
        on_failure=phase.on_failure,
        priority=terms.priority,
        allow_no_change=terms.allow_no_change,
        isolation="clone" if task.isolation == "clone" else None,
        env=terms.env,
        limits=_limits(task, findings),
        retry=terms.retry or Retry(),
        verify=terms.verify or (),
        deliverables=terms.deliverables,
    )


def _limits(task: TaskDoc, findings: Findings) -> Limits:
    limits = task.terms.limits or Limits()
    given = task.terms.budget.time_s if task.terms.budget else None
    wall = task.terms.timeout or task.timeout_secs or given or None
    if wall is None:
        return limits
    if wall > bounds.MAX_SECONDS:
        message = f"`timeout_secs` of {task.label} is taken for 366 days"
        findings.warn("shortened", message, join(task.pointer, "timeout_secs"))
    return limits.but(wall_s=min(float(wall), bounds.MAX_SECONDS))


def _warn(task: TaskDoc, findings: Findings) -> None:
    """Warn of what is accepted and does not do what it says (WFL-PLAN-022)."""
    if task.max_steps:
        who = "handed to its role" if task.terms.starts_agent else "without effect: no agent runs"
        message = f"`max_steps` of {task.label} is {who}, not enforced"
        findings.warn("not_enforced", message, join(task.pointer, "max_steps"))
    if "isolation" not in task.names:
        return
    said = treated(task.isolation, writes=task.writes, label=task.label, pointer=task.pointer)
    if said is not None:
        findings.warn(said.kind, said.message, said.pointer)
