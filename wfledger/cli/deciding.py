"""The verbs by which people decide: answer, retry, widen, accept, open, stop, cancel."""

import shlex
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Final

import click

from wfledger.cli.budgets import budget_option, parse_budget
from wfledger.cli.common import App, emit, json_option, pass_app, user
from wfledger.cli.confirming import bring_in
from wfledger.cli.render import say
from wfledger.errors import TransitionError, UsageError

if TYPE_CHECKING:
    from wfledger.core.documents import Task


def _told(app: App, task: "Task", sentence: str, *, as_json: bool) -> None:
    """Bring the decision into the history and say what follows."""
    brought = bring_in(app)
    entry = app.workspace.ledger.get(task.id)
    if as_json:
        emit({"task": entry.as_json(), **brought})
        return
    say(f"{task.id}: {sentence}")
    if entry.status.value == "waiting":
        say(app.goes_on(task.run))
    elif entry.task.block is not None:
        say(f"next: {entry.task.block.command}")


@click.command("retry")
@click.argument("task")
@click.option("--edited", is_flag=True, help="As its file says now, not as it was submitted.")
@budget_option("What all of its attempts together may use now.")
@json_option
@pass_app
def retry(
    app: App, *, task: str, edited: bool, budget: tuple[str, ...], as_json: bool
) -> None:
    """Let a blocked task be tried again from the start; earlier failures are forgiven.

    Where its file was edited in what the task may write, run or be verified by, it goes on as it
    was submitted; with --edited, as the file says now.
    """
    from wfledger.run import people

    more = parse_budget(budget)
    if edited and more is not None:
        raise UsageError("--edited takes what the file says, and --budget what is said here")
    done = people.retry(app.workspace, app.task_id(task), edited=edited, more=more)
    _told(app, done, "will be tried again", as_json=as_json)


@click.command("answer")
@click.argument("task")
@click.argument("text", metavar="TEXT|yes|no")
@click.option("--reason", default="", help="Why no; the next attempt is told.")
@json_option
@pass_app
def answer(app: App, *, task: str, text: str, reason: str, as_json: bool) -> None:
    """Answer a task's question: the next attempt is given TEXT.

    Of a result that waits for approval, `yes` lands it as it is, without another attempt, and `no`
    refuses it: the task has failed its verification then. A condition that cannot be decided and a
    gate that is shut are answered the same way: `yes` or `no` counts in their place, and `--reason`
    says why no.
    """
    from wfledger.run import people
    from wfledger.run.merger import approving

    task_id = app.task_id(task)
    asked = approving.is_asked(app.workspace.ledger.get(task_id).task)
    done = people.answer(app.workspace, task_id, text, who=user(), reason=reason)
    goes_on = "goes on" if done.spec.control is not None else "will be tried again"
    said = _VERDICTS[text] if asked else f"has its answer and {goes_on}"
    _told(app, done, said, as_json=as_json)


_VERDICTS: Final = {
    "yes": "is approved; its result goes on to be landed",
    "no": "is refused; another attempt is told why",
}


@click.command("widen")
@click.argument("task")
@click.argument("patterns", nargs=-1, required=True)
@json_option
@pass_app
def widen(app: App, *, task: str, patterns: tuple[str, ...], as_json: bool) -> None:
    """Allow a blocked task to write PATTERNS too.

    A result that was kept goes on to be landed, without another attempt.
    """
    from wfledger.run import people

    done = people.widen(app.workspace, app.task_id(task), patterns)
    what = "its kept result goes on to be landed" if done.accepted else "will be tried again"
    _told(app, done, f"may write {', '.join(patterns)}; {what}", as_json=as_json)


@click.command("accept")
@click.argument("task")
@click.option("--waive", multiple=True, type=click.Choice(["verification", "gate", "no_change"]),
              help="Let this check pass; may be given again.")  # fmt: skip
@json_option
@pass_app
def accept(app: App, *, task: str, waive: tuple[str, ...], as_json: bool) -> None:
    """Land what a blocked task's last attempt made, or what was mended in its `open` worktree.

    Scope, verification, merge and gate are checked as ever; no attempt is spent. Of a task without
    a write scope only the report counts; what it changed is kept and does not land. A loop or
    another controller goes on with what there is.
    """
    from wfledger.run import people

    done = people.accept(app.workspace, app.task_id(task), waive=waive)
    what = "its result goes on to be landed" if done.spec.writes else "its report counts"
    as_it_is = done.spec.control is not None and done.accepted is None
    what = "it goes on as it is" if as_it_is else what
    _told(app, done, what, as_json=as_json)


@click.command("open")
@click.argument("task")
@json_option
@pass_app
def open_(app: App, *, task: str, as_json: bool) -> None:
    """Make a worktree with a task's kept work, to look at or to mend; prints its path.

    Where the work conflicts with what has landed, the merge is begun there. `wfledger accept TASK`
    lands what is in it.
    """
    from wfledger.run.attempts.mending import open_worktree

    task_id = app.task_id(task)
    opened = open_worktree(app.workspace, task_id)
    place = opened.place
    if as_json:
        emit({
            "task": task_id, "worktree": place.path, "head": place.base,
            "conflicts": list(opened.conflicts),
        })  # fmt: skip
        return
    say(place.path)
    for path in opened.conflicts:
        say(f"conflict: {path}", err=True)
    if opened.is_for_mending:
        say(f"when it is mended: wfledger accept {task_id}", err=True)
    else:
        say(f"to remove it: git worktree remove --force {shlex.quote(place.path)}", err=True)


@click.command("stop")
@click.argument("what", metavar="TASK|RUN")
@click.option("--reason", default="", help="Kept with the attempt.")
@json_option
@pass_app
def stop(app: App, *, what: str, reason: str, as_json: bool) -> None:
    """End what runs of a task, or of a whole run; its work is kept.

    A stopped run starts nothing more until `wfledger run RUN`.
    """
    from wfledger.run.attempts import stopping

    workspace = app.workspace
    if what in _runs(app):
        ended = stopping.stop_run(workspace, what, reason=reason)
        others = stopping.elsewhere_of(workspace, what)
        if as_json:
            emit({"run": what, "stopped": ended, "elsewhere": others})
        else:
            say(f"run {what} starts nothing more; {len(ended)} attempts were ended")
            if others:
                say(f"{len(others)} are with other machines, which end them when they hear of it")
            say(f"next: wfledger run {what}")
        return
    done = stopping.stop(workspace, app.task_id(what), reason=reason)
    was_stopped = bool(done.attempts) and done.attempts[-1].outcome == "stopped"
    what = "its attempt was ended, its work is kept" if was_stopped else "it had ended by itself"
    _told(app, done, what, as_json=as_json)


@click.command("cancel")
@click.argument("tasks", nargs=-1, required=True, metavar="TASK...|RUN")
@click.option("--reason", default="", help="Kept in the history.")
@json_option
@pass_app
def cancel(app: App, *, tasks: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Give tasks up, or every open task of a run. What runs is ended, its work kept.

    With a controller goes all that it has started, and with a branch what it is made of.
    """
    from wfledger.run import people

    names = [name for given in tasks for name in _tasks_of(app, given)]
    if not names:
        raise UsageError("nothing of it is open")
    named = {app.task_id(given) for given in tasks if given not in _runs(app)}
    cancelled = []
    try:
        for name in names:
            with nullcontext() if name in named else suppress(TransitionError):
                people.cancel(app.workspace, name, reason=reason)
                cancelled.append(name)
    finally:
        brought = bring_in(app)
    names = cancelled
    if as_json:
        emit({"cancelled": names, **brought})
        return
    for name in names:
        say(f"{name} is cancelled")


def _runs(app: App) -> set[str]:
    return {run.id for run in app.workspace.ledger.runs()}


def _tasks_of(app: App, given: str) -> list[str]:
    """Return the tasks that are meant: the open ones of a run, or one task and what it started."""
    from wfledger.core.statuses import Status
    from wfledger.run.controllers.descent import open_below

    ledger = app.workspace.ledger
    if given not in _runs(app):
        task_id = app.task_id(given)
        return [task_id, *open_below(app.workspace, task_id)]
    open_statuses = [status for status in Status if not status.is_final]
    return [name for status in open_statuses for name in ledger.names(status, run=given)]
