"""The fields that wfledger adds to a task, the same in the phases shape and the short form.

How the work is done, limited, repeated and verified: spec 90.3, WFL-PLAN-020 and 021.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.documents import Check, Limits, Retry
from wfledger.core.records import Command
from wfledger.plans import fields
from wfledger.plans.fields import BAD, Field, Site
from wfledger.plans.problems import Problem, join, quote

#: White space of Unicode; `str.strip()` alone would also take U+001C to U+001F.
_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
#: Failure classes of spec 60 that another attempt may follow.
RETRIED: Final = (
    "task", "transport", "lost", "environment", "timeout", "idle", "silence", "no_change",
    "read_only_violation", "out_of_scope", "verification", "conflict", "gate",
)  # fmt: skip
_LABELS_MAX: Final = 64


def strip(text: str) -> str:
    """Return *text* without the white space around it."""
    return text.strip(_SPACE)


def is_blank(text: str) -> bool:
    """Return whether *text* is nothing but white space."""
    return not strip(text)


def _command(value: object, site: Site) -> Any:
    if isinstance(value, str):
        result = fields.text(value, site)
        if result is not BAD and is_blank(value):
            return site.refuse("is blank", kind="empty_field")
        return result
    if not isinstance(value, list):
        return site.wrong(
            f"must be a text (a shell line) or a list of texts, not {fields.kind_of(value)}"
        )
    words = fields.many(fields.text, "word")(value, site)
    if len(words) == len(value) and (not words or is_blank(words[0])):
        return site.refuse("names no program", kind="empty_field")
    return words if len(words) == len(value) else BAD


def _label(value: object, site: Site) -> Any:
    result = fields.text(value, site)
    if result is not BAD and (is_blank(result) or len(result) > 200):
        return site.refuse("must have 1 to 200 characters and not be blank", kind="empty_field")
    return result


def _labels(noun: str) -> fields.Reader:
    read_all = fields.many(_label, noun)

    def read(value: object, site: Site) -> Any:
        result = read_all(value, site)
        if result is not BAD and len(result) > _LABELS_MAX:
            return site.refuse(f"has {len(result)} entries; at most {_LABELS_MAX} are allowed")
        return tuple(dict.fromkeys(result)) if result is not BAD else BAD

    return read


def _env_name(value: object, site: Site) -> Any:
    result = fields.text(value, site)
    if result is not BAD and (not _ENV_NAME.match(result) or result.startswith("WFLEDGER_")):
        return site.refuse(f"cannot be passed on: {quote(result)}", kind="invalid_name")
    return result


_CHECK: Final[fields.Shape] = {
    "kind": Field(fields.choice("command", "exit_code")),
    "command": Field(_command),
    "expect": Field(fields.ranged(0, 255)),
    "timeout_s": Field(fields.duration, optional=True),
}


def _check(value: object, site: Site) -> Any:
    if isinstance(value, str):
        command = _command(value, site)
        return BAD if command is BAD else Check(kind="command", command=command)
    if not isinstance(value, dict):
        return site.wrong(
            f"must be a text (a shell line) or an object, not {fields.kind_of(value)}"
        )
    before = len(site.parse) + len(site.late)
    values = fields.nested(_CHECK)(value, site)
    if len(site.parse) + len(site.late) > before:
        return BAD
    kind = values.setdefault("kind", "command" if "command" in values else "exit_code")
    if (kind == "command") != ("command" in values) or (kind == "command" and "expect" in values):
        return site.refuse(
            "has `command` for the kind command and `expect` for the kind exit_code",
            kind="contradictory_fields",
        )
    return Check(**values)


def read_checks(value: object, site: Site) -> Any:
    """Read one check or a list of checks."""
    if isinstance(value, list):
        return fields.many(_check, "check")(value, site)
    result = _check(value, site)
    return BAD if result is BAD else (result,)


_RETRY: Final[fields.Shape] = {
    "max_attempts": Field(fields.ranged(1, bounds.MAX_ATTEMPTS)),
    "on": Field(fields.many(fields.choice(*RETRIED), "class")),
    "backoff_s": Field(fields.duration),
    "backoff_max_s": Field(fields.duration),
}
_LIMITS: Final[fields.Shape] = {
    "wall_s": Field(fields.duration, optional=True),
    "idle_s": Field(fields.duration, optional=True),
    "silence_s": Field(fields.duration, optional=True),
    "output_bytes": Field(fields.ranged(1024, 2**40), optional=True),
}


def read_retry(value: object, site: Site) -> Any:
    """Read a number of attempts, or an object."""
    if isinstance(value, int) and not isinstance(value, bool):
        attempts = fields.ranged(1, bounds.MAX_ATTEMPTS)(value, site)
        return BAD if attempts is BAD else Retry(max_attempts=attempts)
    values = fields.nested(_RETRY)(value, site)
    return BAD if values is BAD else Retry(**values)


def _limits(value: object, site: Site) -> Any:
    values = fields.nested(_LIMITS)(value, site)
    return BAD if values is BAD else Limits(**values)


#: The additive fields of a task.
TERMS: Final[fields.Shape] = {
    "command": Field(_command, optional=True),
    "manual": Field(fields.flag),
    "role": Field(_label, optional=True),
    "worker": Field(_label, into="role", optional=True),
    "title": Field(fields.text, optional=True),
    "verify": Field(read_checks, optional=True),
    "timeout": Field(fields.duration, optional=True),
    "limits": Field(_limits, optional=True),
    "retry": Field(read_retry, optional=True),
    "needs": Field(_labels("need")),
    "contracts": Field(_labels("contract")),
    "priority": Field(fields.ranged(-1_000_000, 1_000_000)),
    "env": Field(fields.many(_env_name, "name")),
    "allow_no_change": Field(fields.flag),
}


@dataclass(frozen=True)
class Terms:
    """The additive fields of one task; None where nothing was given."""

    command: Command | None = None
    manual: bool = False
    role: str | None = None
    title: str | None = None
    verify: tuple[Check, ...] | None = None
    timeout: float | None = None
    limits: Limits | None = None
    retry: Retry | None = None
    needs: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    priority: int = 0
    env: tuple[str, ...] = ()
    allow_no_change: bool = False

    @property
    def starts_agent(self) -> bool:
        """Whether a role runs the task."""
        return self.command is None and not self.manual


_NAMES: Final = frozenset(Terms.__dataclass_fields__)


def split(values: dict[str, Any]) -> tuple[Terms, dict[str, Any]]:
    """Return the additive fields of *values*, and the rest."""
    own = {name: value for name, value in values.items() if name in _NAMES}
    rest = {name: value for name, value in values.items() if name not in _NAMES}
    return Terms(**own), rest


def contradictions(names: frozenset[str], terms: Terms, pointer: str, label: str) -> list[Problem]:
    """Return what the fields of one task say against each other (WFL-PLAN-021)."""
    ways: list[str] = [name for name in ("command", "prompt") if name in names]
    if terms.manual:
        ways.append("manual")
    limits: Mapping[str, bool] = {
        "timeout": "timeout" in names,
        "timeout_secs": "timeout_secs" in names,
        "limits.wall_s": terms.limits is not None and terms.limits.wall_s is not None,
    }
    clashes = (
        (ways, "gives the work more than once"),
        ([name for name, given in limits.items() if given], "gives its wall time more than once"),
        ([name for name in ("role", "worker") if name in names], "gives its role twice"),
    )
    found = [
        Problem("contradictory_fields", f"{label} {what}: {', '.join(clash)}",
                join(pointer, clash[-1].split(".", 1)[0]))
        for clash, what in clashes if len(clash) > 1
    ]  # fmt: skip
    role = next((name for name in ("role", "worker") if name in names), None)
    if role and not terms.starts_agent:
        found.append(Problem(
            "contradictory_fields",
            f"{label} has a {role}, which runs prompts only, and no prompt",
            join(pointer, role),
        ))  # fmt: skip
    return found
