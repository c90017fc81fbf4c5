"""Writes a plan out as its canonical document (`plan --expand`, WFL-PLAN-043, WFL-NODE-080)."""

import json
from collections.abc import Mapping
from typing import Any

from wfledger.errors import PlanError
from wfledger.plans import checking, fields, short
from wfledger.plans.checking import Checked
from wfledger.plans.frontends.scriptplan import ScriptDoc
from wfledger.plans.model import CONFIG, PHASE, TASK
from wfledger.plans.nodes.writing import in_order


def expand_text(text: str | bytes, source: str, *, lenient: bool = False) -> str:
    """Return `expand_checked` of a text that needs no evaluation."""
    return expand_checked(checking.check_text(text, source, lenient=lenient), lenient=lenient)


def expand_checked(checked: Checked, *, lenient: bool = False) -> str:
    """Return the canonical document of phases or nodes as JSON text, ending with a line feed.

    Raises `PlanError` if the plan cannot be read or has errors; `errors` lists them all.
    """
    document = checked.document
    if checked.ok and isinstance(document, ScriptDoc):
        raise PlanError("a script stands for no document: what it begins is known only as it runs")
    if not isinstance(document, dict) or not checked.ok:
        first = checked.errors[0]
        raise PlanError(
            f"{first.pointer or '/'}: {first.message}",
            errors=[problem.as_json() for problem in checked.errors],
        )
    phases = short.desugar(document, lenient=lenient) if "tasks" in document else document
    return write(phases)


def write(document: Mapping[str, Any]) -> str:
    """Return *document*, which is valid, with its fields in the order of spec 90 or 95."""
    if "nodes" in document:
        shown = in_order(document, _sorted)
    else:
        shown = _ordered(document, CONFIG)
        shown["phases"] = [_phase(phase) for phase in document["phases"]]
    return json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _phase(phase: Mapping[str, Any]) -> dict[str, Any]:
    shown = _ordered(phase, PHASE)
    shown["tasks"] = [_ordered(task, TASK) for task in phase["tasks"]]
    return shown


def _ordered(values: Mapping[str, Any], shape: fields.Shape) -> dict[str, Any]:
    return {name: _sorted(values[name]) for name in shape if values.get(name) is not None}


def _sorted(value: Any) -> Any:
    """Return *value* with the keys of inner objects sorted."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
