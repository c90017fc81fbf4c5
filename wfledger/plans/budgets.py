"""What a plan allows and asks of models: `budget`, `model`, `requires`, `tools` (WFL-PLAN-025)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.authority import TOOLS
from wfledger.core.routes import CAPABILITIES, ModelPolicy
from wfledger.core.usage import Budget
from wfledger.plans import durations, fields
from wfledger.plans.fields import BAD, Field, Site
from wfledger.plans.words import is_blank, read_label


@dataclass(frozen=True)
class Allowance:
    """A `budget`: of a run its wall time is among it, of a task that of an attempt."""

    budget: Budget | None = None
    time_s: float | None = None


def _money(value: object, site: Site) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return site.wrong(f"must be a number of dollars, not {fields.kind_of(value)}")
    if not 0 < value <= bounds.MAX_USD:
        return site.refuse(f"must be more than 0 and at most {bounds.MAX_USD:.0f}")
    return float(value)


#: The fields of a `budget`.
BUDGET: Final[fields.Shape] = {
    "usd": Field(_money, optional=True),
    "tokens": Field(fields.ranged(1, bounds.MAX_TOKENS), optional=True),
    "steps": Field(fields.ranged(1, bounds.MAX_STEPS), optional=True),
    "time": Field(fields.duration, into="time_s", optional=True),
}


def read_budget(value: object, site: Site) -> Any:
    """Read an object of limits as an `Allowance`; one that limits nothing is refused."""
    values = fields.nested(BUDGET)(value, site)
    if values is BAD:
        return BAD
    if not value:
        return site.refuse("limits nothing; give usd, tokens, steps or time", kind="empty_field")
    time_s = values.pop("time_s", None)
    return Allowance(Budget(**values) if values else None, time_s)


def write_budget(given: Allowance) -> dict[str, Any]:
    """Return *given* as it stands in a phases document."""
    found = given.budget or Budget()
    time = given.time_s and durations.shortest(given.time_s)
    usd = found.usd and durations.shortest(found.usd)
    return _present({"steps": found.steps, "time": time, "tokens": found.tokens, "usd": usd})


def _name(value: object, site: Site) -> Any:
    result = read_label(value, site)
    if result is not BAD and (result != result.strip() or any(is_blank(c) for c in result)):
        return site.refuse("holds white space", kind="invalid_name")
    return result


_MODEL: Final[fields.Shape] = {
    "provider": Field(_name, optional=True),
    "model": Field(_name, required=True),
    "fallbacks": Field(fields.many(_name, "model"), into="fallback_models"),
}


def read_model(value: object, site: Site) -> Any:
    """Read `name`, `provider/name`, or an object: `model`, `provider`, `fallbacks`."""
    if isinstance(value, str):
        name = _name(value, site)
        return BAD if name is BAD else ModelPolicy(model=name)
    values = fields.nested(_MODEL)(value, site)
    if values is BAD or "model" not in values:
        return BAD
    return ModelPolicy(**values)


def write_model(policy: ModelPolicy) -> str | dict[str, Any] | None:
    """Return *policy* as it stands in a phases document."""
    if policy.provider is None and not policy.fallback_models:
        return policy.model
    return _present({
        "fallbacks": list(policy.fallback_models), "model": policy.model,
        "provider": policy.provider,
    })  # fmt: skip


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != []}


#: The fields of a task that are about models and money.
FIELDS: Final[fields.Shape] = {
    "model": Field(read_model, optional=True),
    "requires": Field(fields.many(fields.choice(*CAPABILITIES), "capability")),
    "tools": Field(fields.many(fields.choice(*TOOLS), "tool"), optional=True),
    "budget": Field(read_budget, optional=True),
}
