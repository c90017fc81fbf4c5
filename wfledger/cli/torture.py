"""`torture`: faults for a while, and whether the ledger holds what it promises."""

import os
import sys
from typing import TYPE_CHECKING

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.render import plural, say
from wfledger.cli.signals import ended_by_signals
from wfledger.errors import EnvironmentFailedError, UsageError

if TYPE_CHECKING:
    from collections import Counter

    from wfledger.run.chaos.hubs import Kind
    from wfledger.run.chaos.ordeal import Report

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
#: Kinds of fault, endings and helps that are listed.
_SHOWN = 40


def _seconds(text: str) -> float:
    """Return the seconds of `90`, `90s`, `10m` or `1h`."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = 0.0
    if not 1.0 <= seconds <= 86_400.0:
        raise UsageError(f"{text!r} is no time between 1s and 24h", hint="wfledger torture --help")
    return seconds


@click.command("torture")
@click.option("--time", "length", default="10m", show_default=True, metavar="TIME",
              help="How long faults come, such as 90s, 10m or 1h.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 256), default=16, show_default=True,
              help="Workers at once.")  # fmt: skip
@click.option("--tasks", type=click.IntRange(1, 10_000), default=500, show_default=True,
              help="Tasks of the plan.")  # fmt: skip
@click.option("--seed", type=int, help="Draw plan and faults from this; else a new one.")
@click.option("--clones", type=click.IntRange(0, 64), default=0, metavar="N",
              help="Torture N machines that share a ledger by a remote instead.")  # fmt: skip
@click.option("--server", type=click.Choice(["path", "git", "http", "ssh"]), default="git",
              show_default=True, help="What serves the remote of --clones.")  # fmt: skip
@click.option("--partitions", type=click.Choice(["auto", "netns", "proxy"]), default="auto",
              show_default=True,
              help="What cuts machines of --clones off: network namespaces, where packets vanish, "
              "or TCP proxies; auto: namespaces where they are allowed.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep the scratch folder also when all is well.")
@json_option
@pass_app
def torture(
    app: App, *, length: str, workers: int, tasks: int, seed: int | None, clones: int,
    server: "Kind", partitions: str, keep: bool, as_json: bool,
) -> int:  # fmt: skip
    """Torture a fleet in a scratch repository, and check what must hold.

    A plan of small tasks is worked off by several supervisors, and by claimers who use the command
    line, while faults come at random: kill -9 and SIGSTOP of any process, also of lock holders;
    strangers' files in every folder; the user's git beside it; no descriptors; and, as root, a
    full disk. Then the fleet must come to its end, and nothing may be lost, doubled or left over.
    Nothing of yours is touched.

    With --clones the fleet is that of several machines with daemons of their own, clocks that are
    wrong by up to a day, and a real server: pushes are killed, replies are lost, machines are cut
    off or stopped for longer than their lease, the server refuses, is away, and comes back with an
    old history. In the end all must agree, and each task be done exactly once. Where the system
    allows it, each machine is in a network namespace of its own, so that packets vanish while it is
    cut off; else, as is said, a TCP proxy holds them back.

    Exit status 0: everything held. 1: something did not; it is listed, and all is kept.
    """
    from wfledger.run.chaos.machines import Machines
    from wfledger.run.chaos.ordeal import Order
    from wfledger.run.chaos.torture import Torture

    length_s = _seconds(length)
    if clones and server != "path" and partitions != "proxy":
        _enter_network(server, must=partitions == "netns")
    drawn = seed if seed is not None else int.from_bytes(os.urandom(4), "big")
    order = Order(
        length_s, workers, tasks, drawn, verbs=_supervisors(), keep=keep, clones=clones,
        server=server,
    )  # fmt: skip
    kind = Machines if clones else Torture
    made = kind(order, clock=app.clock, say=lambda text: say(text, err=True))
    say(f"seed {drawn}, in {made.folder}", err=True)
    if isinstance(made, Machines):
        say(f"machines are cut off by {made.partitions}", err=True)
    with ended_by_signals():
        report = made.carry_out()
    if as_json:
        emit(report.as_json())
    else:
        _say_report(report)
    return 1 if report.violations else 0


def _enter_network(server: "Kind", *, must: bool) -> None:
    """Begin again in a network of one's own, where that is allowed; returns in it, or without."""
    from wfledger.run.chaos.links import is_inside, own_network

    if is_inside():
        return
    reason = "sshd does not run there without root"
    if server != "ssh" or os.geteuid() == 0:
        reason = own_network([sys.executable, "-m", "wfledger", *sys.argv[1:]])
    if must:
        raise EnvironmentFailedError(
            f"no network namespaces: {reason}", hint="wfledger torture --partitions proxy"
        )
    say(f"no network namespaces: {reason}", err=True)


def _supervisors() -> tuple[str, ...]:
    """Return the verbs that supervise in this version."""
    from wfledger.cli.main import VERBS

    return ("run", "daemon") if "daemon" in VERBS else ("run", "run")


def _say_report(report: "Report") -> None:
    order = report.order
    done = f"{report.done} of {plural(order.tasks, 'task')} done"
    say(f"{done} in {plural(report.attempts, 'attempt')}; {report.storm_s:.0f} s of faults, "
        f"{report.calm_s:.0f} s until the end after them")  # fmt: skip
    for name, figure in report.figures.items():
        say(f"  {figure:>7} {name}")
    _say_counts("faults", report.faults)
    _say_counts("not possible just then", report.missed)
    _say_counts("processes that ended", report.ended)
    _say_counts("a person's help", report.helped)
    for one in report.violations[:_SHOWN]:
        say(f"{one.invariant}: {one.subject}: {one.message}")
    if report.kept:
        say(f"everything is kept in {report.folder}")
    verdict = f"{plural(len(report.violations), 'violation')}" if report.violations else "all held"
    say(f"{verdict}; seed {order.seed}")


def _say_counts(title: str, counts: "Counter[str]") -> None:
    say(f"{title}: {sum(counts.values())}")
    for name, count in sorted(counts.items())[:_SHOWN]:
        say(f"  {count:5} {name}")
