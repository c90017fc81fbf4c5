"""The option `--budget`, as people write one on a command line."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from wfledger.errors import UsageError
from wfledger.plans.budgets import Allowance, read_budget
from wfledger.plans.fields import BAD, Site

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
_NUMBERS = {"usd": float, "tokens": int, "steps": int}


def budget_option(help_: str) -> Callable[[CommandT], CommandT]:
    """Give a command the option `--budget`, passed as `budget` and read by `parse_budget`."""
    option: Callable[[CommandT], CommandT] = click.option(
        "--budget", multiple=True, metavar="usd=N,tokens=N,steps=N,time=T", help=help_
    )
    return option


def parse_budget(given: tuple[str, ...]) -> Allowance | None:
    """Return what `usd=20,time=1h` says, in one text or several; raises `UsageError`."""
    if not given:
        return None
    values: dict[str, object] = {}
    for part in ",".join(given).split(","):
        name, mark, text = part.strip().partition("=")
        if not mark or name in values:
            raise UsageError(f"--budget {part.strip()}: write it as usd=20 or tokens=500000, once")
        values[name] = _number(name, text)
    site = Site("", "--budget", [])
    found = read_budget(values, site)
    problems = [*site.parse, *site.late]
    if problems or found is BAD:
        raise UsageError("; ".join(one.message for one in problems))
    if not isinstance(found, Allowance):
        raise TypeError(found)
    return found


def _number(name: str, text: str) -> object:
    try:
        return _NUMBERS[name](text)
    except (KeyError, ValueError):
        return text
