"""The checks of a task and the gate of a run, as plans write them (spec 90.3, WFL-PLAN-023)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core import bounds, scopes
from wfledger.core.documents import Check, Gate
from wfledger.core.verification import VERIFIERS
from wfledger.errors import InvalidPatternError
from wfledger.plans import durations, expressions, fields
from wfledger.plans.fields import BAD, Field, Site
from wfledger.plans.problems import Problem, join, quote
from wfledger.plans.words import read_command, read_filled, read_label


@dataclass(frozen=True)
class _Form:
    """Which fields a kind of check has, besides `kind`."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset({"timeout_s"})


_FORMS: Final[Mapping[str, _Form]] = {
    "command": _Form(frozenset({"command"})),
    "exit_code": _Form(optional=frozenset({"expect"})),
    "file_exists": _Form(frozenset({"path"}), frozenset()),
    "regex": _Form(frozenset({"path", "pattern"})),
    "json_path": _Form(frozenset({"path", "expression"}), frozenset({"timeout_s", "equals"})),
    "manual": _Form(optional=frozenset({"prompt"})),
    "task": _Form(optional=frozenset({"timeout_s", "command", "prompt", "role"})),
}


def _pattern(value: object, site: Site) -> Any:
    return _read(value, site, expressions.pattern_problem, "invalid_pattern")


def _expression(value: object, site: Site) -> Any:
    return _read(value, site, expressions.path_problem, "invalid_expression")


def _read(value: object, site: Site, problem_of: Any, kind: str) -> Any:
    result = fields.text(value, site)
    problem = None if result is BAD else problem_of(result)
    return site.refuse(problem, kind=kind) if problem else result


def _path(value: object, site: Site) -> Any:
    result = fields.text(value, site)
    if result is BAD:
        return BAD
    try:
        scopes.parse(result)
    except InvalidPatternError as error:
        return site.refuse(f"is no path in the repository: {error.message}", kind="invalid_path")
    return result


def _value(value: object, site: Site) -> Any:
    if value is None:
        return site.wrong("must be a value other than null")
    return value


_CHECK: Final[fields.Shape] = {
    "kind": Field(fields.choice(*_FORMS)),
    "command": Field(read_command),
    "expect": Field(fields.ranged(0, 255)),
    "timeout_s": Field(fields.duration, optional=True),
    "path": Field(_path),
    "pattern": Field(_pattern),
    "expression": Field(_expression),
    "equals": Field(_value),
    "prompt": Field(read_filled),
    "role": Field(read_label),
}


def _check(value: object, site: Site) -> Any:
    if isinstance(value, str):
        command = read_command(value, site)
        return BAD if command is BAD else Check(kind="command", command=command)
    if not isinstance(value, dict):
        return site.wrong(
            f"must be a text (a shell line) or an object, not {fields.kind_of(value)}"
        )
    before = len(site.parse) + len(site.late)
    values = fields.nested(_CHECK)(value, site)
    if len(site.parse) + len(site.late) > before:
        return BAD
    kind = values.setdefault("kind", _kind_of(values))
    problem = _problem(kind, values)
    return site.refuse(problem, kind="contradictory_fields") if problem else Check(**values)


def _kind_of(values: Mapping[str, Any]) -> str:
    """Return the kind of a check that does not name it: what only one kind has decides."""
    signs = {"pattern": "regex", "expression": "json_path", "path": "file_exists"}
    signs |= {"prompt": "task", "command": "command"}
    return next((kind for name, kind in signs.items() if name in values), "exit_code")


def _problem(kind: str, values: Mapping[str, Any]) -> str | None:
    form, given = _FORMS[kind], set(values) - {"kind"}
    if lacking := sorted(form.required - given):
        return f"is of the kind {kind} and lacks {_listed(lacking)}"
    if foreign := sorted(given - form.required - form.optional):
        return f"is of the kind {kind}, which has no {_listed(foreign)}"
    ways = given & {"command", "prompt"}
    if kind == "task" and len(ways) != 1:
        return "is of the kind task and needs `command` or `prompt`, one of them"
    if "role" in given and "prompt" not in given:
        return "has a role, which runs prompts only, and no prompt"
    path = values.get("path", "")
    if kind in {"regex", "json_path"} and not scopes.parse(path).is_literal:
        return f"looks into one file; {quote(path)} is a pattern"
    return None


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def read_checks(value: object, site: Site) -> Any:
    """Read one check or a list of checks."""
    if not isinstance(value, list):
        result = _check(value, site)
        return BAD if result is BAD else (result,)
    found = fields.many(_check, "check")(value, site)
    if sum(check.kind == "task" for check in found) > VERIFIERS:
        return site.refuse(f"has more than {VERIFIERS} checks of the kind task")
    return found


def read_deliverables(value: object, site: Site) -> Any:
    """Read a list of paths or patterns."""
    result = fields.many(_path, "path")(value, site)
    if result is not BAD and len(result) > bounds.PATTERNS:
        return site.refuse(f"has {len(result)} entries; at most {bounds.PATTERNS} are allowed")
    return tuple(dict.fromkeys(result)) if result is not BAD else BAD


def uncovered(
    deliverables: tuple[str, ...], write: tuple[str, ...], pointer: str, label: str
) -> list[Problem]:
    """Return the deliverables that a task with the scope *write* cannot make (WFL-PLAN-024)."""
    if not write:
        return []
    try:
        allowed = scopes.parse_all(write)
    except InvalidPatternError:
        return []  # an error of its own
    found = []
    for place, text in enumerate(deliverables):
        if scopes.collide(allowed, [scopes.parse(text)]) is None:
            message = f"{label} must deliver {quote(text)}, which its scope does not cover"
            where = join(pointer, "deliverables", place)
            found.append(Problem("uncovered_deliverable", message, where))
    return found


_GATE: Final[fields.Shape] = {
    "command": Field(read_command, required=True),
    "timeout_s": Field(fields.duration, optional=True),
}


def read_gate(value: object, site: Site) -> Any:
    """Read a gate: a command, or an object with one."""
    if not isinstance(value, dict):
        command = read_command(value, site)
        return BAD if command is BAD else Gate(command=command)
    values = fields.nested(_GATE)(value, site)
    return BAD if values is BAD or "command" not in values else Gate(**values)


# -- writing -------------------------------------------------------------------------------------


def write_check(check: Check) -> dict[str, Any]:
    """Return *check* as the canonical phases document has it."""
    form = _FORMS[check.kind]
    names = form.required | form.optional | {"kind"}
    values = {name: _plain(getattr(check, name)) for name in names}
    if check.timeout_s is not None:
        values["timeout_s"] = durations.shortest(check.timeout_s)
    return {name: value for name, value in values.items() if value is not None}


def write_gate(gate: Gate) -> Any:
    """Return *gate* as the canonical phases document has it."""
    timeout = durations.shortest(gate.timeout_s)
    return {"command": _plain(gate.command), "timeout_s": timeout}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
