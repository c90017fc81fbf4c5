"""Gives a task that is ready the result of an earlier one with the same key.

The work is brought onto the new run's branch and kept under a ref of its own without the lock;
then, under it, the copied result is written first and the task goes on land-only, as if a person
had accepted it (spec 30): every check of a landing is held again. A report that nothing is to be
checked of is done at once. Killed in between, the next step
finds the same result and does the same again; a task that has had an attempt is never given one.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core.control import Delivered, Reused, Synthesis
from wfledger.core.documents import Accepted, Attempt, Landed, Result, Run, Task
from wfledger.core.graph import Readiness, Standing, readiness
from wfledger.core.keys import in_run
from wfledger.core.statuses import Actor, Status
from wfledger.errors import BusyError, GitError
from wfledger.run.attempts.synthesis import with_synthesis
from wfledger.run.delivering import Deliveries
from wfledger.run.hub.keeping import offer
from wfledger.run.refnames import keep_ref
from wfledger.run.reuse.earlier import REUSE, Catalog, Earlier
from wfledger.run.reuse.keying import Keyer, Work
from wfledger.run.workspace import Workspace
from wfledger.store.transaction import Transaction
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.merge import Conflict, merge_trees
from wfledger.vcs.refs import RefUpdate, swap

faults.register("reuse.kept", "reuse.result-written", "reuse.taken")

#: Tasks that are looked up in one step of the scheduler; the others follow in the next.
PER_STEP: Final = 256


@dataclass(frozen=True)
class Offer:
    """An earlier result that a task may take, brought to its run."""

    task: str
    missing: tuple[str, ...]
    result: Result
    accepted: Accepted
    #: The handoffs that it is given, which nobody else is (spec 92).
    received: tuple[Delivered, ...] = ()


class Reuser:
    """Looks up the tasks of runs that reuse others; one for a scheduler."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._catalog = Catalog(workspace)
        self._deliveries = Deliveries(workspace.ledger)
        #: Task -> what it would start without, and what was found for it then.
        self._looked: dict[str, tuple[tuple[str, ...], Offer | None]] = {}

    def look(
        self, waiting: Iterable[Task], standings: Mapping[str, Standing], runs: Iterable[Run]
    ) -> None:
        """Look up those of *waiting* that are ready; called without the ledger lock.

        Never more than `PER_STEP` of them.
        """
        reusing = {run.id: run for run in runs if run.reuses and run.state == "open"}
        if not reusing:
            return
        ready = [
            (task, found.missing) for task in waiting
            if task.run in reusing and may_take(task)
            and (found := readiness(task, standings)).kind == "ready"
            and not self._knows(task, found.missing)
        ][:PER_STEP]  # fmt: skip
        if not ready:
            return
        self._catalog.look(dict.fromkeys(name for run in reusing.values() for name in run.reuses))
        keyer = Keyer(self._workspace)
        self._deliveries.look_again()
        for task, missing in ready:
            given = task.but(received=self._deliveries.for_task(task))
            with suppress(BusyError):  # another process brings it at this moment; the next look
                offer = self._offer(keyer, given, missing, reusing[task.run])
                self._looked[task.id] = missing, offer

    def _knows(self, task: Task, missing: tuple[str, ...]) -> bool:
        known = self._looked.get(task.id)
        return known is not None and known[0] == missing

    def _offer(
        self, keyer: Keyer, task: Task, missing: tuple[str, ...], run: Run
    ) -> Offer | None:
        key = keyer.key(task, missing=missing)
        if key is None:
            return None
        earlier = self._catalog.find(key, task.id.partition(".")[2], run.reuses)
        if earlier is None:
            return None
        return prepare(self._workspace, task, run, earlier, missing=missing)

    def decide(
        self, task: Task, found: Readiness, received: tuple[Delivered, ...]
    ) -> "Offer | bool":
        """Return what is there for a task that is ready; False: nothing; True: not looked yet.

        What was found for other handoffs than it is to be given now does not count.
        """
        if not may_take(task):
            return False
        known = self._looked.get(task.id)
        if known is None or known[0] != found.missing:
            return True
        offer = known[1]
        if offer is not None and offer.received != received:
            del self._looked[task.id]
            return True
        return offer if offer is not None else False


def may_take(task: Task) -> bool:
    """Whether a waiting task may be given a result: work that nobody has tried yet."""
    return (
        task.spec.control is None and task.accepted is None and task.attempt == 0
        and not task.attempts
    )  # fmt: skip


def prepare(
    workspace: Workspace, task: Task, run: Run, earlier: Earlier, *, missing: tuple[str, ...]
) -> Offer | None:
    """Bring an earlier result to a run; None where its work is gone or does not fit there.

    Repeating it is harmless: the ref that keeps the work then leads to the same change.
    """
    number = task.attempt + 1
    ref = keep_ref(task.id, number)
    try:
        work = _brought(workspace, run, earlier, ref)
        if work is None:
            return None
        if work.head != work.base:
            _keep(workspace, ref, work.head)
    except GitError:
        return None  # objects that are gone; it is done anew
    faults.point("reuse.kept")
    waive = () if work.head != work.base else ("no_change",)
    # What wfledger puts together names tasks: those of this run.
    made = with_synthesis(
        workspace, task.but(missing=missing), _copied(task, number, work, earlier)
    )
    return Offer(
        task.id, missing, made,
        Accepted(attempt=number, head=work.head, base=work.base, waive=waive), task.received,
    )  # fmt: skip


def _brought(workspace: Workspace, run: Run, earlier: Earlier, ref: str) -> Work | None:
    """Return the earlier work as a change of what the run has landed so far."""
    repo = workspace.repo
    work, tip = Work.here(repo, earlier.task, earlier.result), repo.tip(run.branch)
    if tip is None or work is None:
        return None
    if work.head == work.base:
        return Work(tip, tip)
    if not (repo.has_commit(work.base) and repo.has_commit(work.head)):
        return None
    if repo.is_ancestor(work.base, tip):
        return work
    return _there(workspace, tip, work, ref) or _moved(workspace, tip, work, earlier)


def _there(workspace: Workspace, tip: str, work: Work, ref: str) -> Work | None:
    """Return what was brought already under *ref*, by one who died or who is at it as well.

    Whoever brings it again must not take from the ref what another has given to the task.
    """
    repo, head = workspace.repo, workspace.repo.tip(ref)
    base = repo.resolve(f"{head}^") if head is not None else None
    if head is None or base is None or not repo.is_ancestor(base, tip):
        return None
    merged = merge_trees(repo, base=work.base, ours=base, theirs=work.head)
    same = not isinstance(merged, Conflict) and merged.tree == repo.tree_of(head)
    return Work(base, head) if same else None


def _moved(workspace: Workspace, tip: str, work: Work, earlier: Earlier) -> Work | None:
    """Return the same change made to *tip*, which has not what the work began from."""
    repo = workspace.repo
    merged = merge_trees(repo, base=work.base, ours=tip, theirs=work.head)
    if isinstance(merged, Conflict):
        return None
    if merged.tree == repo.tree_of(tip):
        return Work(tip, tip)
    made = repo.log(work.head, limit=1)[0]
    message = f"{earlier.task.id} attempt {earlier.result.attempt}, reused\n"
    return Work(tip, repo.commit_tree(
        merged.tree, [tip], message=message, author=made.author, committer=AUTHOR,
        when=workspace.clock.now(),
    ))  # fmt: skip


def _keep(workspace: Workspace, ref: str, head: str) -> None:
    repo = workspace.repo
    if not swap(repo, [RefUpdate(ref, head, repo.tip(ref))], reason="wfledger: reused"):
        raise BusyError(f"{ref} is moved by another process", hint="try again")
    offer(workspace, ref, head)


def _copied(task: Task, number: int, work: Work, earlier: Earlier) -> Result:
    """Return the earlier envelope as one of *task*: what the attempt itself cost is not its own."""
    result = earlier.result
    source = result.reused or Reused(task=earlier.task.id, attempt=result.attempt)
    made = result.synthesis
    if made is not None:  # wfledger's own words, which name the tasks of this run
        dumped = in_run(made.model_dump(mode="json"), earlier.task.run, task.run)
        made = Synthesis.model_validate(dumped, strict=False)
    return result.but(
        task=task.id, attempt=number, base=work.base, head=work.head, reused=source, usage=None,
        wall_s=None, output_bytes=None, confined=None, failure=None, synthesis=made,
    )  # fmt: skip


def take(workspace: Workspace, changes: Transaction, offer: Offer) -> bool:
    """Give a waiting task its result; False where it has gone on meanwhile. Under the lock."""
    entry = changes.get(offer.task)
    if entry.status is not Status.WAITING or not may_take(entry.task):
        return False
    changes.put_result(offer.result)
    faults.point("reuse.result-written")
    source = offer.result.reused
    said = f"reused from {source.task}, attempt {source.attempt}" if source else "reused"
    now = iso(workspace.clock.now())
    attempt = Attempt(
        number=offer.accepted.attempt, worker=REUSE, outcome="succeeded", message=said,
        started=now, ended=now,
        kept=offer.accepted.head if offer.accepted.head != offer.accepted.base else None,
    )  # fmt: skip
    facts = {
        "attempt": attempt.number, "attempts": (attempt,), "missing": offer.missing,
        "received": offer.received,
    }  # fmt: skip
    if _is_report(entry.task):
        landed = Landed(how="nothing", at=now)
        changes.move(
            offer.task, Status.DONE, actor=Actor.SCHEDULER, why=said, landed=landed, hold=None,
            **facts,
        )  # fmt: skip
    else:
        changes.update(offer.task, why=said, accepted=offer.accepted, **facts)
    faults.point("reuse.taken")
    return True


def _is_report(task: Task) -> bool:
    """Whether its result is a report alone: there is nothing to land, and nothing to check."""
    spec = task.spec
    return not (spec.writes or spec.verify or spec.deliverables or spec.candidate_of)
