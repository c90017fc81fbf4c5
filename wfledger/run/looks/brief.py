"""`show --brief`: what primes a fresh session, gathered; `looks.brieftext` has the words.

Changes nothing and takes no lock. A token is never looked at but to ask whose the claim is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from wfledger.clock import iso
from wfledger.core.documents import Attempt, Check, Task
from wfledger.core.records import Command
from wfledger.core.statuses import Status
from wfledger.errors import NotFoundError, StaleError, WfledgerError
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.claims import held_entry
from wfledger.run.attempts.expanding import children_of
from wfledger.run.attempts.handed import gather
from wfledger.run.attempts.tenure import deadline_of
from wfledger.run.hooks import claimed
from wfledger.run.liveness import has_runtime
from wfledger.run.looks.brieftext import (
    ClaimFacts,
    LedgerFacts,
    TaskFacts,
    about_claim,
    about_ledger,
    about_task,
)
from wfledger.run.looks.explain import explain
from wfledger.run.looks.overview import Overview, RunLine, overview, page
from wfledger.run.merger.verification import shown
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry

#: Offers that are read for the list of what is ready.
_READY: Final = 6
_JUDGED: Final = {
    "file_exists": "there is a file {one.path}",
    "regex": "{one.path} matches {one.pattern}",
    "json_path": "{one.path} has {one.expression}",
    "manual": "a person says yes",
    "exit_code": "its worker exits with {one.expect}",
}


@dataclass(frozen=True)
class Holding:
    """A claim that somebody says he has: by a token, or by standing in its worktree."""

    task: str
    token: str | None = None
    attempt: int | None = None


@dataclass(frozen=True)
class Brief:
    """What a session is told. *about*: `claim`, `task` or `ledger`."""

    about: str
    text: str
    task: str | None = None
    attempt: int | None = None
    status: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `show --brief --json` prints."""
        return {"about": self.about, "task": self.task, "attempt": self.attempt,
                "status": self.status, "text": self.text}  # fmt: skip


def brief(
    workspace: Workspace, *, task_id: str | None = None, holding: Holding | None = None,
    door: str = "cli",
) -> Brief:  # fmt: skip
    """Return the brief about *task_id*; without one, about the claim that is held, or the ledger.

    Raises `NotFoundError` for a task that is not there.
    """
    holding = holding or _by_place(workspace)
    if task_id is None and holding is None:
        return Brief("ledger", about_ledger(_ledger(workspace, ""), door))
    if holding is None or (task_id is not None and task_id != holding.task):
        entry = workspace.ledger.get(task_id or "")
        return Brief("task", about_task(_task(workspace, entry), door), entry.task.id,
                     entry.task.attempt, entry.status.value)  # fmt: skip
    try:
        entry = _held(workspace, holding)
    except (StaleError, NotFoundError) as error:
        over = f"Your claim is over: {error.message}. Stop working on it."
        return Brief("ledger", about_ledger(_ledger(workspace, over), door), holding.task)
    text = about_claim(_task(workspace, entry), _mine(workspace, entry.task), door)
    return Brief("claim", text, entry.task.id, entry.task.attempt, entry.status.value)


def _by_place(workspace: Workspace) -> Holding | None:
    """Return the claim in whose worktree the user stands, or None."""
    place = workspace.standing.workdir if workspace.standing else None
    here = claimed.at(place) if place is not None else None
    return Holding(here.task_id, attempt=here.attempt) if here is not None else None


def _held(workspace: Workspace, holding: Holding) -> Entry:
    if holding.attempt is None:
        return held_entry(workspace, holding.task, holding.token)
    entry = workspace.ledger.get(holding.task)
    if entry.status is not Status.IN_PROGRESS or entry.task.attempt != holding.attempt:
        raise StaleError(
            f"attempt {holding.attempt} of {holding.task} has ended; the task is "
            f"{entry.status.value}, attempt {entry.task.attempt}", task=holding.task,
        )  # fmt: skip
    return entry


# -- one task ------------------------------------------------------------------------------------


def _mine(workspace: Workspace, task: Task) -> ClaimFacts:
    name = workspace.ledger.layout.attempt_name(task.id, task.attempt)
    place = worktrees.find(workspace, name)
    deadline = deadline_of(workspace, task)
    return ClaimFacts(
        attempt=task.attempt, base=place.base if place else "",
        worktree=place.path if place else "", deadline=iso(deadline) if deadline else "",
        lease_s=workspace.policy().lease_s, runtime=has_runtime(workspace, task),
    )  # fmt: skip


def _task(workspace: Workspace, entry: Entry) -> TaskFacts:
    task, spec = entry.task, entry.task.spec
    why = explain(workspace, task.id) if entry.status is not Status.IN_PROGRESS else None
    command = "" if spec.command is None else f"run: {_line(spec.command)}"
    return TaskFacts(
        task=task.id, status=entry.status.value, title=title_of(task),
        work=spec.prompt or command or spec.title, write=spec.write,
        verify=(*map(_check, spec.verify), *_gates(workspace, task), *(
            f"it leaves {path}" for path in spec.deliverables)),
        inputs=_inputs(workspace, spec.inputs), missing=task.missing, answers=task.answers,
        attempts=tuple(map(_attempt, task.attempts)),
        children=children_of(workspace, task.id),
        why=why.reason if why else "", command=(why.command or "") if why else "",
    )  # fmt: skip


def title_of(task: Task) -> str:
    """Return what a task is called: its title, else the beginning of what is to be done."""
    spec = task.spec
    return spec.title or spec.prompt or _line(spec.command or "")


def _line(command: Command) -> str:
    return command if isinstance(command, str) else shown(command)


def _check(one: Check) -> str:
    if one.command is not None:
        return f"this passes on a clean checkout: {shown(one.command)}"
    if one.kind == "task":
        return f"another worker judges it: {one.prompt}"
    return _JUDGED[one.kind].format(one=one)


def _gates(workspace: Workspace, task: Task) -> list[str]:
    gates = (workspace.policy().gate, workspace.ledger.run(task.run).gate)
    return [f"this passes on the merged tree: {shown(one.command)}" for one in gates if one]


def _inputs(workspace: Workspace, producers: Sequence[str]) -> dict[str, str]:
    """Return what those before have said; of a controller also what it holds together has."""
    results = gather(workspace, producers).results
    return {name: one.summary or "done" for name, one in results.items()}


def _attempt(one: Attempt) -> str:
    said = f"{one.number} {one.outcome}{': ' if one.message else ''}{one.message}"
    return f"{said} (its work: wfledger diff)" if one.kept else said


# -- the ledger ----------------------------------------------------------------------------------


def _ledger(workspace: Workspace, over: str) -> LedgerFacts:
    found = overview(workspace)
    open_runs = [line for line in found.runs if line.run.state != "landed"]
    return LedgerFacts(
        counts=found.counts,
        runs=tuple(_run(line) for line in reversed(open_runs)),
        ready=_ready(workspace),
        working=tuple(
            f"{one.doing.task.id}: {one.doing.worker or 'somebody'} {one.doing.text}"
            for one in found.working
        ),
        needs=tuple(f"{one.task} ({one.code}): {one.command}" for one in found.needs),
        offers=found.counts[Status.PENDING.value], halted=_halted(found), over=over,
    )  # fmt: skip


def _halted(found: Overview) -> str:
    return found.paused or found.short_of or ""


def _run(line: RunLine) -> str:
    done = line.counts[Status.DONE.value]
    state = line.run.state if line.run.state != "open" else line.verdict or "open"
    return f"{line.run.id}: {done}/{line.total} done, {state}: {line.run.goal or line.run.name}"


def _ready(workspace: Workspace) -> tuple[str, ...]:
    try:
        entries, _ = page(
            workspace, statuses=[Status.PENDING], run=None, limit=_READY, after=""
        )
    except (WfledgerError, OSError):
        return ()
    return tuple(f"{entry.task.id}: {title_of(entry.task)}" for entry in entries)
