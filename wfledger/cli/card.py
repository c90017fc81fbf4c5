"""The card that `run FILE` shows before it submits anything, and its question (spec 66)."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from wfledger.cli.render import plural, say, table
from wfledger.errors import UnconfirmedError

if TYPE_CHECKING:
    from wfledger.plans.compiling import Plan
    from wfledger.run.money.card import Card, Listed, Workers
    from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Asking:
    """How a person may be asked."""

    #: The answer was given with the call.
    yes: bool
    #: Standard output is for a program, which can be asked nothing.
    as_json: bool
    #: The same call with the answer.
    again: str


def card_of(workspace: "Workspace", plan: "Plan", role: str | None) -> "Card":
    """Return the card of *plan* in this repository."""
    from wfledger.run.money.card import Circumstances, card_for

    gate = workspace.policy().gate
    gates = (gate.command,) if gate is not None else ()
    return card_for(plan, Circumstances(workspace.fleet(), role, gates))


def again(context: click.Context, *words: str) -> str:
    """Return this call as it would be typed, with its arguments *words* and with `--yes`."""
    typed = ["wfledger", context.info_name or "", *words]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        given = context.get_parameter_source(option.name or "") is not ParameterSource.DEFAULT
        if isinstance(option, click.Option) and option.name != "yes" and value and given:
            several = value if isinstance(value, tuple) else (value,)
            for one in several:
                typed += [option.opts[0]] if one is True else [option.opts[0], str(one)]
    return shlex.join([*typed, "--yes"])


def confirm(card: "Card", asking: Asking) -> None:
    """Show *card* where it needs a yes, and get it; raises `UnconfirmedError` without."""
    if not card.asks:
        return
    show(card, err=True)
    if asking.yes:
        return
    if asking.as_json or not sys.stdin.isatty():
        raise UnconfirmedError(
            f"a person is to say yes first ({', '.join(card.asks)}); nothing was submitted",
            hint=asking.again, card=card.as_json(),
        )
    if not click.confirm("start it?", default=False, err=True):
        raise UnconfirmedError("not confirmed; nothing was submitted", hint=asking.again)


def show(card: "Card", *, err: bool = False) -> None:
    """Print *card*."""
    say(f"the plan has {plural(card.tasks, 'task')}:", err=err)
    for line in table(_rows(card), indent="  "):
        say(line, err=err)


def _rows(card: "Card") -> list[tuple[str, str]]:
    rows = [("script", "decides what it begins, and so what that may write and cost")]
    rows *= bool(card.scripts)
    rows += [("agents", _agents(one)) for one in card.workers]
    rows += [("may write", f"{_some(card.writes)} ({plural(card.writers, 'task')})")] * bool(
        card.writers
    )
    rows += [("commands", line) for line in _lines(card.commands)]
    rows += [("checks", line) for line in _lines(card.checks)]
    if card.commands.count or card.checks.count:
        rows.append(("sandbox", f"{card.sandbox} (of commands and checks)"))
    so_far = " (besides what the script begins)" if card.scripts else ""
    rows.append(("network", f"{'yes' if card.network else 'no'}{so_far}"))
    named = (f"{name} (not set here)" if name in card.unset else name for name in card.secrets)
    rows.append(("secrets", ", ".join(named) or "none"))
    rows.append(("cost", f"{card.cost}{so_far}"))
    rows += [("cap", line) for line in _lines(card.caps)] or [("cap", "none")]
    return rows


def _agents(one: "Workers") -> str:
    return f"{one.tasks} x {one.role}: {', else '.join((one.who, *one.fallbacks))} ({_kept(one)})"


def _kept(one: "Workers") -> str:
    if one.is_model and one.sandbox == "own":
        return "runs no commands"
    words = {"none": "no sandbox", "own": "its own sandbox"}
    kept = words.get(one.sandbox, f"in {one.sandbox}")
    commands = "its commands: " if one.is_model else ""
    return f"{commands}{kept}{'' if one.network else ', no network'}"


def _lines(listed: "Listed") -> Sequence[str]:
    rest = listed.count - len(listed.shown)
    return [*listed.shown, *([f"and {rest} more"] if rest else [])]


def _some(listed: "Listed") -> str:
    return ", ".join(_lines(listed))
