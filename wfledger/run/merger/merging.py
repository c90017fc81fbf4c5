"""What a landing writes into the ledger: lease, intent, and every way out of merging/.

Each function is one transaction and fenced: it does nothing but raise `StaleError` when the task
has left merging/, is at another attempt, or was taken over by another merger (WFL-LAND-003).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Literal

from wfledger import faults
from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.documents import (
    Artifact,
    Attempt,
    Failure,
    Hold,
    Intent,
    Landed,
    Merger,
    Result,
    Run,
    Task,
    TaskSpec,
)
from wfledger.core.statuses import Actor, Status
from wfledger.core.text import clean_line
from wfledger.errors import StaleError
from wfledger.run.workspace import Workspace
from wfledger.store.ledger import Ledger
from wfledger.store.transaction import Transaction

faults.register(
    "landing.leased", "landing.intent-written", "landing.intent-dropped", "landing.refused",
    "landing.done", "landing.delivered",
    "landing.verifier-added", "landing.verifiers-asked",
)  # fmt: skip

#: Backoff of what is no fault of the task: doubled each time.
BACKOFF_S: Final = 5.0
BACKOFF_MAX_S: Final = 300.0
#: Characters of a reason that the ledger keeps.
REASON_CHARS: Final = 16_000


@dataclass(frozen=True)
class Done:
    """The task is in done/. *commit* is None when there was nothing to merge."""

    how: Literal["merged", "nothing", "kept", "decided"]
    commit: str | None = None


@dataclass(frozen=True)
class Blocked:
    """The task is in blocked/; *command* lifts that."""

    code: str
    reason: str
    command: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Retried:
    """The task is in waiting/: its plan retries what went wrong. Not offered before *until*."""

    reason: str
    until: str | None = None


@dataclass(frozen=True)
class Deferred:
    """The task is still in merging/ and nothing is wrong with it; try again, not before *until*."""

    reason: str
    until: str | None = None
    #: Tasks whose verdict is waited for.
    on: tuple[str, ...] = ()
    #: Whether all is done here, and the remote has to confirm it (WFL-HUB-070).
    handed_over: bool = False


Landing = Done | Blocked | Retried | Deferred


@dataclass(frozen=True)
class Refusal:
    """Why a task cannot land as it is. A *code* that is a failure class counts as its attempt's."""

    code: str
    reason: str
    #: Paths that the task would have to be allowed.
    widen: tuple[str, ...] = ()
    #: Replaces the command that belongs to the code.
    command: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: Whether it is a verdict on the result. One that is none counts as no attempt's failure and
    #: is never followed by another attempt without a person.
    counts: bool = True
    #: What the next attempt is told of it.
    answer: str | None = None


@dataclass(frozen=True)
class Subject:
    """What is to land: the work of an attempt, or what a person has accepted in its place."""

    attempt: int
    #: None where the attempt left nothing.
    base: str | None
    head: str | None
    result: Result | None
    #: Failure classes that a person has waived.
    waive: tuple[str, ...] = ()
    accepted: bool = False
    #: Verifiers that gave no verdict on it.
    unheard: tuple[str, ...] = ()


@dataclass(frozen=True)
class Errand:
    """One landing under way: the task as leased, its run, and by whom."""

    workspace: Workspace
    task: Task
    run: Run
    owner: str
    epoch: int

    @property
    def by(self) -> str:
        """The author of the changes, for the history."""
        return f"merger:{self.owner}"


def lease(workspace: Workspace, task_id: str, *, owner: str) -> Errand:
    """Become the merger of a task in merging/, whose live lock the caller holds.

    The epoch rises, so that whoever was the merger before can write nothing any more.
    """
    with workspace.ledger.transaction(f"merger:{owner}") as changes:
        entry = changes.get(task_id)
        if entry.status is not Status.MERGING:
            raise StaleError(
                f"{task_id} is {entry.status.value}; there is nothing to land",
                task=task_id, status=entry.status.value,
            )
        before = entry.task.merger
        epoch = before.epoch + 1 if before else 1
        task = changes.update(
            task_id, why="leased for landing", merger=Merger(owner=owner, epoch=epoch), hold=None
        )
    faults.point("landing.leased")
    return Errand(workspace, task, workspace.ledger.run(task.run), owner, epoch)


def fenced(changes: Transaction, errand: Errand) -> Task:
    """Return the task as it is now, or raise `StaleError` when it is not this merger's any more."""
    entry = changes.get(errand.task.id)
    task, merger = entry.task, entry.task.merger
    ours = merger is not None and (merger.owner, merger.epoch) == (errand.owner, errand.epoch)
    if entry.status is Status.MERGING and task.attempt == errand.task.attempt and ours:
        return task
    raise StaleError(
        f"the landing of {task.id} is over: it is {entry.status.value}, attempt {task.attempt}",
        task=task.id, status=entry.status.value,
    )


def write_intent(errand: Errand, intent: Intent, hold: Hold | None = None) -> None:
    """Record what is about to be done to the target; durable on return (WFL-LAND-010)."""
    with errand.workspace.ledger.transaction(errand.by) as changes:
        fenced(changes, errand)
        why = f"round {intent.round}: about to land {intent.candidate[:12]}"
        changes.update(errand.task.id, why=why, intent=intent, hold=hold)
    faults.point("landing.intent-written")


def drop_intent(workspace: Workspace, task_id: str, intent: Intent, *, by: str) -> None:
    """Forget *intent*, whose candidate is not on its target; another one stays."""
    with workspace.ledger.transaction(by) as changes:
        entry = changes.get(task_id)
        if entry.status is Status.MERGING and entry.task.intent == intent:
            changes.update(task_id, why="the intended landing did not happen", intent=None)
    faults.point("landing.intent-dropped")


def note_artifacts(errand: Errand, attempt: int, artifacts: Sequence[Artifact]) -> None:
    """Put the sums of what was delivered into the result, in place of what a worker says."""
    result = errand.workspace.ledger.result(errand.task.id, attempt)
    if result is None or not artifacts:
        return
    found = {artifact.path for artifact in artifacts}
    others = tuple(artifact for artifact in result.artifacts if artifact.path not in found)
    noted = result.but(artifacts=(*others, *artifacts))
    if noted == result:
        return
    with errand.workspace.ledger.transaction(errand.by) as changes:
        fenced(changes, errand)
        changes.put_result(noted)
    faults.point("landing.delivered")


# -- ways out ------------------------------------------------------------------------------------


def finish(errand: Errand, landed: Landed, *, attempt: int) -> Done:
    """Move the task to done/; the caller has proved what *landed* says."""
    ledger = errand.workspace.ledger
    with ledger.transaction(errand.by) as changes:
        task = fenced(changes, errand)
        result = cleared(ledger, task.id, attempt)
        if result is not None:
            changes.put_result(result)
        changes.move(
            task.id, Status.DONE, actor=Actor.MERGER, why=why_done(landed),
            **as_done(task, landed, attempt=attempt),
        )
    faults.point("landing.done")
    return Done(landed.how, landed.commit)


def cleared(ledger: Ledger, task_id: str, attempt: int) -> Result | None:
    """Return the envelope of what lands, where it has to change for that.

    A person has accepted what was refused before; it counts as a failure no longer.
    """
    result = ledger.result(task_id, attempt)
    return result.but(failure=None) if result is not None and result.failure is not None else None


def why_done(landed: Landed) -> str:
    """Return the reason of a move to done/, for the history."""
    done = "kept" if landed.how == "kept" else "landed"
    return f"{done} as {landed.commit[:12]}" if landed.commit else "nothing to merge"


def as_done(task: Task, landed: Landed, *, attempt: int) -> dict[str, Any]:
    """Return what changes in a document by its move to done/."""
    attempts = _amended(task, attempt, ended=landed.at)
    return {
        "landed": landed, "intent": None, "hold": None, "block": None, "claim": None,
        "attempts": attempts,
    }  # fmt: skip


def refuse(errand: Errand, subject: Subject, refusal: Refusal) -> Blocked | Retried:
    """Move the task to blocked/, or to waiting/ when its plan retries that kind of failure.

    The attempt and its envelope say the class, so that attempts and sources are counted right.
    """
    ledger = errand.workspace.ledger
    refusal = replace(refusal, reason=_bounded(refusal.reason))
    with ledger.transaction(errand.by) as changes:
        task = fenced(changes, errand)
        if refusal.code in outcome.SOURCES and refusal.counts:
            ended = iso(errand.workspace.clock.now())
            attempts = _amended(task, subject.attempt, ended=ended, refusal=refusal)
            task = task.but(attempts=attempts)
            _note_failure(errand, changes, subject.attempt, refusal=refusal)
        told = (refusal.answer,) if refusal.answer else ()
        after = _after(errand, task, subject, refusal=refusal)
        changes.move(
            task.id, after.status, actor=Actor.MERGER, why=_first_line(refusal.reason),
            attempts=task.attempts, answers=(*task.answers, *told), hold=after.hold,
            block=after.block, accepted=None, merger=None, intent=None, claim=None,
        )  # fmt: skip
    faults.point("landing.refused")
    if after.block is None:
        return Retried(refusal.reason, after.hold.until if after.hold else None)
    block = after.block
    return Blocked(block.code, block.reason, block.command, block.facts)


def _after(errand: Errand, task: Task, subject: Subject, *, refusal: Refusal) -> outcome.Next:
    """Return where *task* goes; every block says what was refused, so that it can be taken up."""
    now = errand.workspace.clock.now()
    kept = {"attempt": subject.attempt, "base": subject.base, "head": subject.head}
    facts = {**refusal.facts, **{name: value for name, value in kept.items() if value is not None}}
    after = outcome.after_failure(task, refusal.code, refusal.reason, now=now)
    if not refusal.counts:
        block = outcome.block(task, refusal.code, refusal.reason)
        after = outcome.Next(Status.BLOCKED, block=block)
    if after.block is None:
        return after
    if subject.result is not None and subject.result.reused is not None and refusal.counts:
        # Nobody has worked for it here: that is what comes next, not a question (WFL-REUSE-013).
        reason = f"the reused result did not land: {_first_line(refusal.reason)}"
        return outcome.Next(Status.WAITING, hold=Hold(code="released", reason=reason))
    block = after.block.but(facts=facts)
    if block.code == refusal.code:
        command = refusal.command or outcome.command_for(
            task.id, refusal.code, refusal.widen, writes=task.spec.writes
        )
        block = block.but(command=command)
    return replace(after, block=block)


def _note_failure(
    errand: Errand, changes: Transaction, attempt: int, *, refusal: Refusal
) -> None:
    result = errand.workspace.ledger.result(errand.task.id, attempt)
    if result is None:
        return
    source = outcome.SOURCES[refusal.code]
    failure = Failure(failure_class=refusal.code, source=source, message=refusal.reason)
    changes.put_result(result.but(failure=failure))


def _amended(
    task: Task, number: int, *, ended: str, refusal: Refusal | None = None
) -> tuple[Attempt, ...]:
    """Return the attempts of *task* with what number *number* has come to in the end."""
    said = refusal.code if refusal else "succeeded"
    message = _first_line(refusal.reason) if refusal else ""
    known = [attempt for attempt in task.attempts if attempt.number == number]
    if known and known[0].outcome == said:
        return task.attempts
    if not known:  # handed in by somebody who keeps no such record (WFL-CLAIM-006)
        worker = task.claim.worker if task.claim else "unknown"
        new = Attempt(number=number, worker=worker, outcome=said, message=message, ended=ended)
        return (*task.attempts, new)
    changed = known[0].but(outcome=said, message=message)
    return tuple(changed if attempt is known[0] else attempt for attempt in task.attempts)


def _bounded(text: str) -> str:
    """Return *text* short enough for a task file, which holds it twice."""
    return text if len(text) <= REASON_CHARS else text[: REASON_CHARS - 1] + "…"


def _first_line(text: str) -> str:
    return clean_line(text.partition("\n")[0])


def await_verdict(
    errand: Errand, on: Sequence[str], missing: Mapping[str, TaskSpec]
) -> Deferred:
    """Leave the task in merging/ until the verifiers *on* have spoken; add the *missing* ones.

    Both in one transaction, and a verifier that is there already is left as it is, so a merger
    that died in between asks the same ones again (WFL-RESULT-045).
    """
    ledger, clock = errand.workspace.ledger, errand.workspace.clock
    reason = f"{' and '.join(on)} {'judge' if len(on) > 1 else 'judges'} it"
    with ledger.transaction(errand.by) as changes:
        fenced(changes, errand)
        for task_id, spec in missing.items():
            if ledger.find(task_id) is None:
                made = Task(
                    id=task_id, run=errand.task.run, seq=1, attempt=0, created=iso(clock.now()),
                    spec=spec, spec_sha256=spec.digest(),
                )  # fmt: skip
                changes.add(made, why=f"verifies {errand.task.id}")
            faults.point("landing.verifier-added")
        hold = Hold(code="verifier", reason=_bounded(reason), on=tuple(on))
        changes.update(errand.task.id, why=_first_line(reason), hold=hold)
    faults.point("landing.verifiers-asked")
    return Deferred(reason, on=tuple(on))


def defer(errand: Errand, reason: str) -> Deferred:
    """Leave the task in merging/ and record when to try again (WFL-LAND-032).

    Each lease that ends like this doubles the pause.
    """
    hold = put_off(errand.workspace, reason, epoch=errand.epoch)
    with errand.workspace.ledger.transaction(errand.by) as changes:
        fenced(changes, errand)
        changes.update(errand.task.id, why=_first_line(reason), hold=hold)
    return Deferred(reason, hold.until)


def put_off(workspace: Workspace, reason: str, *, epoch: int) -> Hold:
    """Return until when the merger of that *epoch* leaves the task alone, and why."""
    pause = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(epoch - 1, 10))
    until = iso(workspace.clock.now() + timedelta(seconds=pause))
    return Hold(code="backoff", reason=_bounded(reason), until=until)
