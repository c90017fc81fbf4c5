"""`adapter`: which agents are known, how they are driven, and whether an adapter holds."""

import shutil
from typing import TYPE_CHECKING, Any, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app, state_home
from wfledger.cli.render import plural, say, table
from wfledger.cli.signals import ended_by_signals
from wfledger.errors import NoLedgerError, NotFoundError, RepositoryError, UsageError
from wfledger.run.rehearsal.cases import CASES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wfledger.run.config.adapters import Adapter
    from wfledger.run.config.roles import Fleet
    from wfledger.run.rehearsal.matrix import Report
    from wfledger.run.rehearsal.showing import Shown
    from wfledger.run.workspace import Workspace

_EXAMPLES: Final = """\b
For example:
  wfledger adapter list
  wfledger adapter show codex
  wfledger adapter test codex                    # all cases, in a scratch repository
  wfledger adapter test codex --case 401 --keep"""


@click.group("adapter", epilog=_EXAMPLES)
def adapter() -> None:
    """List, show and test adapters of agents' programs.

    An adapter says as data how an agent is started, pointed at a model and understood. wfledger
    comes with some; [adapter.NAME] of fleet.toml or of machine.toml adds others.
    """


@adapter.command("list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """List the adapters, and which of their programs are installed here."""
    rows = [_summary(one, own=own) for one, own in _all(_fleet(app))]
    if as_json:
        emit({"adapters": rows})
        return
    head = ("adapter", "program", "speaks", "sandbox", "resumes", "")
    lines = [
        (
            row["name"], row["program"] if row["installed"] else f"{row['program']} (not here)",
            ", ".join(row["dialects"]) or "-", "own" if row["own_sandbox"] else "-",
            "yes" if row["resumes"] else "no", row["title"],
        )
        for row in rows
    ]  # fmt: skip
    for line in table([head, *lines]):
        say(line)


@adapter.command("show")
@click.argument("name")
@json_option
@pass_app
def show(app: App, *, name: str, as_json: bool) -> None:
    """Show how an agent is driven."""
    fleet = _fleet(app)
    found = _find(fleet, name)
    own = found in fleet.adapters
    if as_json:
        emit(_summary(found, own=own) | _details(found))
        return
    say(f"{found.name}: {found.title or found.program}")
    rows = [(key, _text(value)) for key, value in _details(found).items() if value]
    for line in table(rows, indent="  "):
        say(line)
    if shutil.which(found.program) is None:
        install = f"; to install it: {found.install}" if found.install else ""
        say(f"{found.program} is not installed here{install}")


@adapter.command("test")
@click.argument("name")
@click.option("--case", "cases", multiple=True, help="Only this one; repeatable.",
              type=click.Choice([case.name for case in CASES]))  # fmt: skip
@click.option("--limit", type=click.FloatRange(1, 3600), default=420.0, show_default=True,
              metavar="SECONDS", help="Time for one case, its own tries included.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True,
              help="Cases at once.")  # fmt: skip
@click.option("--sandbox", type=click.Choice(["own", "bwrap", "none"]),
              help="How it is kept apart; as well as it can be, if this is left out.")  # fmt: skip
@click.option("--readable", multiple=True, metavar="DIR",
              help="Folder of /tmp that bubblewrap shows it; repeatable.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep the scratch repository, to look at logs.")
@click.option("-v", "--verbose", is_flag=True, help="Say what happens while it does.")
@json_option
@pass_app
def test(
    app: App, *, name: str, cases: tuple[str, ...], limit: float, jobs: int,
    sandbox: str | None, readable: tuple[str, ...], keep: bool, verbose: bool, as_json: bool,
) -> int:  # fmt: skip
    """Test an adapter against a server that fails in every way.

    The agent's own program works on tasks of a scratch repository, while a scripted server on this
    machine takes the model's place: it costs nothing and reaches no network. Each case says what
    the agent's end must be read as: a landed edit, no change, auth, quota, transport, stopped.

    Exit status 0: every case is as it must be. 1: some are not; they are listed.
    """
    from wfledger.run.rehearsal.matrix import Order, rehearse

    if readable and sandbox in {"own", "none"}:
        raise UsageError("--readable is for bubblewrap: leave --sandbox out, or say bwrap")
    fleet = _fleet(app)
    found = _find(fleet, name)
    apart = {"sandbox": sandbox, "readable": readable}
    role = {key: value for key, value in apart.items() if value}
    order = Order(
        found, _definition(app, fleet, found), role, cases, limit, jobs, keep, state_home()
    )

    def tell(text: str, *, detail: bool) -> None:
        if verbose or not detail:
            say(text, err=True)

    with ended_by_signals():
        report = rehearse(order, clock=app.clock, say=tell)
    if as_json:
        emit(report.as_json())
    else:
        _say_report(report)
    return 0 if report.ok else 1


def _workspace(app: App) -> "Workspace | None":
    """Return the ledger that we are in; None outside of any: built-in adapters are known there."""
    try:
        return app.workspace
    except (NoLedgerError, RepositoryError):
        return None


def _fleet(app: App) -> "Fleet":
    """Return what is known here: of the ledger, of this machine, and built in."""
    from wfledger.run.config import machine
    from wfledger.run.config.fleetfile import load
    from wfledger.run.guard import vouching

    workspace = _workspace(app)
    if workspace is None:
        return load("", machine_text=machine.text())
    return vouching.fleet(workspace)


def _definition(app: App, fleet: "Fleet", found: "Adapter") -> "Mapping[str, Any] | None":
    """Return the table of an adapter that fleet.toml defines; those of others are known anyway."""
    from wfledger.run.config.settings import read_toml
    from wfledger.run.guard import vouching

    workspace = _workspace(app)
    if workspace is None or found not in fleet.adapters:
        return None
    text = vouching.fleet_text(workspace)
    tables: Mapping[str, Any] = read_toml(text, source="fleet.toml").get("adapter", {})
    return tables.get(found.name)


def _all(fleet: "Fleet") -> "list[tuple[Adapter, bool]]":
    from wfledger.run.config.adapters import built_in

    known = [(one, True) for one in fleet.adapters] + [(one, False) for one in built_in()]
    return sorted(known, key=lambda pair: pair[0].name)


def _find(fleet: "Fleet", name: str) -> "Adapter":
    found = fleet.adapter(name)
    if found is None:
        known = ", ".join(one.name for one, _ in _all(fleet))
        raise NotFoundError(
            f"there is no adapter {name} (known: {known})", hint="wfledger adapter list"
        )
    return found


def _summary(found: "Adapter", *, own: bool) -> dict[str, Any]:
    return {
        "name": found.name, "title": found.title, "program": found.program,
        "installed": shutil.which(found.program) is not None, "dialects": list(found.dialects),
        "own_sandbox": found.shuts_itself_in, "resumes": bool(found.resume), "built_in": not own,
    }  # fmt: skip


def _details(found: "Adapter") -> dict[str, Any]:
    return {
        "argv": list(found.argv), "resume": list(found.resume),
        "args": {name: list(words) for name, words in found.groups.items()},
        "speaks": list(found.dialects), "key": found.key,
        "env": dict(found.env), "env with a provider": dict(found.server_env),
        "env without one": dict(found.login_env), "own home": dict(found.home),
        "login": [*found.login.pass_names, *(source for source, _ in found.login.copy)],
        "output": found.stream, "notes": list(found.notes),
    }  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_text(one)}" for name, one in value.items())
    return " ".join(value) if isinstance(value, list) else str(value)


def _say_report(report: "Report") -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=box.SIMPLE, title=f"{escape(report.adapter)} against a scripted server")
    for head in ("case", "", "expected", "found", "s", "asked", "sandbox", "what the server does"):
        shown.add_column(head, overflow="fold")
    for one in report.shown:
        mark = "[green]ok[/]" if one.ok else "[red]wrong[/]"
        shown.add_row(
            one.case.name, mark, one.case.expected, escape(one.found), f"{one.seconds:.1f}",
            str(one.requests), one.sandbox, one.case.title,
        )  # fmt: skip
    Console().print(shown)
    for one in report.shown:
        if not one.ok:
            say(f"{one.case.name}: {_complaint(one)}")
    wrong = sum(not one.ok for one in report.shown)
    say(f"{plural(wrong, 'case')} of {len(report.shown)} wrong" if wrong else "all as it must be")
    if report.kept:
        say(f"everything is kept in {report.kept}")


def _complaint(one: "Shown") -> str:
    differs = one.found != one.case.expected
    said = f"expected {one.case.expected}, found {one.found}" if differs else "; ".join(one.wrong)
    return f"{said} ({one.message})" if one.message else said
