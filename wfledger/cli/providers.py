"""`provider`: which servers of models are used, how they stand here, and how to let them go on."""

from typing import TYPE_CHECKING, Any, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.render import plural, say, table
from wfledger.errors import NotFoundError

if TYPE_CHECKING:
    from wfledger.run.models.trying import Tried
    from wfledger.run.money.accounts import Account

_EXAMPLES: Final = """\b
For example:
  wfledger provider list
  wfledger provider test deepseek
  wfledger provider close deepseek               # the balance is topped up: go on"""


@click.group("provider", epilog=_EXAMPLES)
def provider() -> None:
    """List providers of models, try one, or let work on one go on.

    A provider that refuses everybody (its key, its quota, its balance) is open here, as a breaker
    is: nothing more is started on it until it says that it answers again, or somebody closes it.
    [provider.NAME] of fleet.toml or of machine.toml describes one; those of built-in profiles
    need no more than their key.
    """


@provider.command("list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """List the providers that are described, used by roles, or in trouble."""
    from wfledger.run.config.known import built_in
    from wfledger.run.money.accounts import accounts

    found = accounts(app.workspace, app.workspace.fleet())
    others = sorted(set(built_in()) - {one.name for one in found})
    if as_json:
        emit({"providers": [one.as_json() for one in found], "others": others})
        return
    head = ("provider", "work", "slots", "key", "models", "")
    for line in table([head, *(_row(one) for one in found)]) if found else ():
        say(line)
    if others:
        say(f"known besides, without a word in fleet.toml: {', '.join(others)}")


@provider.command("close")
@click.argument("name")
@json_option
@pass_app
def close(app: App, *, name: str, as_json: bool) -> None:
    """Let work on a provider go on, with all of its slots."""
    from wfledger.run.money import breakers

    workspace = app.workspace
    _require(app, name)
    was = breakers.shut_now(workspace, name)
    has_changed = breakers.close(workspace, name)
    if as_json:
        emit({"provider": name, "closed": has_changed})
        return
    if was is not None:
        say(f"work on {name} goes on; it was {was.opened.kind}: {was.opened.message}")
    elif has_changed:
        say(f"{name} has all its slots again")
    else:
        say(f"nothing kept work on {name}")


@provider.command("test")
@click.argument("name")
@click.option("--model", metavar="MODEL", help="Model to ask; else the first that is described.")
@json_option
@pass_app
def test(app: App, *, name: str, model: str | None, as_json: bool) -> int:
    """Ask a provider one short question, with its key. It costs as much as that answer.

    Exit status 0: it answered. 1: it did not; what it says is printed.
    """
    from wfledger.run.guard import vouching
    from wfledger.run.models.trying import ask_once

    _require(app, name)
    tried = ask_once(vouching.fleet(app.workspace), name, model, clock=app.clock)
    if as_json:
        emit({"provider": name, **tried.as_json()})
    else:
        _say_tried(app, name, tried)
    return 0 if tried.problem is None else 1


def _require(app: App, name: str) -> None:
    """Raise `NotFoundError` for what is neither a provider nor the account of an agent."""
    fleet = app.workspace.fleet()
    if fleet.provider(name) is None and fleet.adapter(name) is None:
        raise NotFoundError(f"there is no provider {name}", hint="wfledger provider list")


def _row(one: "Account") -> tuple[str, ...]:
    limit = "-" if one.limit is None else str(one.limit)
    provider_ = one.provider
    key = "own login" if provider_ is None else "none wanted"
    if provider_ is not None and provider_.key is not None:
        key = provider_.key + ("" if one.has_key else " (not set here)")
    return (one.name, _state(one), f"{one.busy} of {limit}", key, _models(one), _trouble(one))


def _state(one: "Account") -> str:
    if one.has_key is False and one.state == "closed":
        return "no key"
    if one.used_up is not None and one.state == "closed":
        return "stopped"
    return {"closed": "goes on", "open": "stopped", "probing": "is tried"}[one.state]


def _models(one: "Account") -> str:
    if one.provider is None:
        return "its own"
    if not one.provider.models:
        return "any" if one.provider.any_model else "none"
    said = plural(len(one.provider.models), "model")
    return f"{said}, {len(one.unpriced)} of unknown price" if one.unpriced else said


def _trouble(one: "Account") -> str:
    opened = one.breaker.opened
    if opened is None:
        return one.used_up or ""
    until = f", until {opened.until}" if opened.until else f"; wfledger provider close {one.name}"
    return f"{opened.kind} since {opened.since}: {opened.message}{until}"


def _say_tried(app: App, name: str, tried: "Tried") -> None:
    from wfledger.run.money import breakers

    if tried.problem is not None:
        say(f"{name} does not answer ({tried.problem.kind}): {tried.problem.message}")
        return
    facts: list[Any] = [f"{tried.wall_s:.1f} s"]
    if tried.usage is not None and tried.usage.tokens is not None:
        facts.append(plural(tried.usage.tokens, "token"))
    cost = tried.usage.cost_usd if tried.usage is not None else None
    facts.append("cost unknown" if cost is None else f"${cost:.6f}")
    say(f"{name} answers as {tried.model}: {', '.join(facts)}")
    if (shut := breakers.shut_now(app.workspace, name)) is not None:
        say(f"work on it is stopped still: {shut.command}")
