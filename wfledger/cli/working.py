"""The verbs of workers: `claim`, `heartbeat`, `complete`, `fail`, `release`, `tick`.

ID and `--token` default to the environment of an attempt, or to the worktree that one stands in, so
a worker's script names neither.
"""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import click

from wfledger.cli.common import App, emit, json_option, pass_app, worker_name
from wfledger.cli.confirming import bring_in, send
from wfledger.cli.failures import here
from wfledger.cli.holding import held_by
from wfledger.cli.render import say, span
from wfledger.core import bounds
from wfledger.core.states import REPORTED

_task_argument = click.argument("task", envvar="WFLEDGER_TASK", required=False)
_token_option = click.option(
    "--token", envvar="WFLEDGER_TOKEN",
    help="The secret of the claim; else $WFLEDGER_TOKEN, or that of the worktree one stands in.",
)  # fmt: skip


@click.command("claim")
@click.argument("task", required=False)
@click.option("--worker", help="Who you are; else this machine and process.")
@click.option("--worktree", is_flag=True, help="Make a worktree for the attempt.")
@json_option
@pass_app
def claim(
    app: App, *, task: str | None, worker: str | None, worktree: bool, as_json: bool
) -> None:
    """Take TASK, or the first task on offer; prints the attempt and its secret token.

    Exit status 3: nothing is on offer. 4: the task is not. 8: paused.
    """
    from wfledger.run.offering import claim_next

    workspace = app.workspace
    task_id = app.task_id(task) if task else None
    claimed = claim_next(workspace, worker=worker or worker_name(), task_id=task_id)
    brought = send(app, waits=False)
    lease_s = workspace.policy().lease_s
    place: str | None = None
    if worktree:
        from wfledger.run.attempts.handing import give_worktree

        place = give_worktree(workspace, claimed).path
    if as_json:
        document = {"status": "in-progress", **json.loads(claimed.task.model_dump_json(
            by_alias=True))}  # fmt: skip
        emit({"task": document, "attempt": claimed.attempt, "token": claimed.token,
              "worktree": place, "lease_s": lease_s, **brought})  # fmt: skip
        return
    say(f"export WFLEDGER_TASK={claimed.task.id}")
    say(f"export WFLEDGER_TOKEN={claimed.token}")
    if place is not None:
        say(f"cd {shlex.quote(place)}")
    say(f"attempt {claimed.attempt} of {claimed.task.id}: {claimed.task.spec.title}", err=True)
    say(f"it is yours for {span(lease_s)}; `wfledger heartbeat` renews that", err=True)


@click.command("heartbeat")
@_task_argument
@_token_option
@click.option("--state", type=click.Choice([state.value for state in REPORTED]),
              help="What the attempt does now, for people who watch.")  # fmt: skip
@click.option("--note", default="", help="A line about it, such as the name of the tool.")
@json_option
@pass_app
def heartbeat(
    app: App, *, task: str | None, token: str | None, state: str | None, note: str, as_json: bool
) -> None:
    """Say that the attempt goes on, which renews its lease; give it every third of that.

    Exit status 4: it is over, stop working.

    With --state, `status`, `why` and `watch` show what it does until it says something else.
    """
    from wfledger.run.attempts import claims, phases

    task_id, token = held_by(app, task, token)
    count = claims.heartbeat(app.workspace, task_id, token)
    if state or note:
        attempt = app.workspace.ledger.get(task_id).task.attempt
        said = state or REPORTED[0].value
        phases.note(app.workspace, task_id, attempt, said, text=note)
    if as_json:
        lease_s = app.workspace.policy().lease_s
        emit({"task": task_id, "heartbeat": count, "lease_s": lease_s})


@click.command("release")
@_task_argument
@_token_option
@click.option("--reason", default="", help="Kept with the attempt.")
@json_option
@pass_app
def release(
    app: App, *, task: str | None, token: str | None, reason: str, as_json: bool
) -> None:
    """Give a task back; it counts as no failure, and work in its worktree is kept."""
    from wfledger.run.attempts.handing import give_back

    task_id, token = held_by(app, task, token)
    done = give_back(app.workspace, task_id, token, reason=reason)
    _said(app, done.id, f"{done.id} waits again", {}, as_json=as_json)


@click.command("fail")
@_task_argument
@_token_option
@click.option("--kind", default="task", show_default=True,
              type=click.Choice(["task", "transport", "question", "environment"]),
              help="A transport failure is tried again by itself.")  # fmt: skip
@click.option("--reason", required=True, help="What went wrong, or the question.")
@json_option
@pass_app
def fail(
    app: App, *, task: str | None, token: str | None, kind: str, reason: str, as_json: bool
) -> None:
    """Hand an attempt in as failed; its work is kept."""
    from wfledger.run.attempts import handing

    task_id, token = held_by(app, task, token)
    done = handing.fail(app.workspace, task_id, token, kind=kind, reason=reason)
    _said(app, done.id, f"{done.id} has failed: {kind}", {}, as_json=as_json)


@click.command("complete")
@_task_argument
@_token_option
@click.option("--result", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="The envelope; else $WFLEDGER_RESULT_FILE, if that was written.")
@click.option("--check", "checks", is_flag=True,
              help="Check first; what fails is not handed in, and the claim is kept.")
@click.option("--queue", is_flag=True, help="Only hand in; somebody else lands it.")
@json_option
@pass_app
def complete(
    app: App, *, task: str | None, token: str | None, result: Path | None, checks: bool,
    queue: bool, as_json: bool,
) -> int:  # fmt: skip
    """Hand an attempt in as finished: scope check, verification, merge and gate follow at once.

    Exit status 0: done. 1: verification or gate failed. 4: the attempt is over. 5: out of scope or
    conflict. 10: a person is asked, by the envelope or for approval. Every reason is given at once.

    With --check, scope and verification are asked before the attempt is closed: what they refuse
    can be mended and completed again, by the same claim.
    """
    from wfledger.run.attempts import handing, outcomes, precheck

    task_id, token = held_by(app, task, token)
    envelope = _read(result or _written())
    waiter = handing.Foreground(lambda text: say(text, err=True))
    said = None
    if checks:
        found = precheck.check(app.workspace, task_id, token, envelope=envelope, waiter=waiter)
        said = None if found.passed else outcomes.of_refused(found)
    if said is None:
        said = outcomes.of_handed(handing.complete(
            app.workspace, task_id, token, envelope=envelope, landing=None if queue else waiter
        ))  # fmt: skip
    _said(app, task_id, f"{task_id} {said.sentence}", said.facts, as_json=as_json)
    return said.status


def _read(path: Path | None) -> bytes | None:
    """Return the bytes of an envelope, or None where there is none."""
    from wfledger.store import atomic

    return atomic.read(path, limit=bounds.RESULT_BYTES) if path is not None else None


def _written() -> Path | None:
    """Return the result file that the runtime named, if the worker has written it."""
    named = os.environ.get("WFLEDGER_RESULT_FILE")
    path = Path(named) if named else None
    return path if path is not None and path.is_file() else None


@click.command("tick")
@json_option
@pass_app
def tick(app: App, *, as_json: bool) -> None:
    """Do once what is due: recover what was lost, put tasks on offer, land what is handed in.

    For those who work without `run`: scripts and file workers call it from time to time.
    """
    from wfledger.run.ticking import tick_once

    ticked = tick_once(
        app.workspace, owner=worker_name(),
        report=lambda task_id, text: say(f"{task_id}: {text}", err=True),
    )
    if as_json:
        emit(ticked.as_json())
        return
    say(
        f"{len(ticked.promoted)} put on offer, {ticked.recovered} recovered, "
        f"{len(ticked.landed)} landed, {ticked.committed} changes committed"
    )


def _said(
    app: App, task_id: str, sentence: str, facts: dict[str, Any], *, as_json: bool
) -> None:
    """Bring what happened into the history and say where the task is now."""
    brought = bring_in(app, attempt_of=task_id)
    entry = app.workspace.ledger.get(task_id)
    if as_json:
        emit({"task": task_id, "status": entry.status.value, **facts, **brought})
    else:
        say(sentence)
    if here() is None:
        main = shlex.quote(str(app.workspace.main))
        say(f"the worktree that you are in was cleared away: cd {main}", err=True)
