"""Starlark plans: a text that calls `workflow(…)`, evaluated by starlark-pyo3 (spec 94.3).

The one place that knows the package, which is an extra. Nothing here bounds memory, and time only
as far as *cancelled* is asked: a text is evaluated in a process of its own (`run.plantexts`).
"""

import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

from wfledger.core import bounds
from wfledger.errors import PlanError
from wfledger.plans import reading
from wfledger.plans.frontends.fronts import Evaluated
from wfledger.plans.frontends.helpers import HELPERS, bind, helper
from wfledger.plans.problems import Problem

INSTALL: Final = "pip install 'wfledger[starlark]'"
#: Calls within one another.
CALLS: Final = 200
#: What a plan may not hold, in code, in the order in which it is looked for.
_BANNED: Final = ("load(", "import ", "class ", "while ", "async ", "await ", "open(")
#: What models write instead of the helpers, and the helpers.
_REPAIRS: Final = (
    ("ctx.parallel(", "branch("), ("ctx.sequence(", "sequence("),
    ("ctx.loop_until(", "loop_until("), ("ctx.when(", "when("), ("ctx.expand(", "expand("),
    ("ctx.tournament(", "tournament("), ("ctx.teacher.review(", "teacher_review("),
)  # fmt: skip
#: What the evaluator says when a bound is met.
_LIMITS: Final = ("Evaluation cancelled", "call stack overflow")
_PLACE: Final = re.compile(r"^\s*--> .*:(\d+):(\d+)$", re.MULTILINE)
_SAID: Final = re.compile(r"^error: (?:\w*Error: )?(.*(?:\n(?!\s*-->).*)*)", re.MULTILINE)
_TEXT_OR_COMMENT: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\\n]|\\.)*"'''
    r"""|'(?:[^'\\\n]|\\.)*'|\#[^\n]*""",
    re.DOTALL,
)


def is_installed() -> bool:
    """Whether the package is there."""
    return find_spec("starlark") is not None


def missing() -> Problem:
    """Return what is said where the package is not installed."""
    return Problem("missing_extra", f"Starlark plans need an extra of wfledger: {INSTALL}", "")


def evaluate(text: str, source: str, cancelled: Callable[[], bool]) -> Evaluated:
    """Return the document that *text* makes, after one repair where that is what it takes.

    *cancelled* is asked now and then and ends the evaluation.
    """
    first = _once(text, source, cancelled)
    if first.problem is None or first.problem.kind == "evaluation_limit":
        return first
    repaired = text
    for wrong, right in _REPAIRS:
        repaired = repaired.replace(wrong, right)
    if repaired == text:
        return first
    second = _once(repaired, source, cancelled)
    return Evaluated(second.document, second.problem, repaired=second.problem is None)


def _once(text: str, source: str, cancelled: Callable[[], bool]) -> Evaluated:
    problem = _banned(text)
    if problem is not None:
        return Evaluated(problem=problem)
    documents: list[dict[str, Any]] = []
    problem = _run(text, source, cancelled, documents)
    if problem is not None:
        return Evaluated(problem=problem)
    try:
        return _result(documents, source)
    except (PlanError, ValueError) as error:
        return Evaluated(problem=Problem("starlark_error", str(error), "").at((1, 1)))


def _banned(text: str) -> Problem | None:
    code = _TEXT_OR_COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
    for needle in _BANNED:
        offset = code.find(needle)
        if offset >= 0:
            message = f"`{needle.strip()}` is not supported in a Starlark plan"
            problem = Problem("unsupported_construct", message, "")
            return problem.at(reading.place_of(text, offset))
    return None


def _run(
    text: str, source: str, cancelled: Callable[[], bool], documents: list[dict[str, Any]]
) -> Problem | None:
    """Evaluate *text*, adding what each call of `workflow` makes; returns what went wrong."""
    import starlark

    def workflow(*args: Any, **named: Any) -> None:
        names = ("goal", "nodes", "id", "description")
        documents.append({"nodes": [], **bind("workflow", names, args, named)})

    dialect = starlark.Dialect.extended()
    dialect.enable_f_strings = True
    module = starlark.Module()
    module.add_callable("workflow", workflow)
    for name in HELPERS:
        module.add_callable(name, helper(name, starlark.OpaquePythonObject))
    options = starlark.EvalOptions(check_cancelled=cancelled, max_callstack_size=CALLS)
    try:
        parsed = starlark.parse(source, text, dialect)
        starlark.eval_with(options, module, parsed, starlark.Globals.standard())
    except starlark.StarlarkError as error:
        return _problem(str(error))
    return None


def _problem(said: str) -> Problem:
    found = _SAID.search(said)
    message = (found[1] if found else said).strip()
    limit = any(one in message for one in _LIMITS)
    problem = Problem("evaluation_limit" if limit else "starlark_error", message, "")
    places = _PLACE.findall(said)
    return problem.at((int(places[-1][0]), int(places[-1][1]))) if places else problem


def _result(documents: list[dict[str, Any]], source: str) -> Evaluated:
    if not documents:
        message = "the text never calls workflow(goal, nodes)"
        return Evaluated(problem=Problem("missing_workflow", message, "").at((1, 1)))
    document = documents[-1]
    reading.check_size(document, source)
    if len(json.dumps(document, allow_nan=False)) > bounds.PLAN_BYTES:
        raise PlanError(f"a plan has at most {bounds.PLAN_BYTES} bytes")
    return Evaluated(document)
