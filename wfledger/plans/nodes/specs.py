"""The specs of the tasks that nodes become, but for their edges (spec 95.4)."""

from collections.abc import Sequence
from typing import Any

from wfledger.core import bounds
from wfledger.core.control import Condition, Control, GateTerms, Promotion
from wfledger.core.documents import Limits, Retry, TaskSpec
from wfledger.plans.nodes.model import (
    Cond,
    Expand,
    GateDoc,
    Judge,
    Leaf,
    Loop,
    Node,
    Reduce,
    Review,
)
from wfledger.plans.nodes.narrowing import Allowed, amounts


def leaf_spec(leaf: Leaf, allowed: Allowed) -> TaskSpec:
    """Return the spec of a leaf."""
    terms = leaf.terms
    return TaskSpec(
        prompt=leaf.prompt if terms.starts_agent else None,
        manual=terms.manual,
        agent_type=leaf.agent_type,
        write=allowed.write,
        contracts=terms.contracts,
        allow_no_change=terms.allow_no_change,
        isolation="clone" if leaf.isolation == "clone" else None,
        tools=allowed.tools,
        **_work(leaf, allowed),
    )


def reduce_spec(node: Reduce, allowed: Allowed) -> TaskSpec:
    """Return the spec of a reduce that somebody is asked for."""
    return TaskSpec(
        prompt=node.prompt if node.terms.starts_agent else None,
        reduces=True,
        tools=allowed.tools,
        **_work(node, allowed),
    )


def _work(node: Leaf | Reduce, allowed: Allowed) -> dict[str, Any]:
    """Return what every task has that somebody works on."""
    terms = node.terms
    limits = terms.limits or Limits()
    return {
        "title": terms.title or "",
        "command": terms.command,
        "role": allowed.role,
        "plays": node.plays,
        "model": allowed.model,
        "requires": terms.requires,
        "budget": allowed.budget,
        "needs": terms.needs,
        "class_": terms.class_,
        "on_failure": allowed.on_failure,
        "priority": terms.priority,
        "env": terms.env,
        "limits": limits if allowed.time_s is None else limits.but(wall_s=float(allowed.time_s)),
        "retry": terms.retry or Retry(),
        "verify": allowed.verify,
        "deliverables": terms.deliverables,
    }


# -- controllers ---------------------------------------------------------------------------------


def loop_control(node: Loop, **common: Any) -> Control:
    """Return what a loop is to decide."""
    limits = amounts(node.budget)
    rounds = None if node.max_iterations is None else max(1, node.max_iterations)
    return Control(
        kind="loop_until", condition=node.condition, body=_kept(node.children),
        bound=_bounded(rounds), budget=limits.budget, time_s=limits.time_s, **common,
    )  # fmt: skip


def cond_control(node: Cond, **common: Any) -> Control:
    """Return what a condition is to decide."""
    return Control(
        kind="cond", condition=node.condition, body=_kept(node.then_nodes),
        otherwise=_kept(node.else_nodes), **common,
    )  # fmt: skip


def expand_control(node: Expand, **common: Any) -> Control:
    """Return what an expand is to decide."""
    body = _kept(() if node.template is None else (node.template,))
    return Control(
        kind="expand", source=node.source, body=body, bound=_bounded(node.max_children), **common
    )


def _kept(nodes: Sequence[Node]) -> tuple[dict[str, Any], ...]:
    """Return nodes as the documents that a controller keeps."""
    return tuple(dict(node.raw) for node in nodes)


def review_control(node: Review, promotion: Promotion, members: tuple[str, ...]) -> Control:
    """Return what a review is to decide."""
    return Control(
        kind="teacher_review", members=members, judges=judges_of(node.judge), promotion=promotion
    )


def judges_of(judge: Judge | None) -> tuple[Condition, ...]:
    """Return each of those that are asked."""
    if judge is None or not judge.asks:
        return ()
    one = Condition(
        command=judge.command, prompt=judge.prompt, role=judge.role, timeout_s=judge.timeout_s
    )
    return (one,) * judge.count


def gate_control(gate: GateDoc, **common: Any) -> Control:
    """Return what a gate is to decide."""
    terms = GateTerms.model_validate({
        "role": gate.role, "on": gate.on, "gate": gate.gate, "on_fail": gate.on_fail,
        "blocks_role": gate.blocks_role, "max_retries": gate.max_retries,
        "artifact_kind": gate.artifact_kind,
        "require_explicit_verdict": gate.require_explicit_verdict,
    })  # fmt: skip
    return Control(kind="gate", gate=terms, bound=_bounded(gate.max_retries), **common)


def _bounded(count: int | None) -> int | None:
    """Return a count as a controller keeps it: beyond the tasks of a run it means nothing."""
    return None if count is None else min(count, bounds.RUN_TASKS)
