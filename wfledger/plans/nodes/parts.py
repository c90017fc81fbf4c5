"""Reads the objects that several kinds of nodes share: budgets, permissions, policies, conditions.

Where the original and wfledger spell a field differently, both are read; both at once is an error.
"""

from collections.abc import Mapping
from typing import Any, Final

from wfledger.core.control import Condition, Promotion, PromotionGate
from wfledger.core.routes import ModelPolicy
from wfledger.plans import budgets, fields
from wfledger.plans.fields import BAD, Field, Site
from wfledger.plans.nodes.model import Bounds, Judge, Permissions
from wfledger.plans.words import read_command, read_filled, read_label, read_pattern

#: Judges of one review.
JUDGES: Final = 9

_OURS: Final[fields.Shape] = {
    name: budgets.BUDGET[name] for name in ("usd", "tokens", "steps", "time")
}
#: The original's names, and what each is called here.
_BOTH: Final[Mapping[str, str]] = {
    "max_steps": "steps", "timeout_secs": "time", "max_tokens": "tokens",
}  # fmt: skip
_BUDGET: Final[fields.Shape] = {
    "max_steps": Field(fields.whole(32), into="steps", optional=True),
    "timeout_secs": Field(fields.whole(64), into="time_s", optional=True),
    "max_parallel": Field(fields.whole(8), optional=True),
    "max_tokens": Field(fields.whole(64), into="tokens", optional=True),
    **_OURS,
}


def read_bounds(value: object, site: Site) -> Any:
    """Read a `budget` in either spelling, or in both where they do not meet."""
    given = fields.read_object(value, _BUDGET, site)
    if given is None:
        return BAD
    fields.note_unknown(given, _BUDGET, site)
    for theirs, ours in _BOTH.items():
        if {theirs, ours} <= given.names:
            place = site.under(ours, site.label)
            place.refuse(f"has both `{theirs}` and `{ours}`", kind="contradictory_fields")
    return Bounds(pointer=site.pointer, names=given.names, **given.values)


_PERMISSIONS: Final[fields.Shape] = {
    "allow_write": Field(fields.flag),
    "allow_network": Field(fields.flag),
    "allowed_tools": Field(fields.many(fields.text, "tool")),
    "deny_all_tools": Field(fields.flag),
    "file_scope": Field(fields.many(read_pattern, "pattern")),
}


def read_permissions(value: object, site: Site) -> Any:
    """Read a `permissions` object."""
    given = fields.read_object(value, _PERMISSIONS, site)
    if given is None:
        return BAD
    fields.note_unknown(given, _PERMISSIONS, site)
    return Permissions(pointer=site.pointer, names=given.names, **given.values)


_POLICY: Final[fields.Shape] = {
    "provider": Field(fields.text, optional=True),
    "model": Field(fields.text, optional=True),
    "fallback_models": Field(fields.many(fields.text, "model")),
}


def read_policy(value: object, site: Site) -> Any:
    """Read a `model_policy`."""
    values = fields.nested(_POLICY)(value, site)
    return BAD if values is BAD else ModelPolicy(**values)


def _signed(bits: int) -> fields.Reader:
    def read(value: object, site: Site) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return site.wrong(f"must be a whole number, not {fields.kind_of(value)}")
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            return site.wrong(f"does not fit into {bits} bits")
        return value

    return read


_PROMOTION_GATE: Final[fields.Shape] = {
    "min_score_delta": Field(_signed(32)),
    "max_cost_delta_microusd": Field(_signed(64), optional=True),
    "require_all_tests_pass": Field(fields.flag),
    "reject_policy_violations": Field(fields.flag),
    "reject_stale_replay": Field(fields.flag),
}


def _promotion_gate(value: object, site: Site) -> Any:
    values = fields.nested(_PROMOTION_GATE)(value, site)
    return BAD if values is BAD else PromotionGate(**values)


_PROMOTION: Final[fields.Shape] = {
    "strategy": Field(fields.choice("all", "first_success", "best_score", "teacher_selected")),
    "require_teacher_review": Field(fields.flag),
    "min_successful_branches": Field(fields.whole(32), optional=True),
    "promotion_gate": Field(_promotion_gate),
    "ordering": Field(fields.choice("score_then_cost", "cost_then_score")),
    "min_score": Field(_signed(32)),
}


def read_promotion(value: object, site: Site) -> Any:
    """Read a `promotion_policy`."""
    values = fields.nested(_PROMOTION)(value, site)
    return BAD if values is BAD else Promotion(**values)


_ASKED: Final[fields.Shape] = {
    "command": Field(read_command, optional=True),
    "prompt": Field(read_filled, optional=True),
    "role": Field(read_label, optional=True),
    "timeout_s": Field(fields.duration, optional=True),
}
#: The fields of a review that say who judges.
JUDGED: Final[fields.Shape] = {
    **_ASKED,
    "judges": Field(fields.ranged(1, JUDGES), into="count", optional=True),
}


def read_condition(value: object, site: Site) -> Any:
    """Read an expression as text, or an object: a command, or a prompt for a judge."""
    if isinstance(value, str):
        text = fields.text(value, site)
        return BAD if text is BAD else Condition(expression=text)
    if not isinstance(value, dict):
        return site.wrong(
            f"must be a text (an expression) or an object, not {fields.kind_of(value)}"
        )
    values = _asked(value, _ASKED, site)
    return BAD if values is BAD else Condition(**values)


def read_judge(value: object, site: Site) -> Any:
    """Read an object that says who judges: a command, or a prompt for a role."""
    values = _asked(value, JUDGED, site)
    return BAD if values is BAD else Judge(**values)


def _asked(value: object, shape: fields.Shape, site: Site) -> Any:
    before = len(site.parse) + len(site.late)
    values = fields.nested(shape)(value, site)
    if values is BAD or len(site.parse) + len(site.late) > before:
        return BAD
    problem = ask_problem(values, needed=True)
    return site.refuse(problem, kind="contradictory_fields") if problem else values


def ask_problem(values: Mapping[str, Any], *, needed: bool) -> str | None:
    """Return what the fields that say who is asked say against each other, or None."""
    ways = [name for name in ("command", "prompt") if values.get(name) is not None]
    if len(ways) > 1 or (needed and not ways):
        return "needs `command` or `prompt`, one of them"
    if values.get("role") is not None and "prompt" not in ways:
        return "has a role, which answers prompts only, and no prompt"
    if not ways and (values.get("timeout_s") is not None or values.get("count") is not None):
        return "says how judges judge, and has neither `command` nor `prompt`"
    return None
