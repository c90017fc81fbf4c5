"""Whether git has what the ledger says: run branches, landed commits, kept work (spec 60, 70)."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from wfledger.clock import iso
from wfledger.core.documents import Bringing, Landed, Result, Run, Task
from wfledger.core.statuses import Status
from wfledger.errors import GitError, NotFoundError, WfledgerError
from wfledger.run.doctor.trouble import Trouble, error, mendable, note, warning
from wfledger.run.merger import targets
from wfledger.run.merger.bringing import is_brought_elsewhere, settle
from wfledger.run.refnames import ARCHIVE, HEADS, KEEP, LANDED, keep_ref, landed_ref, seen_ref
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.store.inspect import Severity
from wfledger.store.layout import SUFFIX
from wfledger.store.locks import is_alive
from wfledger.store.transaction import Transaction
from wfledger.vcs.refs import RefUpdate, refs_under, swap

_WAIT_S: Final = 5.0


@dataclass
class Proofs:
    """One look at the refs, and what follows for runs and tasks."""

    workspace: Workspace
    _refs: dict[str, str] = field(default_factory=dict)
    _runs: dict[str, Run] = field(default_factory=dict)
    _reach: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    _is_shared: bool = False

    def troubles(self) -> Iterator[Trouble]:
        """Yield what is wrong, branches first: the rest is judged by them."""
        workspace = self.workspace
        self._is_shared = workspace.is_shared
        self._refs = refs_under(workspace.repo, "refs/wfledger")
        self._runs = {run.id: run for run in workspace.ledger.runs()}
        parts = [self._of_run(run) for run in self._runs.values()]
        parts += [self._of_done(), self._of_landed(), self._of_intents(), self._of_results()]
        for part in parts:
            yield from _as_far_as_objects_go(part)

    # -- branches ----------------------------------------------------------------------------------

    def _of_run(self, run: Run) -> Iterator[Trouble]:
        workspace, branch = self.workspace, run.branch
        if run.bringing is not None and not is_brought_elsewhere(workspace, run.bringing):
            yield self._half_brought(run, run.bringing)
        if run.state in {"landed", "aborted"}:
            return
        if workspace.repo.tip(branch) is None:
            yield self._without_branch(run)
            return
        lost = targets.lost_commit(workspace, branch)
        if lost is not None:
            yield error(
                "target-rewound", branch,
                f"{branch} has lost {lost[:12]}, which had landed there; nothing lands on it until "
                f"it is back: git update-ref {branch} {lost}",
            )

    def _half_brought(self, run: Run, intent: Bringing) -> Trouble:
        """Return the finding of a `land` that has begun and not said how it ended."""
        happened = targets.contains(
            self.workspace.repo, intent.after, self.workspace.repo.tip(intent.target)
        )
        name = intent.target.removeprefix(HEADS)
        message = f"`land` has begun, and {name} {'has' if happened else 'has not'} got its commits"
        return mendable(
            "land-unfinished", "warning", run.id, message,
            repair="record that it has landed" if happened else "forget it",
            mend=partial(self._settle, run.id),
        )

    def _settle(self, run_id: str) -> None:
        settle(self.workspace, run_id)

    def _without_branch(self, run: Run) -> Trouble:
        if self._is_shared and _was_never_seen(self.workspace, run):
            said = f"the remote has no branch of run {run.id} yet"
            return note("no-branch-yet", run.branch, said)
        newest = self._newest(run)
        message = f"the branch of run {run.id} is gone"
        if newest is None:
            return error("missing-branch", run.branch, message)
        update = RefUpdate(run.branch, newest, None)
        return mendable(
            "missing-branch", "error", run.branch, message, repair=f"make it at {newest[:12]}",
            mend=partial(swap, self.workspace.repo, [update], reason="wfledger: branch of a run"),
        )

    def _newest(self, run: Run) -> str | None:
        """Return the commit of a run that contains all that has landed there; None if unclear."""
        repo = self.workspace.repo
        known = {run.base, targets.last_landed(self.workspace, run.branch) or run.base}
        known |= {self._refs.get(seen_ref(run.branch), run.base)}
        prefix = f"{LANDED}/{run.id}."
        known |= {oid for ref, oid in self._refs.items() if ref.startswith(prefix)}
        known = {oid for oid in known if repo.has_commit(oid)}
        for one in known:
            if all(repo.is_ancestor(other, one) for other in known):
                return one
        return None

    def _reaches(self, ref: str, commit: str, base: str) -> bool:
        """Whether *commit* is on *ref*; commits since *base* are listed once for all."""
        repo = self.workspace.repo
        tip = repo.tip(ref)
        if tip is None:
            return False
        if (tip, base) not in self._reach:
            try:
                found = frozenset(info.oid for info in repo.walk(tip, since=base))
            except GitError:
                found = frozenset()
            self._reach[tip, base] = found
        return commit in self._reach[tip, base] or targets.contains(repo, commit, tip)

    # -- landed or not -----------------------------------------------------------------------------

    def _of_done(self) -> Iterator[Trouble]:
        for entry in self.workspace.ledger.entries(Status.DONE):
            if not isinstance(entry, Entry):
                continue
            landed = entry.task.landed
            if landed is None:
                yield self._without_proof(entry.task)
            elif landed.how == "merged" and landed.commit is not None:
                yield from self._of_merged(entry.task, landed, landed.commit)
            elif not _is_kept(entry.task) and self._has_work(entry.task):
                yield self._unmerged(entry.task)

    def _without_proof(self, task: Task) -> Trouble:
        goal = Status.MERGING if task.attempts or task.claim else Status.WAITING
        return mendable(
            "done-unproved", "error", task.id, "it is in done/, and nothing says how it landed",
            repair=f"back to {goal.value}",
            mend=partial(self._reopen, task.id, goal),
        )

    def _has_work(self, task: Task) -> bool:
        """Whether what a writing task left, and a person has not taken as it is, changes files."""
        if not task.spec.writes or (task.accepted and task.accepted.head == task.accepted.base):
            return False
        number = task.accepted.attempt if task.accepted else task.attempt
        try:
            result = self.workspace.ledger.result(task.id, number) if number else None
            if result is None or result.base is None or result.head in {None, result.base}:
                return False
            trees = {self.workspace.repo.tree_of(oid) for oid in (result.base, result.head or "")}
        except (WfledgerError, OSError, ValueError):
            return False  # a finding of its own
        return len(trees) > 1

    def _unmerged(self, task: Task) -> Trouble:
        message = "it is in done/ with nothing to merge, and what it changed is on no branch"
        return mendable(
            "done-unmerged", "error", task.id, message, repair="back to merging",
            mend=partial(self._reopen, task.id, Status.MERGING),
        )

    def _reopen(self, task_id: str, goal: Status) -> None:
        with self.workspace.ledger.transaction("doctor") as changes:
            entry = changes.get(task_id)
            landed = entry.task.landed
            if entry.status is Status.DONE and (landed is None or landed.how != "merged"):
                changes.restore(
                    entry.task.next(landed=None), goal, source=Status.DONE, why="done without proof"
                )

    def _of_merged(self, task: Task, landed: Landed, commit: str) -> Iterator[Trouble]:
        run = self._runs.get(task.run)
        if run is not None and self._is_retired(run):
            return
        base = run.base if run else commit
        places = [landed.target or "", *((run.branch, run.target) if run else ())]
        if run is not None and run.landed is not None and run.landed.target:
            places.append(run.landed.target)
        if not any(place and self._reaches(place, commit, base) for place in places):
            yield from self._lost(task, landed, run)
            return
        ref = landed_ref(task.id)
        # The refs were listed before the tasks: a task may have landed in between.
        old = self._refs.get(ref) or self.workspace.repo.tip(ref)
        if old != commit and not (old is None and self._is_archived(commit)):
            update = RefUpdate(ref, commit, old)
            # What another machine has landed was seen on the branch only now.
            weight: Severity = "note" if self._is_shared else "warning"
            yield mendable(
                "missing-proof", weight, task.id, f"{ref} does not name {commit[:12]}",
                repair="make the ref",
                mend=partial(swap, self.workspace.repo, [update], reason="wfledger: proof"),
            )

    def _is_retired(self, run: Run) -> bool:
        """Whether a branch has gone by the rules: the remote's target had all of it (WFL-HUB-084).

        Here the user's own branch may be older, and who joined since never saw the run's.
        """
        is_over = self._is_shared and run.state == "landed" and run.plan is not None
        here = self.workspace.repo.tip(run.branch)
        return is_over and here is None and seen_ref(run.branch) not in self._refs

    def _lost(self, task: Task, landed: Landed, run: Run | None) -> Iterator[Trouble]:
        commit = (landed.commit or "")[:12]
        message = f"it landed as {commit}, which is on {landed.target} no longer"
        is_open = run is not None and run.state == "open"
        if run is not None and is_open and self.workspace.repo.tip(run.branch) is None:
            return  # the missing branch is a finding of its own
        # What was brought to the user's branch is the user's to rewrite.
        yield (error if is_open else note)("landed-lost", task.id, message)

    def _of_landed(self) -> Iterator[Trouble]:
        """Yield the tasks that are open though a ref proves that they landed."""
        for ref, commit in self._refs.items():
            if not ref.startswith(f"{LANDED}/"):
                continue
            task_id = ref.removeprefix(f"{LANDED}/")
            entry = self._find(task_id)
            if entry is None:
                yield note("orphan-proof", ref, "the proof of a task that is not here")
            elif self._is_shared and entry.status is Status.MERGING:
                continue  # the next meeting says it of both, or that neither holds
            elif entry.status is not Status.DONE:
                yield from self._of_open(entry, commit)

    def _of_intents(self) -> Iterator[Trouble]:
        """Yield the landings that happened and whose proof a crash has cost."""
        tasks = () if self._is_shared else self.workspace.ledger.tasks(Status.MERGING)
        for task in tasks:
            intent = task.intent
            if intent is None or self._refs.get(landed_ref(task.id)) == intent.candidate:
                continue
            entry = Entry(task, Status.MERGING)
            yield from self._of_open(entry, intent.candidate, target=intent.target)

    def _of_open(
        self, entry: Entry, commit: str, *, target: str | None = None
    ) -> Iterator[Trouble]:
        task, status = entry.task, entry.status
        run = self._runs.get(task.run)
        target = target or (run.branch if run else None)
        if target is None or run is None or not self._is_proof(task, commit):
            return
        if not self._reaches(target, commit, run.base):
            return
        message = f"it is {status.value}, and has landed on {target} as {commit[:12]}"
        if status in {Status.IN_PROGRESS, Status.CANCELLED}:
            yield warning("landed-open", task.id, message)
        elif not self._is_being_merged(task):
            yield mendable(
                "landed-open", "error", task.id, message, repair="to done/",
                mend=partial(self._finish, task.id, commit, target),
            )

    def _is_proof(self, task: Task, commit: str) -> bool:
        repo = self.workspace.repo
        if not repo.has_commit(commit):
            return False
        return repo.log(commit, limit=1)[0].trailers.get("Wfledger-Task") == task.id

    def _is_being_merged(self, task: Task) -> bool:
        layout = self.workspace.ledger.layout
        name = layout.attempt_name(task.id, task.attempt)
        return is_alive(layout.local / "live" / f"{name}.merge")

    def _finish(self, task_id: str, commit: str, target: str) -> None:
        """Do what the landing would have done next (WFL-LAND-021)."""
        workspace = self.workspace
        never = threading.Event()
        with (
            targets.hold_target(workspace, target, wait_s=_WAIT_S, stop=never),
            workspace.ledger.transaction("doctor") as changes,
        ):
            entry = changes.get(task_id)
            open_ = {Status.WAITING, Status.PENDING, Status.MERGING, Status.BLOCKED}
            if entry.status in open_ and not self._is_being_merged(entry.task):
                self._to_done(changes, entry, Landed(
                    target=target, commit=commit, how="merged", at=iso(workspace.clock.now())
                ))
        ref, repo = landed_ref(task_id), workspace.repo
        if repo.tip(ref) != commit:
            swap(repo, [RefUpdate(ref, commit, repo.tip(ref))], reason="wfledger: proof")
        targets.note_landed(workspace, target, commit)

    def _to_done(self, changes: Transaction, entry: Entry, landed: Landed) -> None:
        task, ledger = entry.task, self.workspace.ledger
        trailers = self.workspace.repo.log(landed.commit or "", limit=1)[0].trailers
        number = int(trailers.get("Wfledger-Attempt", "0"))
        result = ledger.result(task.id, number) if number else None
        if result is not None and result.failure is not None:
            changes.put_result(result.but(failure=None))
        attempts = tuple(
            one.but(outcome="succeeded", message="") if one.number == number else one
            for one in task.attempts
        )
        done = task.next(
            landed=landed, intent=None, hold=None, block=None, claim=None, merger=None,
            accepted=None, attempts=attempts,
        )  # fmt: skip
        why = f"landed as {(landed.commit or '')[:12]}; found by doctor"
        changes.restore(done, Status.DONE, source=entry.status, why=why)

    def _find(self, task_id: str) -> Entry | None:
        try:
            return self.workspace.ledger.get(task_id)
        except (NotFoundError, WfledgerError):
            return None

    # -- kept work ---------------------------------------------------------------------------------

    def _of_results(self) -> Iterator[Trouble]:
        root = self.workspace.ledger.layout.root / "results"
        for path in sorted(root.glob(f"*/*{SUFFIX}")):
            task_id, number = path.parent.name, path.name.removesuffix(SUFFIX)
            ref = f"{KEEP}/{task_id}/{number}"
            if not number.isdigit() or ref in self._refs or self._has(ref):
                continue
            try:
                result = self.workspace.ledger.result(task_id, int(number))
            except (WfledgerError, OSError, ValueError):
                continue  # the file itself is a finding
            if result is None or result.head is None or result.head == result.base:
                continue
            if self._is_shared and self._is_kept_elsewhere(task_id, result.head):
                continue
            if not self._is_archived(result.head):
                yield self._unkept(result, result.head)

    def _is_kept_elsewhere(self, task_id: str, head: str) -> bool:
        """Whether another machine may have done the work, and keeps it, or has landed it.

        A clone of a folder has whatever the remote's store has, also what no ref there leads to.
        """
        if not self.workspace.repo.has_commit(head):
            return True
        entry = self._find(task_id)
        landed = entry.task.landed if entry is not None else None
        return landed is not None and landed.how == "merged"

    def _is_archived(self, commit: str) -> bool:
        return targets.contains(self.workspace.repo, commit, self._refs.get(ARCHIVE))

    def _has(self, ref: str) -> bool:
        """Whether *ref* is there now; it may have been made since the refs were listed."""
        try:
            return self.workspace.repo.tip(ref) is not None
        except GitError:
            return False

    def _unkept(self, result: Result, head: str) -> Trouble:
        repo, ref = self.workspace.repo, keep_ref(result.task, result.attempt)
        message = f"nothing keeps the work of attempt {result.attempt}: there is no {ref}"
        if repo.has_commit(head):
            update = RefUpdate(ref, head, None)
            return mendable(
                "missing-keep-ref", "error", result.task, message,
                repair=f"make it at {head[:12]}",
                mend=partial(swap, repo, [update], reason="wfledger: keep"),
            )
        message += f", and {head[:12]} is gone"
        entry = self._find(result.task)
        is_over = entry is None or entry.status.is_final
        return (warning if is_over else error)("lost-work", result.task, message)


def _was_never_seen(workspace: Workspace, run: Run) -> bool:
    """Whether the branch of another machine's run was never seen: it comes with a meeting."""
    is_elsewhere = run.home not in {None, workspace.machine.id}
    return is_elsewhere and workspace.repo.tip(seen_ref(run.branch)) is None


def _is_kept(task: Task) -> bool:
    """Whether its work is where it is to stay: whether the ref is there is asked of its result."""
    return task.spec.candidate_of is not None and task.landed is not None and (
        task.landed.how == "kept"
    )


def _as_far_as_objects_go(part: Iterator[Trouble]) -> Iterator[Trouble]:
    """Yield what *part* finds; objects that are gone from the repository are a finding too."""
    try:
        yield from part
    except GitError as failed:
        yield error(
            "objects-gone", "repository",
            f"{failed.message}; objects that refs lead to were removed, as by git gc --prune=now "
            "beside a run: fetch them from a clone that has them",
        )
