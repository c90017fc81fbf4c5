"""The verb `trust`: what changed while attempts ran is shown, and taken or put back."""

import sys
from typing import TYPE_CHECKING, Any

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.confirming import bring_in
from wfledger.cli.render import plural, say
from wfledger.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wfledger.run.guard.trusting import Suspicion


@click.command("trust")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--restore", is_flag=True, help="Put back what was there before.")
@json_option
@pass_app
def trust(app: App, *, yes: bool, restore: bool, as_json: bool) -> int:
    """Say yes, or no, to what changed while attempts ran.

    Worktrees share git's configuration, hooks and attributes with your checkout, and .wfledger/ is
    a folder like any other: a worker could leave a command there for you to run. Where something
    of that changed while one ran, or where somebody moved a branch of wfledger's, nothing more is
    started or landed on this machine until you have looked. Nothing of it has run.

    The same goes for what other machines change, through the ledger's remote, of what may run here:
    roles, adapters, gate, setup, notifications.

    Without an option: shows what changed and who ran, asks, and takes it as it is now. --restore
    puts back what was there; what is replaced stays in .git/wfledger/aside/. Exit status 1: you
    said no, or something could not be put back.
    """
    from wfledger.run.guard import trusting

    workspace = app.workspace
    found = trusting.suspicion(workspace)
    if found.is_none:
        _said(found, "nothing", as_json=as_json)
        return 0
    _show(found, err=as_json)
    if not yes and not _agreed(restore=restore, everywhere=found.from_remote):
        say("nothing has changed", err=True)
        return 1
    left: tuple[str, ...] = ()
    if restore:
        left = trusting.restore(workspace)
    else:
        trusting.accept(workspace, found)
    brought = bring_in(app)
    done = "restored" if restore else "trusted"
    _said(found, done, as_json=as_json, left=left, brought=brought)
    return 1 if left else 0


def _show(found: "Suspicion", *, err: bool) -> None:
    alarm = found.alarm
    if alarm is not None:
        say(f"{alarm.since or 'at some time'}: {alarm.reason}", err=err)
    for who, since in sorted(found.ran.items()):
        say(f"  {who} ran, from {since}", err=err)
    if not found.changes:
        say("all is as it was again", err=err)
        return
    say(f"{plural(len(found.changes), 'change')}:", err=err)
    for change in found.changes:
        say(f"  {change.line()}", err=err)
    for name, lines in found.differences.items():
        say(f"{name.rpartition(':')[2]}:", err=err)
        for line in lines:
            say(f"    {line}", err=err)


def _agreed(*, restore: bool, everywhere: bool) -> bool:
    command = f"wfledger trust{' --restore' if restore else ''} --yes"
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", hint=command)
    where = ", on every machine that shares the ledger" if everywhere else ""
    if restore:
        return click.confirm(f"Put back what was there before{where}?", err=True)
    say(f"wfledger trust --restore puts back what was there before{where}", err=True)
    return click.confirm("Trust it as it is now?", err=True)


def _said(
    found: "Suspicion", done: str, *, as_json: bool, left: tuple[str, ...] = (),
    brought: "Mapping[str, Any] | None" = None,
) -> None:  # fmt: skip
    if as_json:
        emit({"done": done, "left": list(left), **found.as_json(), **(brought or {})})
        return
    for name in left:
        say(f"{name} could not be put back; mend it, then: wfledger trust")
    if left:
        return
    said = {"nothing": "there is nothing to trust", "restored": "what was there before is back",
            "trusted": "it is trusted as it is now"}  # fmt: skip
    say(said[done])
