"""What the verbs about a ledger's remote print: what was found, and how soon things happen."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wfledger.cli.common import App
from wfledger.cli.render import say, span, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wfledger.core.policy import Policy
    from wfledger.run.hub.probing import Means
    from wfledger.run.hub.reaching import Found, Pace
    from wfledger.run.hub.review import Review
    from wfledger.vcs.repo import Repository

_SPACES = {
    "hidden": "refs/wfledger/, which clones do not show",
    "branches": "branches (wfledger, wfledger-*), for the server takes nothing else",
}


def complete_remote(
    context: click.Context, parameter: click.Parameter, begun: str
) -> list[str]:
    """Return the git remotes of this repository that begin so; for shells."""
    from wfledger.errors import WfledgerError
    from wfledger.run.hub.reaching import remotes
    from wfledger.vcs.repo import Repository

    del parameter
    app = context.find_root().params.get("directory")
    try:
        known = remotes(Repository.discover(app if isinstance(app, Path) else Path.cwd()))
    except (WfledgerError, OSError):
        return []
    return [name for name in known if name.startswith(begun)]


def pacing_options(command: "Callable[..., Any]") -> "Callable[..., Any]":
    """Give a command the options that change how machines meet at the remote."""
    for option in (
        click.option("--offline", type=click.Choice(["finish", "stop"]),
                     help="What becomes of running attempts whose machine has not reached the "
                     "remote for half a lease: they go on to their end, or are stopped."),
        click.option("--lease", type=click.FloatRange(1, 30 * 86_400), metavar="SECONDS",
                     help="Silence after which a machine's work is taken over."),
        click.option("--interval", type=click.FloatRange(1, 86_400), metavar="SECONDS",
                     help="Between two pushes of one machine, at least."),
        click.option("--pushes-per-minute", type=click.FloatRange(0.01, 6000), metavar="N",
                     help="What all machines together may push; what a forge publishes otherwise."),
    ):  # fmt: skip
        command = option(command)
    return command


def changed_policy(
    lease: float | None, interval: float | None, pushes_per_minute: float | None,
    offline: str | None,
) -> dict[str, float | str]:  # fmt: skip
    """Return the settings that the options of `pacing_options` change."""
    given = {
        "lease_s": lease, "interval_s": interval, "pushes_per_minute": pushes_per_minute,
        "offline": offline,
    }  # fmt: skip
    return {key: value for key, value in given.items() if value is not None}


def reach(
    app: App, repo: "Repository", wanted: str | None
) -> "tuple[Found, Means]":
    """Look at a remote and try out what it lets us do; raises what says why it cannot be used."""
    from wfledger.run.hub import joining, probing, reaching

    joining.refuse_kind(repo)
    found = reaching.look(repo, reaching.address(repo, wanted, start=app.start))
    means = probing.probe(repo, found.address, clock=app.clock, prefer=found.space)
    return found, means


def say_means(found: "Found", means: "Means", *, err: bool) -> None:
    """Say what a server lets us do."""
    say(f"{found.address.name} ({found.address.url}) takes pushes, and refuses what is not asked "
        "for with the right old value", err=err)  # fmt: skip
    say(f"the ledger's refs: {_SPACES[means.space]}", err=err)
    for note in means.notes:
        say(f"note: {note}", err=err)


def say_paces(
    policy: "Policy", host: str | None, machines: int, *, err: bool
) -> None:
    """Print machines x interval -> wait for a grant, least lease."""
    from wfledger.core.hub import pushes_per_minute
    from wfledger.run.hub.reaching import paces

    limit, rows = pushes_per_minute(policy.remote, host), paces(policy, host, machines)
    whose = f"at most {limit:g} pushes a minute in all" if limit else "nobody limits the pushes"
    say(f"{host or 'this machine'}: {whose}; the lease is {span(policy.lease_s)}", err=err)
    cells = [("machines", "one pushes every", "a grant takes about", "least lease", "")]
    for row in _telling(rows, max(machines, 1)):
        short = "" if policy.lease_s >= row.least_lease_s else "the lease is too short for so many"
        here = "now" if row.machines == max(machines, 1) else ""
        wait = f"{_s(row.wait_s)} (at most {_s(2 * row.wait_s)})"
        cells.append((
            str(row.machines), _s(row.interval_s), wait,
            _s(row.least_lease_s), "; ".join(filter(None, (here, short))),
        ))  # fmt: skip
    for line in table(cells, indent="  "):
        say(line, err=err)


def _telling(rows: "Sequence[Pace]", machines: int) -> "Sequence[Pace]":
    """Return one row where the number of machines makes no difference."""
    if len({row.interval_s for row in rows}) > 1:
        return rows
    return [row for row in rows if row.machines == machines]


def say_review(found: "Review", *, err: bool) -> None:
    """Print what a ledger may run here."""
    rows = [(item.kind, item.name, item.what) for item in found.items]
    for line in table(rows, indent="  "):
        say(line, err=err)
    for warning in found.warnings:
        say(f"  warning: {warning}", err=err)


def _s(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 600 else span(seconds)
