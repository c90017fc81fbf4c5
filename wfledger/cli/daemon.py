"""The verb `daemon`, and what looks after the daemon: status, stop, unit."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from wfledger.cli.common import App, emit, json_option, pass_app, worker_name
from wfledger.cli.machinetable import remote_lines
from wfledger.cli.render import plural, say
from wfledger.cli.signals import stoppable
from wfledger.errors import BusyError, EnvironmentFailedError

if TYPE_CHECKING:
    from wfledger.run.service.instance import Facts, Instance
    from wfledger.run.workspace import Workspace

#: Seconds in which a daemon that was started in the background must be up.
_UP_S: Final = 30.0
_LOOK_S: Final = 0.02
_workers = click.option(
    "--workers", type=click.IntRange(1, 1024), help="Attempts at once on this machine."
)
_no_events = click.option(
    "--no-events", is_flag=True, envvar="WFLEDGER_NO_EVENTS",
    help="Only look again and again, about once a second.",
)  # fmt: skip
_EXAMPLES: Final = """\b
For example:
  wfledger daemon --detach             # in the background, until it is stopped
  wfledger run plan.yaml --detach      # put work in; the daemon starts it
  wfledger daemon status
  wfledger daemon stop
  wfledger daemon unit > ~/.config/systemd/user/wfledger.service"""


@click.group("daemon", invoke_without_command=True, epilog=_EXAMPLES)
@_workers
@click.option("--detach", is_flag=True, help="Start it in the background and return when it is up.")
@_no_events
@click.option("--quiet", is_flag=True, help="Write to the log alone, not to the terminal.")
@json_option
@click.pass_context
def daemon(
    context: click.Context, *, workers: int | None, detach: bool, no_events: bool, quiet: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Work on every run, whatever is added, until stopped.

    One daemon works for a ledger on a machine; a second start says so and is done. Workers that
    die, full disks and the like are got over; `status` says what is held up. Ctrl-C and SIGTERM
    end what runs, its work kept.
    """
    if context.invoked_subcommand is not None:
        return 0
    app: App = context.obj
    if detach:
        return _detach(app, workers, no_events=no_events, as_json=as_json)
    from wfledger.run.service.instance import Instance

    workspace = app.workspace
    try:
        instance = Instance(workspace)
    except BusyError:
        _say_running(workspace, as_json=as_json)
        return 0
    try:
        return _serve(workspace, instance, _Order(workers, no_events, quiet))
    finally:
        instance.release()


class _Order(NamedTuple):
    """How a daemon is to be run."""

    workers: int | None
    no_events: bool
    quiet: bool


def _serve(workspace: "Workspace", instance: "Instance", order: _Order) -> int:
    from wfledger.run.service.daemon import Daemon, Settings
    from wfledger.run.service.logbook import Logbook
    from wfledger.run.slots import count_of

    slots = count_of(workspace, order.workers)
    settings = Settings(slots, worker_name(), events=not order.no_events)
    echo = None if order.quiet else _echo
    log = Logbook(log_path(workspace), clock=workspace.clock, echo=echo)
    served = Daemon(workspace, instance, settings, log)
    with stoppable(served):
        is_ours = served.serve()
    log.close()
    return 0 if is_ours else 1


def _echo(text: str) -> None:
    with suppress(OSError):  # its terminal is gone; the log has it
        say(text, err=True)


def log_path(workspace: "Workspace") -> Path:
    """Return where the daemon logs."""
    return workspace.ledger.layout.local / "logs" / "daemon.log"


def _say_running(workspace: "Workspace", *, as_json: bool) -> None:
    from wfledger.run.service.instance import facts_of

    facts = facts_of(workspace)
    if as_json:
        emit(_as_json(facts, running=True))
        return
    say(f"already running (pid {facts.pid if facts else 'unknown'})")


def _as_json(facts: "Facts | None", *, running: bool) -> dict[str, Any]:
    return {"daemon": running, **(facts.as_json() if facts else {})}


def _detach(app: App, workers: int | None, *, no_events: bool, as_json: bool) -> int:
    """Start a daemon in a session of its own and wait until it says that it is up."""
    from wfledger.run.service.instance import facts_of, is_up
    from wfledger.run.service.unit import program

    workspace = app.workspace
    if is_up(workspace):
        _say_running(workspace, as_json=as_json)
        return 0
    errors = log_path(workspace).with_name("daemon.err")
    options = _options(workers, no_events=no_events)
    argv = [*program(workspace), "daemon", "--quiet", *options]
    with errors.open("wb") as err:
        child = subprocess.Popen(
            argv, cwd=workspace.main, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=err, start_new_session=True,
        )  # fmt: skip
    deadline = workspace.clock.elapsed() + _UP_S
    while child.poll() is None and workspace.clock.elapsed() < deadline:
        facts = facts_of(workspace)
        if facts is not None and facts.pid == child.pid:
            _say_up(facts, as_json=as_json)
            child.returncode = 0  # it goes on; nobody waits for it
            return 0
        workspace.clock.wait(_LOOK_S)
    if child.poll() == 0:
        _say_running(workspace, as_json=as_json)  # another one was quicker
        return 0
    said = errors.read_text("utf-8", "replace").strip()
    raise EnvironmentFailedError(
        f"the daemon did not come up: {said or 'no answer'}", hint="wfledger daemon",
        log=str(errors),
    )


def _options(workers: int | None, *, no_events: bool) -> list[str]:
    given = ["--workers", str(workers)] if workers else []
    return [*given, *(["--no-events"] if no_events else [])]


def _say_up(facts: "Facts", *, as_json: bool) -> None:
    if as_json:
        emit(_as_json(facts, running=True))
        return
    say(f"the daemon is up (pid {facts.pid}), {facts.slots} at once")
    say(f"its log: {facts.log}")
    say("next: wfledger daemon status")


@daemon.command("status")
@json_option
@pass_app
def status(app: App, *, as_json: bool) -> int:
    """Say whether the daemon runs and how it is. Exit status 0: it runs. 3: it does not."""
    from wfledger.run.hub.machines import machines
    from wfledger.run.looks.remote import remote_view
    from wfledger.run.service.instance import facts_of, is_up

    running, facts = is_up(app.machine_state), facts_of(app.machine_state)
    remote = remote_view(app.machine_state)
    if as_json:
        emit({**_as_json(facts, running=running), "remote": remote and remote.as_json()})
    elif facts is not None:
        _say_facts(facts)
        for line in remote_lines(remote, len(machines(app.machine_state))) if remote else ():
            say(f"  {line}")
    else:
        starting = "the daemon is starting"
        say(starting if running else "no daemon runs; next: wfledger daemon --detach")
    return 0 if running else 3


def _say_facts(facts: "Facts") -> None:
    how = f"{facts.watching} ({facts.why})" if facts.why else facts.watching
    say(f"daemon {facts.state} (pid {facts.pid}) since {facts.since}")
    say(f"  {facts.running} of {plural(facts.slots, 'slot')} at work, {facts.landing} landing")
    say(f"  changes are noticed by {how}")
    for setback in facts.setbacks:
        say(f"  {setback.part} is held up since {setback.since}: {setback.message}")
    say(f"  log: {facts.log}")


@daemon.command("stop")
@click.option("--timeout", type=click.FloatRange(0), default=60.0, show_default=True,
              metavar="SECONDS", help="Longest wait until it is gone.")  # fmt: skip
@json_option
@pass_app
def stop(app: App, *, timeout: float, as_json: bool) -> None:
    """End the daemon and what it runs, the work kept; returns when it is gone."""
    from wfledger.run.service import instance

    facts = instance.stop(app.machine_state, within_s=timeout)
    if as_json:
        emit({"stopped": facts is not None, "pid": facts.pid if facts else None})
        return
    say(f"the daemon (pid {facts.pid}) has ended" if facts else "no daemon runs")


@daemon.command("unit")
@_workers
@_no_events
@pass_app
def unit(app: App, *, workers: int | None, no_events: bool) -> None:
    """Print a systemd user unit that runs the daemon of this ledger."""
    from wfledger.run.service import unit as units

    workspace = app.workspace
    arguments = _options(workers, no_events=no_events)
    click.echo(units.unit(workspace, arguments, os.environ), nl=False)
    name = units.unit_name(workspace)
    say(f"# wfledger daemon unit > ~/.config/systemd/user/{name}", err=True)
    say(f"# systemctl --user daemon-reload && systemctl --user enable --now {name}", err=True)
    say('# so that it runs without a login: loginctl enable-linger "$USER"', err=True)
