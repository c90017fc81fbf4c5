"""The verb `land`: a run's results come to the user's branch, shown first."""

import sys
from typing import TYPE_CHECKING, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.confirming import bring_in
from wfledger.cli.render import plural, say
from wfledger.errors import UsageError
from wfledger.run.refnames import HEADS

if TYPE_CHECKING:
    from wfledger.run.merger.bringing import Bringing

_SHOWN: Final = 50


@click.command("land")
@click.argument("run")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--branch", metavar="NAME", help="Only make a branch, for a pull request.")
@click.option("--push", is_flag=True, help="Push the branch to the ledger's remote afterwards.")
@click.option("--undo", is_flag=True, help="Take the landing back, while nothing followed it.")
@json_option
@pass_app
def land(
    app: App, *, run: str, yes: bool, branch: str | None, push: bool, undo: bool, as_json: bool
) -> int:
    """Bring a run's results to its branch: shows the commits, asks, then fast-forwards or merges.

    Uncommitted work is never touched: where it is in the way, nothing happens and the paths are
    named. Exit status 5: the branch has moved on and conflicts. Where machines share the ledger
    the remote is looked at first; --push brings the branch there, unless it has moved on there
    (status 4: git pull, then again).
    """
    from wfledger.run.hub import delivery
    from wfledger.run.looks.naming import find_run
    from wfledger.run.merger import bringing

    if branch and (undo or push):
        raise UsageError("--branch does not go together with --undo or --push")
    workspace = app.workspace
    found = find_run(workspace, run)
    if undo:
        delivery.require_undelivered(workspace, found)
        _said(app, {"run": found.id, "undone_to": bringing.undo(workspace, found.id)}, as_json)
        return 0
    if branch:
        commit = bringing.branch_off(workspace, found.id, branch)
        _said(app, {"run": found.id, "branch": branch, "commit": commit}, as_json)
        return 0
    beyond = delivery.look(workspace, found)
    if push:
        beyond = delivery.require_pushable(beyond, found)
    elif beyond is not None and beyond.warning:
        say(beyond.warning, err=True)
    plan = bringing.prepare_landing(workspace, found.id)
    _show(plan, err=as_json)
    if plan.how != "nothing" and not yes and not _agreed(plan):
        say("nothing has changed", err=True)
        return 1
    done = bringing.bring(workspace, plan)
    facts = {
        "run": done.id, "how": plan.how, "commit": plan.after, "commits": len(plan.commits),
        "target": done.target.removeprefix(HEADS), "state": done.state,
    }  # fmt: skip
    if push and beyond is not None:
        facts |= {"pushed": delivery.deliver(workspace, done, beyond), "remote": beyond.hub.name}
    _said(app, facts, as_json)
    return 0


def _said(app: App, facts: dict[str, object], as_json: bool) -> None:
    brought = bring_in(app)
    if as_json:
        emit({**facts, **brought})
    elif "undone_to" in facts:
        say(f"the landing of {facts['run']} is undone")
    elif "branch" in facts:
        say(f"{facts['branch']} is at {str(facts['commit'])[:12]}")
    elif facts["how"] == "nothing":
        say(f"{facts['target']} has everything already")
    else:
        say(f"{facts['target']} is at {str(facts['commit'])[:12]}")
    if facts.get("pushed") and not as_json:
        say(f"{facts['target']} of {facts['remote']} is there, too")


def _show(plan: "Bringing", *, err: bool) -> None:
    if plan.how == "nothing":
        return
    target = plan.run.target.removeprefix(HEADS)
    say(f"{plural(len(plan.commits), 'commit')} for {target} ({plan.how}):", err=err)
    for commit in plan.commits[:_SHOWN]:
        say(f"  {commit.oid[:12]} {commit.subject}", err=err)
    if len(plan.commits) > _SHOWN:
        say(f"  and {len(plan.commits) - _SHOWN} more", err=err)
    say(f"{plural(len(plan.paths), 'path')} changed:", err=err)
    for path in plan.paths[:_SHOWN]:
        say(f"  {path}", err=err)
    if len(plan.paths) > _SHOWN:
        say(f"  and {len(plan.paths) - _SHOWN} more", err=err)


def _agreed(plan: "Bringing") -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on", hint=f"wfledger land {plan.run.id} --yes"
        )
    return click.confirm("Land them?", err=True)
