"""What earlier runs spare: `plan --diff`, and what `run --reuse` says before it begins."""

from dataclasses import replace
from typing import TYPE_CHECKING

from wfledger.cli.common import App, emit
from wfledger.cli.render import plural, say
from wfledger.errors import RepositoryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wfledger.run.reuse.forecast import Forecast
    from wfledger.run.submit import Submission
    from wfledger.run.workspace import Workspace


def say_diff(
    app: App, submission: "Submission", runs: "Sequence[str]", *, base: str | None, as_json: bool
) -> None:
    """Print what of a plan would run again after *runs*, and why."""
    from wfledger.run.reuse.choosing import choose
    from wfledger.run.reuse.forecast import forecast

    workspace = app.workspace
    chosen = choose(workspace, runs, submission, base=base)
    found = forecast(
        workspace, submission.plan, chosen.runs, base=chosen.base, role=submission.role
    )
    if as_json:
        emit({"goal": submission.plan.goal, "diff": found.as_json()})
        return
    if chosen.cost is not None:
        say(f"warning: {chosen.cost}", err=True)
    _say_lines(found)
    if not found.work:
        say("all of its work is started by controllers, and looked up as they start it")
        return
    again = found.work - found.reused
    say(f"{plural(again, 'task')} would run again, {found.reused} of {found.work} are taken from "
        f"{', '.join(found.runs)}")  # fmt: skip
    if found.reused and submission.source != "standard input":
        say(f"wfledger run {submission.source} --reuse {found.runs[0]}")


def _say_lines(found: "Forecast") -> None:
    for line in found.lines:
        why = "; ".join(one.message for one in line.reasons)
        if line.action == "run":
            say(f"  {line.node} runs again: {why}")
        elif line.action == "decide" and why:
            say(f"  {line.node} decides again: {why}")


def begun(
    workspace: "Workspace", submission: "Submission", *, reuse: "Sequence[str]", base: str | None
) -> "Submission":
    """Return *submission* with its start and whose results it takes; says what that means."""
    from wfledger.run.reuse.choosing import choose, commit_of

    if reuse:
        chosen = choose(workspace, reuse, submission, base=base)
        if chosen.cost is not None:
            say(f"warning: {chosen.cost}", err=True)
        say(f"starts from {chosen.base[:12]} and takes what has not changed from "
            f"{', '.join(chosen.ids)}", err=True)  # fmt: skip
        return replace(submission, base=chosen.base, reuses=chosen.ids)
    if base is not None:
        return replace(submission, base=commit_of(workspace, base))
    _say_spared(workspace, submission)
    return submission


def _say_spared(workspace: "Workspace", submission: "Submission") -> None:
    """Say how many results of the newest run of the same plan could be taken."""
    from wfledger.core.documents import Run
    from wfledger.run.reuse.choosing import suggestion
    from wfledger.run.submit import target_branch

    try:
        start = workspace.repo.tip(target_branch(workspace, submission.target))
    except RepositoryError:  # submitting says so
        return
    found = suggestion(workspace, submission, base=start) if start is not None else None
    if isinstance(found, Run):
        say(f"run {found.id} of the same plan has results; what could be taken: "
            f"wfledger plan {submission.source} --diff {found.id}", err=True)  # fmt: skip
    elif found is not None:
        run = found.runs[0]
        say(f"{found.reused} of {plural(found.work, 'result')} of run {run} could be taken: "
            f"--reuse {run}", err=True)  # fmt: skip
