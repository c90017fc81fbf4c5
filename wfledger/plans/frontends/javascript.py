"""Declarative JavaScript and TypeScript: `workflow({…})`, one object of strict JSON (spec 94.2).

Nothing is executed: the text is searched for what would act, then for the call, and the object in
it is read as JSON. It is a scan of characters, as the original's, so that both read one file alike:
comments and prose count as well, and what is wrong there is told with the way around it.
"""

import re
from dataclasses import replace
from typing import Any, Final

from wfledger.errors import PlanError
from wfledger.plans import places, reading
from wfledger.plans.frontends import wrappers
from wfledger.plans.frontends.fronts import Front
from wfledger.plans.frontends.scripttext import code_of
from wfledger.plans.problems import Findings, Problem
from wfledger.plans.words import is_blank, strip

#: What a plan may not hold, in the order in which it is looked for, and what messages call it.
_BANNED: Final = (
    ("import ", "import"), ("import(", "import"), ("require(", "require"), ("fetch(", "fetch"),
    ("XMLHttpRequest", "XMLHttpRequest"), ("WebSocket", "WebSocket"), ("process.", "process"),
    ("Deno.", "Deno"), ("Bun.", "Bun"), ("child_process", "child_process"), ("exec(", "exec"),
    ("spawn(", "spawn"), ("open(", "open"), ("readFile", "readFile"), ("writeFile", "writeFile"),
    ("async ", "async"), ("await ", "await"), ("eval(", "eval"), ("new Function", "new Function"),
)  # fmt: skip
_WORD: Final = "workflow"
#: A brace, a string with its escapes, or the quote of a string that is not closed.
_PART: Final = re.compile(
    r"""[{}]|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|`(?:[^`\\]|\\.)*+`|["'`]""", re.DOTALL
)
#: The rules of nodes that the original has, all of which it calls by one name.
_OF_NODES: Final = frozenset(
    {
        "empty_node_id", "duplicate_node_id", "empty_leaf_prompt", "invalid_leaf_role",
        "invalid_leaf_profile", "unknown_node_reference",
    }
)  # fmt: skip


def read(text: str, source: str, findings: Findings) -> Front | None:
    """Read a declarative file; what is wrong goes to *findings*, and then nothing is returned."""
    if _refuse_banned(text, findings):
        return None
    span = _object_span(text, findings)
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


def _refuse_banned(text: str, findings: Findings) -> bool:
    seen: set[str] = set()
    code = ""
    for needle, name in _BANNED:
        offset = text.find(needle)
        if offset < 0 or name in seen:
            continue
        seen.add(name)
        code = code or code_of(text)
        message = f"a plan is read and not executed: `{name}` is not supported in it"
        if needle not in code:
            message += (
                f", not even in a string or a comment; say it without `{needle.strip()}`,"
                " or write the plan as JSON"
            )
        problem = Problem("unsupported_construct", message, "")
        findings.rules.append(problem.at(reading.place_of(text, offset)))
    return bool(seen)


def _object_span(text: str, findings: Findings) -> tuple[int, int] | None:
    """Return where the object of the first call begins and ends."""
    found = text.find(_WORD)
    call = text.find("(", found) if found >= 0 else -1
    rest = strip(text[call + 1 :]) if call >= 0 else ""
    if not rest:
        message = "there is no call `workflow({…})` in this file"
        problem = Problem("missing_workflow_call", message, "")
        findings.rules.append(problem.at(reading.place_of(text, max(found, 0))))
        return None
    start = text.index(rest[0], call + 1)
    end = _closing(text, start) if rest[0] == "{" else None
    commented = code_of(text)[found] == " "
    if end is None:
        what = "is not closed" if rest[0] == "{" else "is to be an object, written out in place"
        message = f"what `workflow(` is called with {what}"
        if commented:
            message += "; the first `workflow` in this file stands in a comment or a string"
        problem = Problem("invalid_workflow_object", message, "")
        findings.rules.append(problem.at(reading.place_of(text, start)))
        return None
    if commented:
        message = "the first `workflow` in this file, whose object is read, stands in no code"
        problem = Problem("commented_call", message, "")
        findings.warnings.append(problem.at(reading.place_of(text, found)))
    return start, end


def _closing(text: str, start: int) -> int | None:
    """Return the offset behind the brace that closes the one at *start*."""
    depth = 0
    for part in _PART.finditer(text, start):
        found = part.group()
        if found in {"{", "}"}:
            depth += 1 if found == "{" else -1
            if depth == 0:
                return part.end()
        elif len(found) == 1:
            return None
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
