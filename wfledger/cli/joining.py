"""The verb `join`: take part in a ledger that another machine has put on the remote."""

import sys
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from wfledger.cli.common import App, emit, json_option, pass_app, state_home
from wfledger.cli.remotes import complete_remote, reach, say_paces, say_review
from wfledger.cli.render import say
from wfledger.errors import UsageError

if TYPE_CHECKING:
    from wfledger.core.policy import Policy
    from wfledger.run.hub.joining import Joined
    from wfledger.run.hub.reaching import Found


@click.command("join")
@click.argument("remote", required=False, metavar="[REMOTE]", shell_complete=complete_remote)
@click.option("--trust", is_flag=True, help="Agree to what the ledger may run here; do not ask.")
@json_option
@pass_app
def join(app: App, *, remote: str | None, trust: bool, as_json: bool) -> int:
    """Take part in the ledger that is on REMOTE (default: origin), in a clone without one.

    Shows what the ledger may run on this machine (roles, adapters, gate, worktree setup, models,
    notifications) and asks once. Whoever can push to the remote can add tasks, which run here: join
    only what you would let these people run. A change of what may run that comes later pauses work
    on this machine until `wfledger trust` has shown it to you.

    Doing it again changes nothing. Exit status 1: you said no, or the remote has no ledger. 2:
    there is nobody to ask, or the clone cannot take part. 75: the remote did not answer.
    """
    from wfledger.run.hub import joining, reaching
    from wfledger.run.hub.review import review
    from wfledger.vcs.repo import Repository

    repo = Repository.discover(app.start)
    already = joining.taking_part(repo)
    if already is not None:
        joining.finish(repo)
        _say_joined(app, already, {}, as_json=as_json)
        return 0
    joining.refuse_kind(repo)
    found = reaching.look(repo, reaching.address(repo, remote, start=app.start))
    fetched = reaching.fetch(repo, found, depth=reaching.DEPTH)
    shown = review(fetched.files, where=found.address.name)
    _refuse_lease(found, fetched.config.policy)
    say(f"the ledger of {found.address.name} ({shown.ledger}) may run here:", err=as_json)
    say_review(shown, err=as_json)
    if not trust and not _agreed(found):
        reaching.forget(fetched.repo)
        say("nothing has changed", err=True)
        return 1
    _, means = reach(app, fetched.repo, found.address.name)
    done = joining.join(found, fetched, means, clock=app.clock, state_home=state_home())
    host = reaching.host_of(found.address)
    say_paces(fetched.config.policy, host, max(len(found.machines), 1) + 1, err=as_json)
    _say_joined(app, done, {"means": means.as_json(), "runs": shown.as_json()}, as_json=as_json)
    return 0


def _refuse_lease(found: "Found", policy: "Policy") -> None:
    from wfledger.run.hub import reaching

    machines = max(len(found.machines), 1) + 1
    try:
        reaching.refuse_short_lease(
            policy, reaching.host_of(found.address), machines, where=found.address.name
        )
    except UsageError as error:
        hint = f"on a machine that takes part: {error.hint}"
        raise UsageError(error.message, hint=hint, **error.facts) from None


def _agreed(found: "Found") -> bool:
    if not sys.stdin.isatty():
        name = found.address.name
        raise UsageError(
            "there is no terminal to ask on; nothing was changed",
            hint=f"wfledger join {quote(name)} --trust",
        )
    return click.confirm("Let this run here?", err=True)


def _say_joined(
    app: App, done: "Joined", more: dict[str, Any], *, as_json: bool
) -> None:
    from wfledger.cli.confirming import announce

    said = announce(app)  # the others hear of this machine, and it of what came meanwhile
    if as_json:
        emit({
            "ledger": done.ledger, "root": str(done.root), "machine": done.machine,
            "fresh": done.fresh, **more, **said,
        })  # fmt: skip
        return
    if done.fresh:
        say(f"this machine ({done.machine}) takes part in the ledger {done.ledger}")
    else:
        say(f"this machine ({done.machine}) takes part in the ledger {done.ledger} already")
    say("next: wfledger daemon, or wfledger status")
