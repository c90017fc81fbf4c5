"""Verdicts that somebody else gives on a result: tasks that verify it, and people.

They are asked about a result that has passed every other check, first the verifiers, then people.
A verifier is a task of the same run with an attempt, a claim and a worktree of its own; its
envelope decides (spec 60, section 5). Meanwhile the result stays in merging/ and holds its scope.
"""

from dataclasses import dataclass

from wfledger.core import verification as rules
from wfledger.core.documents import Check, Task, TaskSpec, Verifies
from wfledger.run.merger.merging import Deferred, Errand, Refusal, Subject, await_verdict
from wfledger.run.staffing import verifier_role
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry

# -- people --------------------------------------------------------------------------------------


def ask_people(task: Task, subject: Subject) -> Refusal | None:
    """Return the question to people, or None where nobody is asked or one said yes."""
    asked = rules.asked_of_people(task.spec.verify)
    if asked is None or rules.approved(task, attempt=subject.attempt, head=subject.head):
        return None
    facts = {"waive": list(subject.waive), "unheard": list(subject.unheard)}
    reason = (
        f"it waits for a verdict: {asked}\n`wfledger diff {task.id}` shows it, "
        f"`wfledger answer {task.id} no --reason WHY` refuses it"
    )
    return Refusal(
        "approval", reason, facts=facts, counts=False,
        command=f"wfledger answer {task.id} yes",
    )  # fmt: skip


# -- verifiers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """A verifier as it stands; *entry* is None where it is yet to be added."""

    task_id: str
    check: Check
    entry: Entry | None


def ask_verifiers(errand: Errand, subject: Subject) -> Refusal | Deferred | None:
    """Return what the verifiers of a result say; None when all of them let it pass.

    Those that are not there yet are added, and while one has not spoken nothing is decided.
    """
    checks = [check for check in errand.task.spec.verify if check.kind == "task"]
    head = subject.head
    if not checks:
        return None
    if head is None:
        return Refusal("verification", "the attempt left no snapshot that a task could verify")
    about = Verifies(task=errand.task.id, attempt=subject.attempt, head=head, base=subject.base)
    asked = [_asked(errand, subject, about, check=number) for number in range(len(checks))]
    found = [(one, _judgement(errand.workspace, one)) for one in asked]
    pending = [one for one, said in found if said.kind == "pending"]
    if pending:
        missing = {one.task_id: _spec(errand, one, about) for one in pending if one.entry is None}
        return await_verdict(errand, [one.task_id for one in pending], missing)
    failed = [f"{one.task_id}: {said.reason}" for one, said in found if said.kind == "failed"]
    if failed:
        reason = "\n".join(failed)
        return Refusal("verification", reason, answer=reason)
    silent = [(one.task_id, said.reason) for one, said in found if said.kind == "abstained"]
    return _unheard(errand, subject, silent) if silent else None


def _asked(errand: Errand, subject: Subject, about: Verifies, *, check: int) -> _Asked:
    """Return the verifier of one check: the first by its name that judges just this, or is free."""
    checks = [one for one in errand.task.spec.verify if one.kind == "task"]
    turn = 1
    while True:
        name = rules.verifier_id(about.task, about.attempt, check=check, turn=turn)
        entry = errand.workspace.ledger.find(name)
        is_free = name not in subject.unheard
        if is_free and (entry is None or _judges(entry.task, about)):
            return _Asked(name, checks[check], entry)
        turn += 1


def _judges(task: Task, about: Verifies) -> bool:
    mine = task.spec.verifies
    return mine is not None and (mine.task, mine.head) == (about.task, about.head)


def _judgement(workspace: Workspace, one: _Asked) -> rules.Judgement:
    if one.entry is None:
        return rules.Judgement("pending")
    task = one.entry.task
    attempt = task.accepted.attempt if task.accepted else task.attempt
    result = workspace.ledger.result(task.id, attempt) if attempt else None
    return rules.judgement(one.entry.status, result, task.block)


def _spec(errand: Errand, one: _Asked, about: Verifies) -> TaskSpec:
    workspace, task = errand.workspace, errand.task
    role = verifier_role(one.check, task.spec, workspace.fleet())
    return rules.verifier_spec(
        task, one.check, about, limits=workspace.policy().limits, role=role
    )


def _unheard(errand: Errand, subject: Subject, silent: list[tuple[str, str]]) -> Refusal:
    said = "; ".join(f"{name}: {reason}" for name, reason in silent)
    task_id = errand.task.id
    reason = (
        f"nobody could verify it: {said}\n`wfledger accept {task_id}` asks again, "
        f"`--waive verification` lands it unverified"
    )
    unheard = [*subject.unheard, *(name for name, _ in silent)]
    return Refusal(
        "verification", reason, command=f"wfledger accept {task_id}", counts=False,
        facts={"unheard": unheard, "waive": list(subject.waive)},
    )  # fmt: skip


# -- verifiers and the results that they judge ---------------------------------------------------
