"""How far a controller has come, in a few words for people. Pure."""

import shlex
from collections.abc import Callable, Mapping
from typing import Final

from wfledger.core.control import Condition, Control, ControlState, GateTerms
from wfledger.core.documents import TaskSpec
from wfledger.core.looping import allowed_rounds


def progress(spec: TaskSpec, state: ControlState | None) -> str:
    """Return how far the controller of *spec* has come; empty of what is no controller."""
    control = spec.control
    if control is None:
        return ""
    state = state or ControlState()
    said = _BY_KIND.get(control.kind)
    if said is not None:
        return said(control, state)
    if control.gate is not None:
        return _stands(control.gate, state)
    return f"{len(control.members)} members" if control.members else control.kind


def _stands(terms: GateTerms, state: ControlState) -> str:
    stands = state.facts.get("state", "pending")
    sent = f", sent back {state.step} of {terms.max_retries} times" if state.step else ""
    return f"{stands}{sent}"


def _arm(_: Control, state: ControlState) -> str:
    arm = state.facts.get("arm")
    return f"takes {arm}" if arm else "asks for its condition"


def _items(_: Control, state: ControlState) -> str:
    return f"{state.step} items begun" if state.step else "makes its list"


def _heard(_: Control, state: ControlState) -> str:
    facts = state.facts
    said = facts.get("log", ())
    counted = f"{len(facts.get('order', ()))} of {len(facts.get('calls', ()))} calls have ended"
    return f"{counted}; it said: {said[-1]}" if said else counted


def _rounds(control: Control, state: ControlState) -> str:
    allowed = state.facts.get("allowed", allowed_rounds(control.bound))
    of = "" if control.bound is None else f" of {allowed}"
    if state.step == 0:
        return f"no round{of} begun"
    facts = state.facts
    asks = facts.get("questioned") == state.step != facts.get("answered")
    return f"{'asks after ' if asks else ''}round {state.step}{of}"


_BY_KIND: Final[Mapping[str, Callable[[Control, ControlState], str]]] = {
    "loop_until": _rounds, "cond": _arm, "expand": _items, "script": _heard,
}  # fmt: skip


def described(spec: TaskSpec) -> str:
    """Return what kind of controller a task is, for lists; empty of what is none."""
    control = spec.control
    if control is None:
        return ""
    what = control.kind.replace("_", " ")
    about = _asked(control.condition) if control.condition is not None else control.source
    if control.gate is not None:
        terms = control.gate
        held = f", before {terms.blocks_role}" if terms.blocks_role else ""
        about = f"{terms.gate} the role {terms.role}{held}; where that fails: {terms.on_fail}"
    return f"{what}: {about}" if about else what


def _asked(condition: Condition) -> str:
    command = condition.command
    if command is not None and not isinstance(command, str):
        command = shlex.join(command)
    return condition.expression or command or condition.prompt or ""
