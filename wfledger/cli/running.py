"""The verb that does the work: `run`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from wfledger.cli.budgets import budget_option, parse_budget
from wfledger.cli.card import Asking, again, card_of, confirm
from wfledger.cli.common import App, emit, json_option, pass_app, worker_name
from wfledger.cli.confirming import send
from wfledger.cli.failures import INTERRUPTED
from wfledger.cli.launching import Limits, launch_options, require_launch
from wfledger.cli.planfiles import checked_source, plan_of, read_source, say_problems
from wfledger.cli.progress import progress
from wfledger.cli.render import plural, say, status_name
from wfledger.cli.reusing import begun
from wfledger.cli.signals import stoppable
from wfledger.core.documents import Run
from wfledger.errors import InvalidDocumentError, NotFoundError, UsageError
from wfledger.run.refnames import HEADS

if TYPE_CHECKING:
    from wfledger.plans.budgets import Allowance
    from wfledger.plans.compiling import Plan
    from wfledger.run.hub.departing import Departing
    from wfledger.run.session import Outcome
    from wfledger.run.workspace import Workspace


class _Order(NamedTuple):
    """How a plan is to be run."""

    lenient: bool
    role: str | None
    target: str | None
    name: str
    asking: Asking
    budget: "Allowance | None"
    #: Runs whose results are taken, and where to start instead of where they did.
    reuse: tuple[str, ...] = ()
    base: str | None = None
    #: JSON text.
    args: str | None = None
    limits: Limits = Limits()


@click.command("run")
@click.argument("what", metavar="FILE|RUN")
@click.option("--detach", is_flag=True, help="Put the plan into the ledger and start nothing.")
@click.option("--lenient", is_flag=True, help="Warn of unknown fields instead of refusing them.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Attempts at once on this machine.")
@click.option("--worker", "role", metavar="ROLE", help="Role of prompts that name none.")
@click.option("--target", metavar="BRANCH", help="Branch that the results are for.")
@click.option("--name", default="", help="Name of the run.")
@click.option("--reuse", metavar="RUN", multiple=True,
              help="Take the results of RUN for what has not changed; last: of the newest run of "
              "this plan. Starts where RUN started.")  # fmt: skip
@click.option("--base", metavar="REV", help="Start from that commit.")
@click.option("--args", metavar="JSON", help="Arguments of a script.")
@budget_option("What all of its attempts together may use.")
@click.option("--yes", is_flag=True, help="Start a new plan without asking.")
@launch_options
@json_option
@pass_app
def run(
    app: App, *, what: str, detach: bool, lenient: bool, workers: int | None, role: str | None,
    target: str | None, name: str, reuse: tuple[str, ...], base: str | None, args: str | None,
    budget: tuple[str, ...], yes: bool, limits: Limits, as_json: bool,
) -> int:  # fmt: skip
    """Run a plan, or go on with a run.

    A plan that may write, starts agents that reach the network, or hands out secrets is shown on
    one card first and waits for your yes; `--yes` gives it. Without a terminal to ask at and
    without `--yes` nothing is submitted (exit status 2). Going on with a run asks nothing.

    With `--reuse RUN` whatever has the same key as a finished task of RUN (same prompt or command,
    worker, checks and inputs, same files to start from) is taken from there: its result is copied,
    its work lands after all checks, and it costs nothing. `wfledger plan FILE --diff RUN` says what
    that would be.

    Returns when nothing can move without a person. Ctrl-C starts nothing more and lets what runs
    come to its end; a second one stops that too. Work is always kept.

    Exit status 0: succeeded. 1: failed. 6: a budget is used up. 9: some results are missing, as the
    plan allows. 10: tasks wait for a person; each is printed with its command.
    """
    from wfledger.core.unknown import unknown_fields
    from wfledger.run.attempts.nesting import generation
    from wfledger.run.service.instance import is_up
    from wfledger.run.session import Session
    from wfledger.run.slots import count_of
    from wfledger.run.workers.confining import unready

    asking = Asking(yes, as_json, again(click.get_current_context(), what))
    found, goes = _submitted(app, what, _Order(
        lenient, role, target, name, asking, parse_budget(budget), reuse, base, args, limits
    ))  # fmt: skip
    if detach:
        _say_detached(app, found, goes, as_json=as_json)
        return 0
    workspace = app.workspace
    # The worker that waits for it holds a slot meanwhile, and those above that one.
    slots = count_of(workspace, workers) + generation(workspace, found)
    for sentence in unknown_fields(workspace.config()):
        say(f"warning: ledger.json: {sentence}", err=True)
    for sentence in unready(workspace.fleet()):
        say(f"warning: {sentence}", err=True)
    say(f"run {found.id}: {plural(len(found.tasks), 'task')}, {slots} at once", err=True)
    with progress(workspace, found, err=as_json) as listener:
        session = Session(
            workspace, found, slots=slots, worker=worker_name(), listener=listener
        )
        with stoppable(session):
            outcome = session.drive()
    if as_json:
        emit(outcome.as_json() | _unpushed(goes))
    else:
        say_outcome(outcome)
    if outcome.interrupted and is_up(workspace):
        say(f"the daemon goes on with it; to stop it: wfledger stop {found.id}", err=True)
    return INTERRUPTED if outcome.interrupted else outcome.exit_status


def _submitted(app: App, what: str, order: _Order) -> "tuple[Run, Departing | None]":
    """Return the run that is meant: a new one of a plan file, or one that is there.

    With a new one, what goes to the remote with its branch.
    """
    path = Path(what)
    if what == "-" or _is_file(app.start / path):
        return _submit(app, path, order)
    from wfledger.run.looks.naming import find_run

    workspace = app.workspace
    try:
        found = find_run(workspace, what)
    except NotFoundError:
        raise UsageError(
            f"there is neither a file nor a run {what}", hint="wfledger status"
        ) from None
    if any((order.role, order.target, order.name, order.reuse, order.base, order.args)):
        raise UsageError(
            "--worker, --target, --name, --reuse, --base and --args are for new runs", run=found.id
        )
    from wfledger.run.money.raising import raise_run
    from wfledger.run.session import reopen

    found = reopen(workspace, found)
    if order.budget is not None:
        found = raise_run(workspace, found.id, order.budget)
    return found, None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _submit(app: App, path: Path, order: _Order) -> "tuple[Run, Departing | None]":
    from wfledger.run.money.raising import with_budget
    from wfledger.run.submit import (
        Submission,
        check_submission,
        submit,
        unlanded_neighbours,
    )

    source = read_source(path, start=app.start)
    checked = checked_source(source, app.clock, lenient=order.lenient)
    compiled = with_budget(_with_args(plan_of(checked, source.name), order), order.budget)
    require_launch(compiled, order.limits, source.name)
    say_problems(checked, source.name)
    workspace = app.workspace
    submission = Submission(
        plan=compiled, text=source.text.decode("utf-8", "replace"), source=source.name,
        name=order.name, target=order.target, role=order.role,
    )  # fmt: skip
    submission = begun(workspace, submission, reuse=order.reuse, base=order.base)
    for one in unlanded_neighbours(workspace, [task.spec for task in compiled.every]):
        if one.run.id in submission.reuses:
            continue
        say(
            f"run {one.run.id} has not landed and changed {one.paths[0]}, which this plan may "
            f"write; wfledger land {one.run.id}",
            err=True,
        )
    target = check_submission(workspace, submission)
    _say_uncommitted(workspace, target)
    goes = _departing(workspace, submission.base, target)
    confirm(card_of(workspace, compiled, order.role), order.asking)
    run = submit(workspace, submission)
    return run, replace(goes, ref=run.branch) if goes is not None else None


def _departing(workspace: "Workspace", base: str | None, target: str) -> "Departing | None":
    """Say which commits go to the remote with a new run, before anybody says yes to it."""
    start = base or workspace.repo.tip(target)
    if start is None or not workspace.is_shared:
        return None
    from wfledger.run.hub.departing import departing, underway

    goes = departing(workspace, start, branch=target, but=underway(workspace))
    if goes is not None:
        say(goes.sentence, err=True)
    return goes


def _unpushed(goes: "Departing | None") -> dict[str, Any]:
    return {} if goes is None else {"unpushed": goes.as_json()}


def _with_args(plan: "Plan", order: _Order) -> "Plan":
    from wfledger.core.records import load_json
    from wfledger.plans.frontends.scriptplan import with_args

    if order.args is None:
        return plan
    try:
        return with_args(plan, load_json(order.args.encode()))
    except InvalidDocumentError as error:
        raise UsageError(f"--args: {error.message}", hint="--args '{\"name\": 1}'") from None


def _say_uncommitted(workspace: "Workspace", target: str) -> None:
    changed = workspace.repo.changed_files(target)
    if changed:
        verb = "is" if changed == 1 else "are"
        say(
            f"{plural(changed, 'file')} {verb} changed and not committed; the run starts from the "
            f"last commit of {target.removeprefix(HEADS)}",
            err=True,
        )


def _say_detached(app: App, found: Run, goes: "Departing | None", *, as_json: bool) -> None:
    brought = send(app) | _unpushed(goes)
    if as_json:
        emit({"run": found.id, "tasks": list(found.tasks), "verdict": None, **brought})
        return
    say(f"run {found.id}: {plural(len(found.tasks), 'task')}")
    for task_id in found.tasks:
        say(f"  {task_id}")
    say(app.goes_on(found.id))


def say_outcome(outcome: "Outcome") -> None:
    """Print what a run has come to, and what a person may do next."""
    verdict, found = outcome.verdict, outcome.run
    state = "interrupted" if outcome.interrupted else verdict.state
    counted = f"{verdict.done} of {plural(verdict.total, 'task')} done"
    if verdict.due != verdict.total:
        counted += f"; of {verdict.due} that were due, {verdict.covered} succeeded"
    click.echo(f"run {found.id} {status_name(state)}: {counted}")
    if outcome.reused:
        say(f"  {plural(outcome.reused, 'result')} taken from {', '.join(found.reuses)}")
    for need in outcome.needs:
        first, *more = need.reason.splitlines() or [""]
        say(f"  {need.task} ({need.code}): {first}")
        for line in more:
            say(f"    {line}")
        say(f"    {need.command}")
    for task_id in outcome.cancelled:
        say(f"  {task_id} was cancelled")
    if outcome.unlanded:
        commits = plural(outcome.unlanded, "commit")
        say(f"{commits} on {found.branch.removeprefix(HEADS)}")
    commands = [line for line in outcome.next_commands if line not in _shown(outcome)]
    if commands:
        say("next:")
    for line in commands:
        say(f"  {line}")


def _shown(outcome: "Outcome") -> set[str]:
    return {need.command for need in outcome.needs}
