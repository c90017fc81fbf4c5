"""How each thing that was done by hand is recorded, or put back; under the ledger lock.

Whatever is overwritten lies in quarantine/ first, with the reason beside it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wfledger.core import outcome
from wfledger.core.documents import Block, Hold, Result, Task
from wfledger.core.handwork import Act, Edit, merge
from wfledger.core.hub import is_elsewhere
from wfledger.core.records import canonical, canonical_json
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run import submit
from wfledger.run.attempts.closing import Ending, ending, failure, released
from wfledger.run.attempts.requests import request_end
from wfledger.run.byhand.filework import Handed
from wfledger.run.byhand.newcomers import Newcomer
from wfledger.run.byhand.submitted import SUBMITTED
from wfledger.run.controllers.lifting import retried
from wfledger.run.money import spending
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.replay import Known
from wfledger.store.survey import Copy
from wfledger.store.transaction import Transaction

_WHY: Final = "by hand"


@dataclass
class Hand:
    """Acts on one file after the other."""

    workspace: Workspace
    changes: Transaction
    #: What there is to say about it: name and sentence.
    said: list[tuple[str, str]] = field(default_factory=list)
    #: Tasks that land or that others hold, to be cancelled once the lock is let go.
    to_cancel: list[str] = field(default_factory=list)

    def do(self, act: Act, copy: Copy, known: Known, handed: Handed | None) -> bool:
        """Act on a task whose record is *known*; False where nothing can be decided yet."""
        task = known.task
        if task is None or act is Act.UNDECIDED:
            return False
        if act is Act.SOUND:
            self._rewrite(copy)
        elif is_elsewhere(task, self.workspace.ledger.layout.machine):
            self._of_another(act, copy, known, task)
        elif act is Act.CLAIM:
            self._claim(copy, task)
        elif act in {Act.HAND_IN, Act.GIVE_BACK}:
            self._end(copy, known, task, handed)
        elif act is Act.EDIT:
            self._edit(copy, task, merge(task, copy.task))
        else:
            self._moved(act, copy, known, task)
        return True

    def _moved(self, act: Act, copy: Copy, known: Known, task: Task) -> None:
        if act is Act.RETRY:
            self._retry(copy, task)
        elif act is Act.CANCEL:
            why = "cancelled by hand"
            given_up = task.next(block=None, hold=None)
            self._adopt(given_up, copy, Status.CANCELLED, known=known, why=why)
            self._say(task.id, why)
        elif act is Act.END:
            self._give_up(copy, known, task)
        elif act is Act.WITHDRAW:
            hold = Hold(code="withdrawn", reason="its offer was moved away by hand")
            self._aside(copy, task)
            task, why = task.next(hold=hold), f"withdrawn: {_WHY}"
            self._adopt(task, copy, Status.WAITING, known=known, why=why)
            self._say(task.id, hold.reason)
        else:
            self._put_back(copy, known, task)

    def _say(self, name: str, sentence: str) -> None:
        self.said.append((name, sentence))

    def _adopt(
        self, task: Task, copy: Copy, target: Status, *, known: Known, why: str
    ) -> None:
        self.changes.adopt(task, copy.status, target, recorded=known.status, why=why)

    def _aside(self, copy: Copy, task: Task) -> None:
        """Keep what is about to be overwritten, if it differs from what was recorded."""
        if copy.task != task:
            self.changes.set_aside(copy.path, reason="edited where nobody may; as it was found")

    def _rewrite(self, copy: Copy) -> None:
        """Write a document that only looks different as it is stored."""
        if copy.raw != canonical(copy.task) and copy.status is not Status.PENDING:
            self.changes.restore(copy.task, copy.status, source=copy.status, why=None)

    # -- what claimants do -----------------------------------------------------------------------

    def _claim(self, copy: Copy, task: Task) -> None:
        record = self.changes.ledger.claim_record(task.id, task.attempt)
        self._aside(copy, task)
        if copy.task != task:
            self.changes.restore(task, copy.status, source=copy.status, why=None)
        if record is None:
            self.changes.record_task(task, Status.PENDING, Status.IN_PROGRESS, why="adopted")
        else:
            self.changes.record_claim(task, record, why="adopted: claimed by files")

    def _end(self, copy: Copy, known: Known, task: Task, handed: Handed | None) -> None:
        """End the attempt with what its claimant handed in, the way the verbs do."""
        if known.status is Status.PENDING:
            record = self.changes.ledger.claim_record(task.id, task.attempt)
            if record is not None:
                self.changes.record_claim(task, record, why="adopted: claimed by files")
        if handed is None and copy.status is Status.MERGING:
            self._put_back(copy, Known(Status.IN_PROGRESS, known.attempt, known.seq, task), task,
                           why=f"handed in nothing: there is no result of attempt {task.attempt}")
            return
        self._aside(copy, task)
        end = self._ending(copy, task, handed)
        why = f"adopted: {end.why}"
        after = Known(Status.IN_PROGRESS, known.attempt, known.seq, task)
        self._adopt(task.next(**end.changes), copy, end.status, known=after, why=why)
        self._say(task.id, f"handed in by files: {end.status.value}")

    def _ending(self, copy: Copy, task: Task, handed: Handed | None) -> Ending:
        if handed is None:
            return self._without_result(copy, task)
        if handed.problem is not None:
            path = self.workspace.ledger.layout.result(task.id, task.attempt)
            self.changes.set_aside(self.workspace.ledger.layout.root / path, reason=handed.problem)
        result = handed.result
        if result.failure is None and copy.status is not Status.MERGING:
            # Moved to where the finished do not go: what was asked for by the move counts.
            return self._without_result(copy, task, result)
        result = spending.note(self.workspace, task, result)
        self.changes.put_result(result)
        return ending(self.workspace, task, result)

    def _without_result(self, copy: Copy, task: Task, result: Result | None = None) -> Ending:
        said = "given back by files" if copy.status is Status.WAITING else "moved to blocked/"
        empty = result or Result(task=task.id, attempt=task.attempt, status="failed")
        given = empty.but(status="failed", failure=failure("task", said))
        given = spending.note(self.workspace, task, given)
        self.changes.put_result(given)
        if copy.status is Status.WAITING:
            return released(self.workspace, task, given, why=said)
        return ending(self.workspace, task, given)

    # -- what people do --------------------------------------------------------------------------

    def _retry(self, copy: Copy, task: Task) -> None:
        edit = merge(task, copy.task)
        lifted = edit.task.next(
            block=None, hold=None, claim=None, accepted=None, forgiven=task.attempt,
            **retried(self.workspace, task),
        )
        known = Known(Status.BLOCKED, task.attempt, task.seq, task)
        if edit.frozen:
            self._block(copy, edit, known)
            return
        self._adopt(lifted, copy, Status.WAITING, known=known, why=f"retry {_WHY}")
        self._say(task.id, "will be tried again: moved to waiting/ by hand")

    def _edit(self, copy: Copy, task: Task, edit: Edit) -> None:
        known = Known(copy.status, task.attempt, task.seq, task)
        if edit.refused:
            self._aside(copy, task)
            self._say(task.id, f"these members stay as recorded: {', '.join(edit.refused)}")
        if edit.frozen:
            self._block(copy, edit, known)
            return
        problem = self._problem(edit)
        if problem is not None:
            self._aside(copy, task)
            self.changes.restore(task, copy.status, source=copy.status, why=None)
            self._say(task.id, f"its edit is in quarantine/: {problem}")
            return
        block = task.block
        if block is not None and block.code == "spec_changed":
            block = _was(block) or block.but(reason="its file says again what was submitted",
                                             command=f"wfledger retry {task.id}")
        what = ", ".join(edit.taken) or "nothing that counts"
        why = f"edited {_WHY}: {what}"
        self._adopt(edit.task.next(block=block), copy, copy.status, known=known, why=why)
        self._say(task.id, f"edited by hand: {what}")

    def _problem(self, edit: Edit) -> str | None:
        """Return what makes dependencies impossible that somebody wrote."""
        if "after" not in edit.taken:
            return None
        try:
            submit.check_edges(self.workspace, edit.task.spec)
        except WfledgerError as error:
            return error.message
        return "it would come after itself" if edit.task.id in edit.task.spec.after else None

    def _block(self, copy: Copy, edit: Edit, known: Known) -> None:
        """Block a task whose frozen members were edited; the edit stays in its file."""
        task, before = edit.task, known.task.block if known.task else None
        reason = (
            f"{edit.sentence()}: changed in the file, where only a verb may; "
            f"`wfledger retry {task.id}` goes on with what was submitted"
        )
        facts: dict[str, Any] = {"changed": list(edit.frozen)}
        if known.task is not None and known.task.spec.digest() == task.spec_sha256:
            # Several changes of a task may enter the history as one, which has the last spec only.
            facts[SUBMITTED] = known.task.spec.model_dump(mode="json", exclude_defaults=True)
        if before is not None:
            facts["was"] = before.model_dump(mode="json", exclude_defaults=True)
        block = outcome.block(task, "spec_changed", reason, **facts)
        block = block.but(command=f"wfledger retry --edited {task.id}")
        self._adopt(
            task.next(block=block, hold=None), copy, Status.BLOCKED, known=known,
            why=f"edited {_WHY}: not what was submitted",
        )
        self._say(task.id, f"blocked: {edit.sentence()}")

    def _give_up(self, copy: Copy, known: Known, task: Task) -> None:
        """Put a task back that somebody works on or lands, and cancel it as the verb does."""
        why = "moved to cancelled/ by hand"
        if known.status is not Status.MERGING:
            request_end(self.workspace, task.id, task.attempt, reason=why, cancel=True)
            known = Known(Status.IN_PROGRESS, known.attempt, known.seq, task)
        self._put_back(copy, known, task, why="to be cancelled once its attempt has ended")
        if known.status is Status.MERGING:
            self.to_cancel.append(task.id)

    def _of_another(self, act: Act, copy: Copy, known: Known, task: Task) -> None:
        """Put a task back that another machine holds, and cancel it where that was meant.

        Nothing is recorded: a number of ours would fence what that machine says of it.
        """
        self._aside(copy, task)
        self.changes.restore(task, known.status, source=copy.status, why=None)
        if act is Act.END:
            self.to_cancel.append(task.id)
        else:
            self._say(task.id, f"put back to {known.status.value}: another machine works on it")

    # -- putting back ----------------------------------------------------------------------------

    def _put_back(
        self, copy: Copy, known: Known, task: Task, *, why: str | None = None
    ) -> None:
        source, target = known.status, copy.status
        said = why or (
            f"nobody may move it from {source.value} to {target.value} by hand"
            if source is not target else f"it is not edited in {source.value}"
        )
        self._aside(copy, task)
        if source is Status.PENDING:
            hold = Hold(code="withdrawn", reason=said)
            task, why = task.next(hold=hold), f"withdrawn: {said}"
            self._adopt(task, copy, Status.WAITING, known=known, why=why)
        else:
            self._adopt(task.next(), copy, source, known=known, why=f"put back: {said}")
        self._say(task.id, f"put back to {source.value}: {said}")

    def is_alone(self, copy: Copy, known: Known) -> bool:
        """Whether *copy* is the file to go by; others of its id go to quarantine."""
        layout, task_id = self.workspace.ledger.layout, copy.task.id
        places = {layout.task(status, task_id): status for status in Status}
        found = [path for path in places if path != copy.path and path.exists()]
        kept = next((path for path in found if places[path] is known.status), None)
        if not copy.path.exists():
            # A claimer renamed it while we looked: what was found elsewhere is the file itself.
            raise FileNotFoundError(copy.path)
        at_home = copy.status is known.status and places.get(copy.path) is known.status
        if kept is not None and not at_home:
            self._remove(copy.path, f"a second file of {task_id}, which is {known.status.value}")
            return False
        for path in found:
            self._remove(path, f"a second file of {task_id}")
        return True

    def _remove(self, path: Path, reason: str) -> None:
        self.changes.quarantine(path, reason=reason)
        self._say(path.name.removesuffix(".json"), f"{reason}: to quarantine/")

    def bring_home(self, copy: Copy) -> Copy:
        """Move a file to where a task of its status lies."""
        goal = self.workspace.ledger.layout.task(copy.status, copy.task.id)
        goal.parent.mkdir(exist_ok=True)
        atomic.move(copy.path, goal)
        return Copy(copy.status, goal, copy.task, copy.raw)

    # -- files that are no known task ------------------------------------------------------------

    def welcome(self, new: Newcomer, path: Path) -> None:
        """Make a file a new task."""
        submit.ensure_run(self.workspace, self.changes, new.run)
        self.changes.take_in(new.task, path, why=f"added {_WHY}")
        self._say(new.task.id, "new: put into waiting/ by hand")

    def discard(self, path: Path, reason: str, known: Known | None) -> None:
        """Move a file to quarantine/; the task that it was is written anew."""
        self.changes.quarantine(path, reason=reason, forget=known is None)
        self._say(path.name.removesuffix(".json"), f"to quarantine/: {reason}")
        if known is None or known.task is None or self.changes.ledger.find(known.task.id):
            return
        if known.status is Status.PENDING:
            hold = Hold(code="withdrawn", reason="its offer was overwritten")
            task = known.task.next(hold=hold)
            self.changes.restore(
                task, Status.WAITING, source=None, why=f"withdrawn: {hold.reason}"
            )
        else:
            self.changes.restore(known.task, known.status, source=None, why=None)


def _was(block: Block) -> Block | None:
    """Return the block that a change of the file had replaced."""
    before = block.facts.get("was")
    if not isinstance(before, dict):
        return None
    return Block.model_validate_json(canonical_json(before))
