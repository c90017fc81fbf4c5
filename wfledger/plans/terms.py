"""The fields that wfledger adds to a task, the same in the phases shape and the short form.

How the work is done, limited, repeated and verified: spec 90.3, WFL-PLAN-020 and 021.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.authority import Authority
from wfledger.core.authority import contradictions as disagreements
from wfledger.core.documents import Check, Limits, Retry
from wfledger.core.records import Command
from wfledger.core.routes import Capability, ModelPolicy
from wfledger.plans import budgets, fields
from wfledger.plans.budgets import Allowance
from wfledger.plans.checks import read_checks, read_deliverables
from wfledger.plans.fields import BAD, Field, Site
from wfledger.plans.problems import Problem, join, quote
from wfledger.plans.words import read_command, read_label

_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
#: Failure classes of spec 60 that another attempt may follow.
RETRIED: Final = (
    "task", "transport", "lost", "environment", "timeout", "idle", "silence", "no_change",
    "read_only_violation", "out_of_scope", "verification", "conflict", "gate",
)  # fmt: skip
_LABELS_MAX: Final = 64


def _labels(noun: str) -> fields.Reader:
    read_all = fields.many(read_label, noun)

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


#: Of the additive fields, those that mean something for a prompt only.
_OF_PROMPTS: Final = ("role", "worker", "model", "requires", "tools")
#: The additive fields of a task.
TERMS: Final[fields.Shape] = {
    "command": Field(read_command, optional=True),
    "manual": Field(fields.flag),
    "role": Field(read_label, optional=True),
    "worker": Field(read_label, into="role", optional=True),
    "title": Field(fields.text, optional=True),
    "verify": Field(read_checks, optional=True),
    "deliverables": Field(read_deliverables),
    "timeout": Field(fields.duration, optional=True),
    "limits": Field(_limits, optional=True),
    "retry": Field(read_retry, optional=True),
    "needs": Field(_labels("need")),
    "contracts": Field(_labels("contract")),
    "class": Field(read_label, into="class_", optional=True),
    "priority": Field(fields.ranged(-1_000_000, 1_000_000)),
    "env": Field(fields.many(_env_name, "name")),
    "allow_no_change": Field(fields.flag),
    **budgets.FIELDS,
}


@dataclass(frozen=True)
class Terms:
    """The additive fields of one task; None where nothing was given."""

    command: Command | None = None
    manual: bool = False
    role: str | None = None
    title: str | None = None
    verify: tuple[Check, ...] | None = None
    deliverables: tuple[str, ...] = ()
    timeout: float | None = None
    limits: Limits | None = None
    retry: Retry | None = None
    needs: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    class_: str | None = None
    priority: int = 0
    env: tuple[str, ...] = ()
    allow_no_change: bool = False
    model: ModelPolicy | None = None
    requires: tuple[Capability, ...] = ()
    tools: tuple[str, ...] | None = None
    budget: Allowance | None = None

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
        "budget.time": terms.budget is not None and terms.budget.time_s is not None,
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
    if not terms.starts_agent:
        found += [
            Problem("contradictory_fields", f"{label} has {name}, which is for prompts only, and "
                    "no prompt", join(pointer, name))
            for name in _OF_PROMPTS if name in names
        ]  # fmt: skip
    return found


def tool_contradictions(
    terms: Terms, write: tuple[str, ...], pointer: str, label: str
) -> list[Problem]:
    """Return what the tools of one task say against its scope (WFL-AUTH-004)."""
    if terms.tools is None:
        return []
    said = disagreements(Authority(write=write, tools=frozenset(terms.tools)))
    where = join(pointer, "tools")
    return [Problem("contradictory_fields", f"{label}: {one}", where) for one in said]
