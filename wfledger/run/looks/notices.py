"""What people may want to be told: found in one look of the scheduler, each under a lasting name.

The same moment has the same name in every process and after a restart, so it is told once
(WFL-RESULT-060).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core.breaking import TERMINAL
from wfledger.core.documents import Run, Task
from wfledger.core.graph import Verdict
from wfledger.core.statuses import Status
from wfledger.core.text import clean, clean_line
from wfledger.run.hub import losses
from wfledger.run.looks.needs import Need, need_of
from wfledger.run.looks.remote import remote_view
from wfledger.run.looks.view import View, run_verdict
from wfledger.run.money import breakers
from wfledger.run.pausing import Pause, pause_of
from wfledger.run.step import Step
from wfledger.run.workspace import Workspace

#: Characters of a reason that a command is given: an environment is no place for a log.
_REASON: Final = 2000
#: Notices of one kind that are told one by one; of more, the rest are told together.
BURST: Final = 5
#: Tasks that a notice of several names.
_NAMED: Final = 100


@dataclass(frozen=True)
class Notice:
    """One thing to tell."""

    #: Lasting name, fit for a file.
    key: str
    event: str
    reason: str
    #: Ready to paste.
    command: str
    task: str = ""
    run: str = ""
    attempt: int = 0
    #: Of several told together: their tasks or runs, and what else is told by this.
    subjects: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what the command reads on standard input."""
        return {
            "event": self.event, "task": self.task or None, "run": self.run or None,
            "attempt": self.attempt or None, "reason": self.reason, "command": self.command,
            "subjects": list(self.subjects),
        }  # fmt: skip

    def variables(self) -> dict[str, str]:
        """Return what the command finds in its environment."""
        return {
            "WFLEDGER_EVENT": self.event, "WFLEDGER_TASK": self.task, "WFLEDGER_RUN": self.run,
            "WFLEDGER_REASON": self.reason, "WFLEDGER_COMMAND": self.command,
        }  # fmt: skip


def notices(workspace: Workspace, step: Step, run_id: str | None) -> Iterator[Notice]:
    """Yield all that is to be told of one run, or of every run that has not landed."""
    pause = pause_of(workspace)
    if pause is not None:
        yield _paused(workspace, pause)
    yield from _of_remote(workspace)
    for shut in breakers.shut(workspace).values():
        if shut.opened.kind in TERMINAL:
            key = f"provider-{_short(shut.provider, shut.opened.since)}"
            yield Notice(key, "provider", clean(shut.reason)[:_REASON], shut.command)
    view = step.view
    for task in view.tasks[Status.BLOCKED]:
        need = need_of(task)
        # Who stopped it knows that it stands still.
        if run_id in {None, task.run} and need.code != "stopped":
            yield _needed(task, need)
    for task in view.tasks[Status.PENDING]:
        if task.spec.manual and run_id in {None, task.run}:
            reason = "it is for people, and on offer"
            yield _needed(task, Need(task.id, "manual", reason, f"wfledger claim {task.id}"))
    for run in _runs(workspace, run_id):
        verdict = run_verdict(view, run, waiting_on_person=step.on_person)
        if verdict.state != "running":
            yield _over(view, run, verdict)


def together(found: Iterable[Notice]) -> list[Notice]:
    """Return *found* with what is too much of a kind told by one notice."""
    by_event: dict[str, list[Notice]] = {}
    for notice in found:
        by_event.setdefault(notice.event, []).append(notice)
    told: list[Notice] = []
    for event, notices_of_event in by_event.items():
        if len(notices_of_event) <= BURST:
            told += notices_of_event
            continue
        one_by_one, rest = notices_of_event[: BURST - 1], notices_of_event[BURST - 1 :]
        what = "tasks need a person" if event == "needs_person" else "runs are over"
        told += one_by_one
        told.append(Notice(
            key=rest[0].key, event=event, reason=f"{len(rest)} more {what}",
            command="wfledger status", keys=tuple(notice.key for notice in rest),
            subjects=tuple(notice.task or notice.run for notice in rest[:_NAMED]),
        ))  # fmt: skip
    return told


def _runs(workspace: Workspace, run_id: str | None) -> list[Run]:
    """Return the runs whose end is told; that somebody stopped one he knows himself."""
    ledger = workspace.ledger
    runs = [ledger.run(run_id)] if run_id is not None else ledger.runs()
    return [run for run in runs if run.state in {"open", "aborted"}]


def _needed(task: Task, need: Need) -> Notice:
    key = f"needs-{task.id}.{task.attempt}-{_short(need.code)}"
    said = "" if need.reason.startswith(need.code) else f"{need.code}: "
    reason = clean(said + need.reason).strip()[:_REASON]
    return Notice(key, "needs_person", reason, need.command, task.id, task.run, task.attempt)


def _over(view: View, run: Run, verdict: Verdict) -> Notice:
    """Return that a run is over; should it go on and end again, that is another moment."""
    moment = sorted(
        f"{task.id} {status.value} {task.attempt} {len(task.answers)}"
        for task, status in view.of_run(run.id)
    )
    state, counted = verdict.state, f"{verdict.done} of {verdict.total} tasks done"
    key = f"over-{run.id}-{_short(state, counted, *moment)}"
    is_good = state in {"succeeded", "degraded"}
    command = f"wfledger land {run.id}" if is_good else f"wfledger status {run.id}"
    reason = f"{state}: {counted}; {clean_line(run.name or run.goal)}"
    return Notice(key, "run_over", reason, command, run=run.id)


def _of_remote(workspace: Workspace) -> Iterator[Notice]:
    """Yield that syncing is stopped until a person decides, and what was lost to others."""
    here = remote_view(workspace)
    if here is None:
        return
    if here.stopped is not None:
        key = f"remote-{_short(here.stopped, here.trouble)}"
        reason = clean(f"{here.name}: {here.trouble}")[:_REASON]
        yield Notice(key, "remote", reason, here.hint or "wfledger status")
    if here.lost:
        lost = losses.read(workspace)[-here.lost :]
        reason = "; ".join(f"{one.task}: {one.because}" for one in lost[:_NAMED])
        key = f"lost-{_short(*(f'{one.at} {one.task} {one.target}' for one in lost))}"
        said = clean(f"done here, and too late: {reason}")[:_REASON]
        yield Notice(key, "lost", said, "wfledger sync", subjects=tuple(one.task for one in lost))


def _paused(workspace: Workspace, pause: Pause) -> Notice:
    """Return that dispatch is paused; each time that it is, by when that was written down."""
    since = pause.since
    if since is None:
        written = (workspace.ledger.layout.root / "ledger.json").stat()
        since = f"{written.st_ino} {written.st_mtime_ns}"
    key = f"paused-{_short(pause.code, pause.reason, since)}"
    reason = clean(f"dispatch is paused: {pause.reason}")[:_REASON]
    return Notice(key, "paused", reason, pause.command)


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
