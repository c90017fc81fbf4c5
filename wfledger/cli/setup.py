"""The verb `setup`: tells a coding agent about the ledger, in the agent's own configuration."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.render import is_fancy, plural, say
from wfledger.core.text import clean
from wfledger.errors import NoLedgerError, UsageError

if TYPE_CHECKING:
    from wfledger.run.equipping.planning import Edit, Intent, Wanted

_AGENTS = ("claude", "codex", "kimi", "opencode", "qwen")
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command("setup")
@click.argument("agent", type=click.Choice(_AGENTS))
@click.option("--project", "reach", flag_value="project", default="project",
              help="Into this checkout's files, for all who clone it; the default.")  # fmt: skip
@click.option("--user", "reach", flag_value="user", help="Into your own configuration.")
@click.option("--remove", is_flag=True, help="Take out what setup put in, and nothing else.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be changed.")
@json_option
@pass_app
def setup(
    app: App, *, agent: str, reach: str, remove: bool, yes: bool, dry_run: bool, as_json: bool
) -> int:
    """Tell AGENT about the ledger: its MCP server, a skill, a paragraph to read first, and hooks.

    The hooks refuse writes outside of a claimed task's scope, renew the claim while tools are used,
    and hold a session that stops without handing in, at most twice. They do nothing in a session
    that has claimed no task.

    Shows every change first and asks. What is in your files stays as you typed it, comments
    included; an entry of yours that is in the way is named, and nothing is written then. Doing it
    again changes nothing, and --remove leaves the files as they were.

    Exit status 1: something is in the way, or you said no. 2: there is nobody to ask.
    """
    from wfledger.run.equipping import planning

    planning.refuse_inside(app.start, os.environ)
    wanted = _wanted(app, agent, reach, remove=remove)
    intent = planning.intend(wanted)
    _show(intent, wanted, err=as_json)
    is_written = False
    if intent.edits and not intent.clashes and not dry_run:
        is_written = yes or _agreed(wanted)
        if is_written:
            planning.carry_out(intent)
    if as_json:
        emit(_as_json(intent, wanted, is_written=is_written))
    else:
        _say_end(app, intent, wanted, is_written=is_written, dry_run=dry_run)
    is_open = bool(intent.edits) and not is_written and not dry_run
    return 1 if intent.clashes or is_open else 0


def _wanted(app: App, agent: str, reach: str, *, remove: bool) -> "Wanted":
    from wfledger.run.equipping.agents import Homes
    from wfledger.run.equipping.planning import Wanted, project

    homes = Homes(Path.home(), os.environ)
    if reach == "user":
        return Wanted(agent, "user", homes.home, homes, remove)
    return Wanted(agent, "project", project(app.start), homes, remove)


def _name(path: Path, wanted: "Wanted") -> str:
    return str(path.relative_to(wanted.root)) if path.is_relative_to(wanted.root) else str(path)


def _show(intent: "Intent", wanted: "Wanted", *, err: bool) -> None:
    for edit in intent.edits:
        for line in _diff(edit, wanted):
            colour = _COLOURS.get(line[:1]) if is_fancy() and not err else None
            click.echo(click.style(clean(line), fg=colour) if colour else clean(line), err=err)
    for clash in intent.clashes:
        say(f"{_name(clash.path, wanted)}: {clash.reason}", err=True)
        if not wanted.remove:
            say("  by hand it would have to hold:", err=True)
            say("\n".join(f"    {line}" for line in clash.by_hand.splitlines()), err=True)


def _diff(edit: "Edit", wanted: "Wanted") -> list[str]:
    name = _name(edit.path, wanted)
    return [
        line.replace(str(edit.path), name, 1) if line.startswith(("---", "+++")) else line
        for line in edit.diff()
    ]


def _agreed(wanted: "Wanted") -> bool:
    remove = " --remove" if wanted.remove else ""
    user = " --user" if wanted.reach == "user" else ""
    command = f"wfledger setup {wanted.agent}{user}{remove} --yes"
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on; nothing was written", hint=command)
    return click.confirm("Change these files?", err=True)


def _as_json(intent: "Intent", wanted: "Wanted", *, is_written: bool) -> dict[str, object]:
    return {
        "agent": wanted.agent, "scope": wanted.reach, "removed": wanted.remove,
        "written": is_written,
        "files": [
            {"path": str(edit.path), "change": edit.kind, "diff": "\n".join(_diff(edit, wanted))}
            for edit in intent.edits
        ],
        "conflicts": [
            {"path": str(one.path), "reason": one.reason, "add": one.by_hand}
            for one in intent.clashes
        ],
        "notes": list(intent.notes),
    }  # fmt: skip


def _say_end(
    app: App, intent: "Intent", wanted: "Wanted", *, is_written: bool, dry_run: bool
) -> None:
    count = plural(len(intent.edits), "file")
    if intent.clashes:
        say("something is in the way; nothing was written")
        return
    if not intent.edits:
        say("there is nothing to do")
    elif not is_written:
        say(f"{count} would be changed" if dry_run else "nothing was written")
        return
    else:
        say(f"{count} changed")
        if wanted.reach == "project":
            say("they are files of the project: commit them, for worktrees of tasks have only that")
    if wanted.remove:
        return
    for note in intent.notes:
        say(note)
    if shutil.which("wfledger") is None:
        say("wfledger is not on your PATH, so the agent will not find it either")
    _say_if_no_ledger(app, wanted)


def _say_if_no_ledger(app: App, wanted: "Wanted") -> None:
    if wanted.reach == "user":
        return
    try:
        app.machine_state  # noqa: B018 - opening it is the question
    except NoLedgerError:
        say("there is no ledger here yet: wfledger init")
