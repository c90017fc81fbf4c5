"""Declarative JavaScript and TypeScript: `workflow({…})`, one object of strict JSON (spec 94.2).

Nothing is executed: the text is searched for what would act, then for the call, and the object in
it is read as JSON. Words that would act count in code only, not in strings and comments, where the
original refused prose such as "await the result".
"""

from dataclasses import replace
from typing import Any, Final

from wfledger.errors import PlanError
from wfledger.plans import places, reading
from wfledger.plans.frontends import wrappers
from wfledger.plans.frontends.fronts import Front
from wfledger.plans.frontends.scripttext import code_of
from wfledger.plans.problems import Findings, Problem
from wfledger.plans.words import is_blank

#: What a plan may not hold, in the order in which it is looked for, and what messages call it.
_BANNED: Final = (
    ("import ", "import"), ("import(", "import"), ("require(", "require"), ("fetch(", "fetch"),
    ("XMLHttpRequest", "XMLHttpRequest"), ("WebSocket", "WebSocket"), ("process.", "process"),
    ("Deno.", "Deno"), ("Bun.", "Bun"), ("child_process", "child_process"), ("exec(", "exec"),
    ("spawn(", "spawn"), ("open(", "open"), ("readFile", "readFile"), ("writeFile", "writeFile"),
    ("async ", "async"), ("await ", "await"), ("eval(", "eval"), ("new Function", "new Function"),
)  # fmt: skip
_WORD: Final = "workflow"
#: The rules of nodes that the original has, all of which it calls by one name.
_OF_NODES: Final = frozenset(
    {
        "empty_node_id", "duplicate_node_id", "empty_leaf_prompt", "invalid_leaf_role",
        "invalid_leaf_profile", "unknown_node_reference",
    }
)  # fmt: skip


def read(text: str, source: str, findings: Findings) -> Front | None:
    """Read a declarative file; what is wrong goes to *findings*, and then nothing is returned."""
    code = code_of(text)
    if _refuse_banned(text, code, findings):
        return None
    if findings.lenient and _WORD not in code:
        # The original takes the call wherever it stands, even in a comment.
        code = text
    span = _object_span(code, text, findings)
    if span is None:
        return None
    start, end = span
    # Blank lines and columns stand for what comes before, so that places are those of the file.
    before = "\n" * text.count("\n", 0, start) + " " * (reading.place_of(text, start)[1] - 1)
    held = before + text[start:end]
    try:
        written = reading.read_json(held, source)
    except PlanError as error:
        findings.parse.append(unreadable(error, "invalid_json"))
        return None
    return _front(written, held, findings)


def unreadable(error: PlanError, kind: str) -> Problem:
    """Return the problem of a text that could not be read."""
    return Problem(kind, error.message, "", error.facts.get("line"), error.facts.get("column"))


def _refuse_banned(text: str, code: str, findings: Findings) -> bool:
    seen: set[str] = set()
    for needle, name in _BANNED:
        offset = code.find(needle)
        if offset >= 0 and name not in seen:
            seen.add(name)
            message = f"a plan is read and not executed: `{name}` is not supported in it"
            problem = Problem("unsupported_construct", message, "")
            findings.rules.append(problem.at(reading.place_of(text, offset)))
    return bool(seen)


def _object_span(code: str, text: str, findings: Findings) -> tuple[int, int] | None:
    """Return where the object of the first call begins and ends."""
    found = code.find(_WORD)
    call = code.find("(", found) if found >= 0 else -1
    rest = code[call + 1 :].lstrip() if call >= 0 else ""
    if not rest:
        message = "there is no call `workflow({…})` in this file"
        problem = Problem("missing_workflow_call", message, "")
        findings.rules.append(problem.at(reading.place_of(text, max(found, 0))))
        return None
    start = len(code) - len(rest)
    end = _closing(code, start) if rest[0] == "{" else None
    if end is None:
        what = "is not closed" if rest[0] == "{" else "is to be an object, written out in place"
        problem = Problem("invalid_workflow_object", f"what `workflow(` is called with {what}", "")
        findings.rules.append(problem.at(reading.place_of(text, start)))
        return None
    return start, end


def _closing(code: str, start: int) -> int | None:
    """Return the offset behind the brace that closes the one at *start*."""
    depth = 0
    for offset in range(start, len(code)):
        if code[offset] in "{}":
            depth += 1 if code[offset] == "{" else -1
            if depth == 0:
                return offset + 1
    return None


def _front(written: Any, held: str, findings: Findings) -> Front:
    lowered = wrappers.lower(written, findings)
    for said in (findings.parse, findings.rules, findings.warnings):
        said[:] = [replace(one, pointer=wrappers.written(written, one.pointer)) for one in said]
    goal = written.get("goal")
    if isinstance(goal, str) and is_blank(goal):
        findings.error("invalid_node", "the `goal` of the workflow is blank", "/goal")
    return Front(
        lowered.document,
        lambda wanted: places.locate(held, "plan.json", wanted),
        written=lambda pointer: wrappers.written(written, pointer),
        said=lambda problem: _said(problem, lowered),
        refuses=lowered.refuses,
        taken=frozenset({"empty_workflow"}),
    )


def _said(problem: Problem, lowered: wrappers.Lowered) -> Problem:
    if problem.kind in {"parse_error", "ambiguous_shape"} or lowered.refuses(problem):
        return replace(problem, kind="invalid_json")
    if problem.kind in _OF_NODES or (problem.kind, problem.pointer) == ("empty_field", "/goal"):
        return replace(problem, kind="invalid_node")
    return problem
