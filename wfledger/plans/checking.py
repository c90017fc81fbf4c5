"""Checks a plan: all errors and warnings at once, and the compiled plan if there are none."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wfledger.errors import PlanError
from wfledger.plans import short
from wfledger.plans.compiling import Plan, compile_plan
from wfledger.plans.fitting import refuse_too_large
from wfledger.plans.frontends import routing
from wfledger.plans.frontends.fronts import Evaluate, Places
from wfledger.plans.frontends.javascript import unreadable
from wfledger.plans.frontends.scriptplan import ScriptDoc, compile_script
from wfledger.plans.model import read_config
from wfledger.plans.nodes import rules, shapes, whole
from wfledger.plans.problems import REPORTED, Findings, Problem
from wfledger.plans.rules import resolve

_SHAPES = ("phases", "nodes", "tasks")


@dataclass(frozen=True)
class Checked:
    """What a check found."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    #: The compiled plan; None where there are errors.
    plan: Plan | None
    #: How many errors and warnings are not listed, at least.
    omitted: int = 0
    #: What the text stands for; None where it could not be read.
    document: object = field(default=None, compare=False, repr=False)
    #: Where values stand in the text; None where there was none, or it could not be read.
    places: Places | None = field(default=None, compare=False, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the plan can be run."""
        return not self.errors

    def placed(self) -> "Checked":
        """Return the same with line and column of every problem; that walks the text once more."""
        found = (*self.errors, *self.warnings)
        if self.places is None or not found:
            return self
        at = self.places([one.pointer for one in found if one.line is None])
        errors, warnings = (
            tuple(one if one.line else one.at(at[one.pointer]) for one in part)
            for part in (self.errors, self.warnings)
        )
        return replace(self, errors=errors, warnings=warnings)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `check --json` prints."""
        shown: dict[str, Any] = {
            "ok": self.ok,
            "errors": [problem.as_json() for problem in self.errors],
            "warnings": [problem.as_json() for problem in self.warnings],
        }
        return {**shown, "omitted": self.omitted} if self.omitted else shown


def check(document: object, *, lenient: bool = False) -> Checked:
    """Check a document that was read already; never raises."""
    findings = Findings(lenient=lenient)
    return _checked(findings, _plan_of(document, findings))


def check_text(
    text: str | bytes, source: str, *, lenient: bool = False, evaluate: Evaluate | None = None
) -> Checked:
    """Check a plan's text; what cannot be read is one error that names line and column.

    *evaluate* works a Starlark text out; `run.plantexts.check_plan` brings one that is safe.
    """
    findings = Findings(lenient=lenient)
    try:
        front = routing.read(text, source, findings, evaluate)
    except PlanError as error:
        return Checked((unreadable(error, "parse_error"),), (), None)
    if front is None:
        return _checked(findings, None)
    found = Findings(lenient=lenient, taken=front.taken)
    plan = _plan_of(front.document, found) if front.is_readable else None
    front.tell(found, findings)
    checked = _checked(findings, plan)
    plan = checked.plan and replace(checked.plan, warnings=checked.warnings)
    return replace(checked, plan=plan, document=front.document, places=front.places)


def _plan_of(document: object, findings: Findings) -> Plan | None:
    plan = _compiled(document, findings)
    if plan is not None:
        refuse_too_large(plan, findings)
    return plan


def _compiled(document: object, findings: Findings) -> Plan | None:
    if isinstance(document, ScriptDoc):
        return compile_script(document, findings)
    if _refuse_shape(document, findings):
        return None
    if isinstance(document, dict) and "tasks" in document:
        return _check_short(document, findings)
    if isinstance(document, dict) and "nodes" in document:
        return _check_nodes(document, findings)
    return _check_phases(document, findings)


def _refuse_shape(document: object, findings: Findings) -> bool:
    """Report a document of several shapes; return whether it is one (WFL-PLAN-010)."""
    present = [name for name in _SHAPES if isinstance(document, dict) and name in document]
    if len(present) > 1:
        names = " and ".join(f"`{name}`" for name in present)
        findings.error("ambiguous_shape", f"a plan has one of {names}, not several", "")
    return bool(findings.rules)


def _check_short(document: object, findings: Findings) -> Plan | None:
    phases = short.expand(document, findings)
    if phases is None:
        return None
    # What is said about the phases was said about the short form already, in its own words;
    # only the bounds of compiling remain.
    inner = Findings(lenient=findings.lenient)
    plan = _check_phases(phases, inner)
    findings.parse.extend(inner.parse)
    findings.rules.extend(inner.rules)
    return plan and replace(plan, warnings=tuple(findings.warnings))


def _check_nodes(document: object, findings: Findings) -> Plan | None:
    doc = shapes.read_spec(document, findings)
    resolved = None if doc is None else rules.resolve(doc, findings)
    if resolved is None or findings.errors:
        return None
    return whole.compile_plan(resolved, findings)


def _check_phases(document: object, findings: Findings) -> Plan | None:
    doc = read_config(document, findings)
    if doc is None:
        return None
    resolved = resolve(doc, findings)
    if resolved is None or findings.errors:
        return None
    return compile_plan(resolved, findings)


def _checked(findings: Findings, plan: Plan | None) -> Checked:
    errors, errors_left = _shown(findings.errors)
    warnings, warnings_left = _shown(findings.warnings)
    return Checked(errors, warnings, None if errors else plan, errors_left + warnings_left)


def _shown(problems: Sequence[Problem]) -> tuple[tuple[Problem, ...], int]:
    return tuple(problems[:REPORTED]), max(0, len(problems) - REPORTED)
