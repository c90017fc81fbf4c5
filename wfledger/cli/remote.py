"""The verb `remote`: which git remote the ledger is shared through, and what is known of it."""

import sys
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app, state_home
from wfledger.cli.confirming import announce, send
from wfledger.cli.remotes import (
    changed_policy,
    complete_remote,
    pacing_options,
    reach,
    say_means,
    say_paces,
)
from wfledger.cli.render import ago, plural, say, span, table
from wfledger.core.text import listed
from wfledger.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wfledger.core.policy import Policy
    from wfledger.run.hub.attaching import Attached
    from wfledger.run.hub.state import Hub
    from wfledger.run.workspace import Workspace

#: Names of tasks that are said.
_NAMED: Final = 5


@click.group("remote")
def remote() -> None:
    """Share the ledger with other machines, through a git remote that all of them can push to.

    On the machine that has the ledger: `wfledger remote set origin`. On each other one: `git
    clone`, and there `wfledger join`. Then `wfledger daemon` on every one of them.
    """


@remote.command("set", short_help="Share the ledger through a remote.")
@click.argument("name", required=False, metavar="[NAME|URL]", shell_complete=complete_remote)
@pacing_options
@json_option
@pass_app
def set_(app: App, /, *, name: str | None, as_json: bool, **pacing: Any) -> None:
    """Make the git remote NAME, or the one at URL, the place where machines share the ledger.

    Tries out with a scratch ref what the server lets you do, says how soon things happen there with
    how many machines, and puts the ledger on it; your branches are not touched. Nothing may be at
    work meanwhile. Killed half-way it can be done again. Where the ledger has this remote already,
    only the settings given by options are changed, for all machines; `--offline` alone asks no
    server.

    Exit status 75: the server did not answer, or something is at work here. 2: the lease is too
    short for that many machines; the hint has the command that mends it.
    """
    changed = changed_policy(**pacing)
    if name is None and changed.keys() == {"offline"} and app.workspace.hub is not None:
        done = _set_offline(app, changed, app.workspace.hub, err=as_json)
    else:
        done = share(app, name, changed, err=as_json)
    if as_json:
        emit(done)


def _set_offline(
    app: App, changed: "Mapping[str, float | str]", hub: "Hub", *, err: bool
) -> dict[str, Any]:
    """Change what becomes of attempts without the remote; it may well be away just now."""
    from wfledger.run.hub.attaching import set_policy

    policy = set_policy(app.workspace, changed)
    what = "are stopped" if policy.remote.offline == "stop" else "go on to their end"
    say(f"attempts {what} on a machine that has not reached {hub.name} for half a lease "
        f"({span(policy.lease_s / 2)})", err=err)  # fmt: skip
    return {
        "remote": hub.name, "url": hub.url, "lease_s": policy.lease_s,
        "offline": policy.remote.offline, **send(app),
    }  # fmt: skip


def share(
    app: App, name: str | None, changed: "Mapping[str, float | str]", *, err: bool
) -> dict[str, Any]:
    """Put the ledger of this repository on a remote; says how that went and returns it."""
    from wfledger.run.hub import attaching, reaching

    workspace = app.workspace
    if name is None and workspace.hub is not None:
        name = workspace.hub.name
    found, means = reach(app, workspace.repo, name)
    machines = len({*found.machines, workspace.machine.id})
    host = reaching.host_of(found.address)
    policy = attaching.with_changes(workspace.policy(), changed)
    options = "".join(
        f" --{key.removesuffix('_s').replace('_', '-')} "
        f"{value if isinstance(value, str) else f'{value:g}'}"
        for key, value in changed.items() if key != "lease_s"
    )
    reaching.refuse_short_lease(
        policy, host, machines, where=found.address.name, options=options
    )
    attaching.set_policy(workspace, changed)
    done = attaching.attach(workspace, found, means)
    say_means(found, means, err=err)
    say_paces(policy, host, machines, err=err)
    _say_attached(done, err=err)
    shown = _attached(done, policy, host, machines) | {"means": means.as_json()}
    return shown | (announce(app) if done.fresh else send(app))


def _attached(
    done: "Attached", policy: "Policy", host: str | None, machines: int
) -> dict[str, Any]:
    from wfledger.run.hub.reaching import paces

    return {
        "remote": done.hub.name, "url": done.hub.url, "fresh": done.fresh, "pushed": done.pushed,
        "lease_s": policy.lease_s, "offline": policy.remote.offline, "machines": machines,
        "paces": [one.as_json() for one in paces(policy, host, machines)],
    }  # fmt: skip


def _say_attached(done: "Attached", *, err: bool) -> None:
    name = done.hub.name
    if not done.fresh:
        say(f"the ledger is shared through {name} already", err=err)
    elif done.pushed:
        say(f"the ledger is on {name} now", err=err)
    else:
        say(f"the ledger was on {name} already; this machine takes part", err=err)
    clone = f"git clone {quote(done.hub.url)}"
    say(f"on each other machine: {clone}, and there: wfledger join", err=err)
    say("then on every machine: wfledger daemon", err=err)


@remote.command("show", short_help="Say what is known of the remote; no network.")
@json_option
@pass_app
def show(app: App, *, as_json: bool) -> None:
    """Say which remote it is, when it was last seen, and which machines take part; no network."""
    from wfledger.run.hub.reaching import paces

    workspace = app.workspace
    hub, policy = workspace.hub, workspace.policy()
    if hub is None:
        emit({"remote": None}) if as_json else say(
            "the ledger is this machine's alone; to share it: wfledger remote set"
        )
        return
    facts = _facts(workspace, hub)
    count = len(facts["machines"])
    if as_json:
        rows = [one.as_json() for one in paces(policy, hub.host, count)]
        emit(facts | {"lease_s": policy.lease_s, "paces": rows})
        return
    _say_facts(app, facts)
    say_paces(policy, hub.host, count, err=False)


def _facts(workspace: "Workspace", hub: "Hub") -> dict[str, Any]:
    from wfledger.run.hub import trusting
    from wfledger.run.hub.machines import machines
    from wfledger.run.hub.state import read_state

    state, agreed = read_state(workspace.ledger.layout.local), trusting.recorded(workspace)
    return {
        "remote": hub.name, "url": hub.url, "space": hub.space, "atomic": hub.atomic,
        "machine": workspace.machine.id, "seen": state.seen, "pushed": state.pushed,
        "stopped": state.stopped, "reason": state.reason, "trouble": state.trouble,
        "trusted": None if agreed is None else agreed.at,
        "untrusted": [change.as_json() for one in trusting.arrived(workspace)
                      for change in one.changes],
        "machines": [
            {"id": one.id, "name": one.name, "here": one.is_here, "silent_s": one.silent_s,
             "gone": one.is_gone} for one in machines(workspace)
        ],
    }  # fmt: skip


def _say_facts(app: App, facts: dict[str, Any]) -> None:
    now = app.clock.now()
    say(f"{facts['remote']} ({facts['url']}), in {facts['space']} refs, moved "
        f"{'all or none' if facts['atomic'] else 'one by one'}")  # fmt: skip
    seen = f"seen {ago(facts['seen'], now)} ago" if facts["seen"] else "not seen yet"
    pushed = f"pushed {ago(facts['pushed'], now)} ago" if facts["pushed"] else "nothing pushed yet"
    say(f"{seen}, {pushed}")
    if facts["stopped"]:
        say(f"stopped: {facts['reason']}")
    elif facts["trouble"]:
        say(f"trouble: {facts['trouble']}")
    if facts["untrusted"]:
        say(f"{plural(len(facts['untrusted']), 'change')} to be looked at: wfledger trust")
    rows = [
        (one["name"], one["id"], "here" if one["here"] else
         f"silent for {span(one['silent_s'])}{', taken for gone' if one['gone'] else ''}")
        for one in facts["machines"]
    ]  # fmt: skip
    for line in table(rows, indent="  "):
        say(line)


@remote.command("probe", short_help="Try out what a server lets you do.")
@click.argument("name", required=False, metavar="[NAME|URL]", shell_complete=complete_remote)
@json_option
@pass_app
def probe(app: App, *, name: str | None, as_json: bool) -> None:
    """Try out what a server lets you do with a scratch ref; changes nothing that stays.

    Works before there is a ledger, too. Exit status 1: it cannot be used, with the reason; 75: it
    did not answer.
    """
    from wfledger.core.policy import Policy
    from wfledger.errors import NoLedgerError
    from wfledger.run.hub import reaching
    from wfledger.vcs.repo import Repository

    repo = Repository.discover(app.start)
    try:
        policy, hub = app.workspace.policy(), app.workspace.hub
    except NoLedgerError:
        policy, hub = Policy(), None
    found, means = reach(app, repo, name or (hub.name if hub else None))
    host, machines = reaching.host_of(found.address), len(found.machines)
    if as_json:
        rows = [one.as_json() for one in reaching.paces(policy, host, machines)]
        emit({
            "remote": found.address.name, "url": found.address.url, **means.as_json(),
            "ledger": found.tip, "machines": list(found.machines), "lease_s": policy.lease_s,
            "paces": rows,
        })  # fmt: skip
        return
    say_means(found, means, err=False)
    has = f"it has a ledger, and {plural(machines, 'machine')}" if found.tip else "it has no ledger"
    say(has)
    say_paces(policy, host, machines, err=False)


@remote.command("unset", short_help="Make the ledger this machine's alone again.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@pass_app
def unset(app: App, *, yes: bool, as_json: bool) -> int:
    """Make the ledger this machine's alone again.

    The remote keeps its ledger, for the others; from here on the two go different ways. What others
    hold waits here, to be done again, and what the remote had not confirmed is kept. Exit status 1:
    you said no. 75: a daemon or a run works on it here.
    """
    from wfledger.run.hub import detaching

    workspace = app.workspace
    hub = workspace.hub
    if hub is not None and not yes and not _agreed(workspace, hub):
        say("nothing has changed", err=True)
        return 1
    done = detaching.detach(workspace)
    if as_json:
        emit({
            "remote": None if done is None else done.remote,
            "taken_back": [] if done is None else list(done.taken_back),
            "unconfirmed": 0 if done is None else done.unconfirmed,
        })  # fmt: skip
    elif done is None:
        say("the ledger is this machine's alone already")
    else:
        say(f"the ledger is this machine's alone; {done.remote} keeps its own")
        if done.unconfirmed:
            are = "is" if done.unconfirmed == 1 else "are"
            say(f"{plural(done.unconfirmed, 'record')} that it had not confirmed {are} kept here")
        if done.taken_back:
            count = len(done.taken_back)
            say(f"other machines hold {plural(count, 'task')} there, which "
                f"{'waits' if count == 1 else 'wait'} here, too: "
                f"{listed(done.taken_back, _NAMED)}")  # fmt: skip
    return 0


def _agreed(workspace: "Workspace", hub: "Hub") -> bool:
    from wfledger.run.hub import detaching

    held = detaching.held_elsewhere(workspace)
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", hint="wfledger remote unset --yes")
    if held:
        what = "it" if len(held) == 1 else "them"
        say(f"other machines hold {listed(held, _NAMED)}; both ledgers would do {what}", err=True)
    return click.confirm(f"Leave {hub.name}?", err=True)


@remote.command("restore", short_help="Give a rewound remote back what it had.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@pass_app
def restore(app: App, *, yes: bool, as_json: bool) -> int:
    """Give a remote that has lost what it had confirmed back what this machine knows.

    For a server that was restored from a backup, or whose refs somebody rewound: nothing goes on by
    itself then. Do it on the machine that knows most. Exit status 1: you said no.
    """
    question = "Give it back what this machine knows?"
    return _decide(app, "restore", question, yes=yes, as_json=as_json)


@remote.command("accept", short_help="Take a rewound remote's history for the truth.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@pass_app
def accept(app: App, *, yes: bool, as_json: bool) -> int:
    """Take the history of a remote that was rewound for the truth, and go on from there.

    What this machine knew besides is listed, and work that was kept stays under its refs. Exit
    status 1: you said no.
    """
    question = "Take its history for the truth?"
    return _decide(app, "accept", question, yes=yes, as_json=as_json)


def _decide(app: App, what: str, question: str, *, yes: bool, as_json: bool) -> int:
    from wfledger.run.hub import rewinding
    from wfledger.run.hub.state import read_state

    workspace = app.workspace
    state = read_state(workspace.ledger.layout.local)
    if workspace.hub is None or state.stopped is None:
        raise UsageError("nothing has stopped; there is nothing to decide", hint="wfledger sync")
    say(f"stopped: {state.reason}", err=as_json)
    if not yes and not sys.stdin.isatty():
        hint = f"wfledger remote {what} --yes"
        raise UsageError("there is no terminal to ask on", hint=hint)
    if not yes and not click.confirm(question, err=True):
        say("nothing has changed", err=True)
        return 1
    said = rewinding.restore(workspace) if what == "restore" else rewinding.accept(workspace)
    emit({"done": what, "said": said}) if as_json else say(said)
    return 0


@remote.command("rename-machine", short_help="Give a copied clone an id of its own.")
@json_option
@pass_app
def rename_machine(app: App, *, as_json: bool) -> None:
    """Give this clone an id of its own: for a clone that was copied, with its state, from another.

    Two clones with one id would take each other's work for their own, so both stop; one of them is
    to be renamed. What the id held before stays with the other one.
    """
    from wfledger.run.hub import renaming, trusting
    from wfledger.run.workspace import Workspace

    before = app.workspace.machine.id
    agreed = trusting.recorded(app.workspace)
    said = renaming.rename(app.workspace)
    renamed = Workspace.open(app.start, clock=app.clock, state_home=state_home())
    trusting.inherit(renamed, agreed)
    emit({"before": before, "machine": renamed.machine.id}) if as_json else say(said)


@remote.command("name", short_help="Say what people are to call this machine.")
@click.argument("name")
@json_option
@pass_app
def name_(app: App, /, *, name: str, as_json: bool) -> None:
    """Say what people are to call this machine; '' is its host's name.

    For clones on one computer and containers, whose hosts are all called the same. The others hear
    of it with the next heartbeat.
    """
    from wfledger.run.hub.renaming import call

    called = call(app.workspace, name)
    emit({"name": called}) if as_json else say(f"this machine is {called}")
