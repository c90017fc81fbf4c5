"""The phases shape as values: what a document says, before any rule is applied (spec 90.3)."""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from wfledger.core import bounds
from wfledger.core.documents import Gate
from wfledger.plans import fields
from wfledger.plans.budgets import Allowance, read_budget
from wfledger.plans.checks import read_gate
from wfledger.plans.fields import Field, Given, Site
from wfledger.plans.problems import Findings, Problem, quote
from wfledger.plans.terms import TERMS, Terms, split
from wfledger.plans.words import read_label, read_pattern

AGENT_TYPES: Final = (
    "general", "explore", "plan", "review", "implementer", "verifier", "tool_agent",
)  # fmt: skip
OnFailure = Literal["skip_continue", "abort", "hold"]
ON_FAILURE: Final[tuple[OnFailure, ...]] = get_args(OnFailure)
UNLIMITED: Final = "unlimited"


@dataclass(frozen=True)
class TaskDoc:
    """One task of a phase. A field that could not be read has its default."""

    pointer: str
    label: str
    names: frozenset[str]
    unknown: tuple[str, ...]
    late: tuple[Problem, ...]
    terms: Terms
    id: str
    prompt: str | None = None
    agent_type: str = "general"
    mode: str = "read_only"
    isolation: str = "shared"
    file_scope: tuple[str, ...] = ()
    depends_on_results: tuple[str, ...] = ()
    max_steps: int | None = None
    timeout_secs: int | None = None
    #: Its role in the plan, which a role of fleet.toml may play.
    plays: str | None = None

    @property
    def writes(self) -> bool:
        """Whether the task may change anything."""
        return self.mode == "read_write"


@dataclass(frozen=True)
class PhaseDoc:
    """One phase."""

    pointer: str
    label: str
    unknown: tuple[str, ...]
    name: str
    description: str | None = None
    depends_on: tuple[str, ...] = ()
    parallel: bool = False
    on_failure: OnFailure = "skip_continue"
    tasks: tuple[TaskDoc, ...] = ()


@dataclass(frozen=True)
class ConfigDoc:
    """A whole document of the phases shape."""

    names: frozenset[str]
    unknown: tuple[str, ...]
    late: tuple[Problem, ...]
    goal: str = "?"
    name: str = ""
    description: str | None = None
    max_concurrent: int = 4
    concurrency: int | str | None = None
    gate: Gate | None = None
    budget: Allowance | None = None
    phases: tuple[PhaseDoc, ...] = ()

    @property
    def at_once(self) -> int | None:
        """How many tasks may run at once; None means as many as there are slots."""
        if self.concurrency is None:
            return self.max_concurrent
        return self.concurrency if isinstance(self.concurrency, int) else None


def _concurrency(value: object, site: Site) -> Any:
    if value == UNLIMITED:
        return value
    if isinstance(value, str):
        return site.wrong(f"must be `{UNLIMITED}` or a whole number, not {quote(value)}")
    return fields.ranged(1, bounds.MAX_SLOTS)(value, site)


TASK: Final[fields.Shape] = {
    "id": Field(fields.text, required=True),
    "prompt": Field(fields.text),
    "agent_type": Field(fields.choice(*AGENT_TYPES)),
    "mode": Field(fields.choice("read_only", "read_write")),
    "isolation": Field(fields.choice("auto", "shared", "worktree", "clone")),
    "file_scope": Field(fields.many(read_pattern, "pattern")),
    "depends_on_results": Field(fields.many(fields.text, "entry")),
    "max_steps": Field(fields.whole(32), optional=True),
    "timeout_secs": Field(fields.whole(64), optional=True),
    "plays": Field(read_label, optional=True),
    **TERMS,
}


def _task(value: object, site: Site) -> Any:
    label = _named("task", value, "id", site)
    inner = Site(site.pointer, label, site.parse)
    given = fields.read_object(value, TASK, inner)
    if given is None:
        return fields.BAD
    terms, rest = split(given.values)
    rest.setdefault("id", f"\ufffd{site.pointer}")
    if isinstance(value, dict) and not ({"prompt", "command"} & value.keys() or terms.manual):
        missing = inner.under("prompt", f"`prompt` of {label}")
        missing.wrong("is missing (or give a `command`, or `manual: true`)")
    return TaskDoc(
        pointer=site.pointer, label=label, names=given.names, unknown=given.unknown,
        late=tuple(inner.late), terms=terms, **rest,
    )  # fmt: skip


PHASE: Final[fields.Shape] = {
    "name": Field(fields.text, required=True),
    "description": Field(fields.text, optional=True),
    "depends_on": Field(fields.many(fields.text, "entry")),
    "parallel": Field(fields.flag),
    "on_failure": Field(fields.choice(*ON_FAILURE)),
    "tasks": Field(fields.many(_task, "task")),
}


def _phase(value: object, site: Site) -> Any:
    label = _named("phase", value, "name", site)
    given = fields.read_object(value, PHASE, Site(site.pointer, label, site.parse))
    if given is None:
        return fields.BAD
    rest = given.values
    rest.setdefault("name", f"\ufffd{site.pointer}")
    return PhaseDoc(pointer=site.pointer, label=label, unknown=given.unknown, **rest)


def _named(noun: str, value: object, key: str, site: Site) -> str:
    """Return how messages call an object: by its name, if it has one."""
    name = value.get(key) if isinstance(value, dict) else None
    return f"{noun} {quote(name)}" if isinstance(name, str) else site.label


CONFIG: Final[fields.Shape] = {
    "goal": Field(fields.text, required=True),
    "name": Field(fields.text, optional=True),
    "description": Field(fields.text, optional=True),
    "max_concurrent": Field(fields.whole(8)),
    "concurrency": Field(_concurrency, optional=True),
    "gate": Field(read_gate, optional=True),
    "budget": Field(read_budget, optional=True),
    "phases": Field(fields.many(_phase, "phase")),
}


def read_config(document: object, findings: Findings) -> ConfigDoc | None:
    """Read a document of the phases shape; types only, parse errors go to *findings*."""
    site = Site("", "the plan", findings.parse)
    given: Given | None = fields.read_object(document, CONFIG, site)
    if given is None:
        return None
    return ConfigDoc(
        names=given.names, unknown=given.unknown, late=tuple(site.late), **given.values
    )
