"""One landing, step by step: recovery, checks, merge, gate, swap, proof (spec 70, section 1).

Killed at any point, the next landing of the task finishes what happened and begins again what did
not. Start at `merger.landing`.
"""

import threading
from typing import Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core import bounds
from wfledger.core.documents import Hold, Intent, Landed
from wfledger.core.states import State
from wfledger.core.text import clean_line
from wfledger.errors import BusyError, EnvironmentFailedError, PausedError, StaleError
from wfledger.run.attempts import phases
from wfledger.run.attempts.worktrees import recorded
from wfledger.run.guard import vouching
from wfledger.run.merger import chains, cleanroom, probing, targets
from wfledger.run.merger.cleanroom import Report, Verdict
from wfledger.run.merger.gate import gate, known_good
from wfledger.run.merger.merging import (
    Blocked,
    Deferred,
    Done,
    Errand,
    Landing,
    Refusal,
    Retried,
    Subject,
    defer,
    drop_intent,
    finish,
    note_artifacts,
    refuse,
    write_intent,
)
from wfledger.run.merger.scopecheck import (
    Judged,
    conflict_refusal,
    escape_of,
    judge,
    record_problem,
    subject_of,
)
from wfledger.run.merger.verification import artifacts_of, verify
from wfledger.run.merger.verifying import ask_people, ask_verifiers
from wfledger.run.refnames import fence_ref, keep_ref, landed_ref
from wfledger.store.layout import split_attempt
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.merge import Conflict, merge_trees
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.repo import Identity

faults.register(
    "landing.recovered", "landing.checked", "landing.verified", "landing.candidate",
    "landing.gated", "landing.ref-moved",
)  # fmt: skip

#: Swaps that may be lost to others who move the target before the landing is put off.
ROUNDS: Final = 5


class Lander:
    """One landing, by the present merger of the task."""

    def __init__(self, errand: Errand, stop: threading.Event, report: Report) -> None:
        self._errand = errand
        self._workspace = errand.workspace
        self._repo = errand.workspace.repo
        self._task = errand.task
        self._branch = errand.run.branch
        self._stop = stop
        self._report = report

    def land(self) -> Landing:
        """Land; trouble of the machine leaves the task in merging/ (WFL-LAND-032)."""
        try:
            return self._land()
        except (EnvironmentFailedError, BusyError, PausedError, OSError) as error:
            if self._stop.is_set():
                return self._stopped()
            return self._put_off(str(error) or type(error).__name__)

    def _land(self) -> Landing:
        self._clear_away()
        subject = subject_of(self._workspace, self._task)
        landed = self._recovered(subject)
        faults.point("landing.recovered")
        if landed is not None:
            return landed
        problem = record_problem(self._workspace, self._task, subject)
        judged = problem or judge(self._workspace, self._task, subject)
        if isinstance(judged, Refusal):
            return self._refuse(subject, judged)
        faults.point("landing.checked")
        found = self._verified(subject)
        if found is not None:
            return found
        faults.point("landing.verified")
        if not judged.changes:
            landed_at = iso(self._workspace.clock.now())
            return finish(
                self._errand, Landed(how="nothing", at=landed_at), attempt=subject.attempt
            )
        if self._task.spec.candidate_of is not None:
            return self._kept(subject)
        return self._land_changes(subject, judged)

    def _kept(self, subject: Subject) -> Done:
        """Leave a candidate's result under its ref: whoever chooses lands it, or does not."""
        ref = keep_ref(self._task.id, subject.attempt)
        at = iso(self._workspace.clock.now())
        landed = Landed(target=ref, commit=subject.head, how="kept", at=at)
        done = finish(self._errand, landed, attempt=subject.attempt)
        self._report(f"kept as {ref}")
        return done

    def _clear_away(self) -> None:
        """Remove what a merger that died has left running or lying about."""
        if self._errand.epoch > 1:
            probing.clear(self._workspace, self._task)
        ours = (self._task.id, self._task.attempt)
        for place in recorded(self._workspace) if self._errand.epoch > 1 else ():
            named = split_attempt(place.name)
            if place.purpose == "scratch" and named is not None and named[:2] == ours:
                cleanroom.clear(self._workspace, place.name)

    # -- recovery --------------------------------------------------------------------------------

    def _recovered(self, subject: Subject) -> Done | Deferred | None:
        """Finish a landing that has happened; forget one that was only announced."""
        intent = self._task.intent
        if intent is None:
            commit = targets.proven_commit(
                self._workspace, self._task, branch=self._branch, attempt=subject.attempt
            )
            if self._workspace.is_shared:
                return self._known_there(subject, commit)
            return self._proved(subject, commit) if commit else None
        targets.fence(self._workspace, self._task.id, intent)
        if self._workspace.is_shared and chains.is_waiting(self._workspace, intent):
            return self._handed_over(intent)
        if targets.resolve_intent(self._workspace, self._task.id, intent):
            return self._proved(subject, intent.candidate, target=intent.target)
        drop_intent(self._workspace, self._task.id, intent, by=self._errand.by)
        return None

    def _known_there(self, subject: Subject, proven: str | None) -> Deferred | None:
        """Announce what is on the remote's branch already; done is told to it, not only here."""
        commit = proven or chains.found_on(
            self._workspace, self._task, base=subject.base, head=subject.head
        )
        if commit is None:
            return None
        tip = self._repo.resolve(f"{commit}^") or commit
        return self._handed_over(Intent(
            round=1, target=self._branch, tip=tip, candidate=commit,
            tree=self._repo.tree_of(commit), epoch=self._errand.epoch,
        ))  # fmt: skip

    def _handed_over(self, intent: Intent) -> Deferred:
        """Leave the rest to the next push (WFL-HUB-070)."""
        hold = chains.waiting_hold(self._workspace)
        write_intent(self._errand, intent, hold)
        return self._waits(intent, hold)

    def _waits(self, intent: Intent, hold: Hold) -> Deferred:
        self._report(f"merged as {intent.candidate[:12]}; {hold.reason}")
        return Deferred(hold.reason, handed_over=True)

    def _proved(self, subject: Subject, commit: str, *, target: str | None = None) -> Done:
        target = target or self._branch
        targets.note_landed(self._workspace, target, commit)
        at = iso(self._workspace.clock.now())
        landed = Landed(target=target, commit=commit, how="merged", at=at)
        done = finish(self._errand, landed, attempt=subject.attempt)
        self._report(f"landed as {commit[:12]}")
        return done

    # -- the result alone ------------------------------------------------------------------------

    def _verified(self, subject: Subject) -> Landing | None:
        """Return None when the checks of the task pass, else what became of the landing."""
        if "verification" in subject.waive:
            return None
        verdict = verify(
            self._workspace, self._task, subject, stop=self._stop,
            report=self._noting(State.VERIFYING),
        )  # fmt: skip
        found = self._judged(subject, "verification", verdict) or self._asked(subject)
        if found is None:
            delivered = artifacts_of(self._workspace, self._task, subject)
            note_artifacts(self._errand, subject.attempt, delivered)
        return found

    def _asked(self, subject: Subject) -> Landing | None:
        """Ask the task's verifiers, then people; None when all of them have said yes."""
        asked = ask_verifiers(self._errand, subject) or ask_people(self._task, subject)
        if isinstance(asked, Deferred):
            self._report(asked.reason)
            return asked
        return self._refuse(subject, asked) if asked is not None else None

    def _judged(
        self, subject: Subject, code: str, verdict: Verdict, **facts: object
    ) -> Landing | None:
        if verdict.outcome == "passed":
            return None
        if verdict.outcome == "stopped":
            return self._stopped()
        reason = "\n".join(verdict.reasons)
        return self._refuse(
            subject, Refusal(code, reason, facts={"logs": list(verdict.logs), **facts})
        )

    def _noting(self, state: State) -> Report:
        """Return a report that also says to who looks that the landing is in *state*."""

        def report(text: str) -> None:
            self._note(state, text)
            self._report(text)

        return report

    def _note(self, state: State, text: str) -> None:
        phases.note(self._workspace, self._task.id, self._task.attempt, state, text=text)

    # -- together with what landed before --------------------------------------------------------

    def _land_changes(self, subject: Subject, judged: Judged) -> Landing:
        self._note(State.MERGING, "merges its result")
        for number in range(1, ROUNDS + 1):
            if self._stop.is_set():
                return self._stopped()
            landing = self._round(subject, judged, number=number)
            if landing is not None:
                return landing
            self._report(f"{self._branch} moved meanwhile; once more")
        return self._put_off(f"{self._branch} was moved by others {ROUNDS} times in a row")

    def _round(self, subject: Subject, judged: Judged, *, number: int) -> Landing | None:
        """Merge, test and swap once; None when the target has moved meanwhile."""
        tip = chains.tip_of(self._workspace, self._branch)
        problem = self._target_problem(subject, tip)
        if problem is not None or tip is None or subject.base is None or subject.head is None:
            return self._refuse(subject, problem or self._gone())
        merged = merge_trees(self._repo, base=subject.base, ours=tip, theirs=subject.head)
        if isinstance(merged, Conflict):
            return self._refuse(subject, conflict_refusal(merged, tip))
        escape = escape_of(self._workspace, self._task, tip, merged.tree, judged=judged)
        if escape is not None:
            return self._refuse(subject, escape)
        candidate = self._candidate(subject, tip, merged.tree)
        faults.point("landing.candidate")
        found = self._gated(subject, tip, candidate)
        if found is not None:
            return found
        faults.point("landing.gated")
        intent = Intent(
            round=number, target=self._branch, tip=tip, candidate=candidate, tree=merged.tree,
            epoch=self._errand.epoch,
        )  # fmt: skip
        return self._move(subject, intent)

    def _target_problem(self, subject: Subject, tip: str | None) -> Refusal | None:
        lost = targets.lost_commit(self._workspace, self._branch)
        if lost is not None:
            return self._rewound(lost)
        if tip is None:
            return self._gone()
        if subject.base is None or not targets.contains(self._repo, subject.base, tip):
            reason = f"{self._branch} does not contain {(subject.base or '')[:12]}, "
            return Refusal("conflict", reason + "from which the attempt started")
        return None

    def _rewound(self, lost: str) -> Refusal:
        reason = (
            f"{self._branch} has lost {lost[:12]}, which had landed there; nothing lands on it "
            f"until it is back: git update-ref {self._branch} {lost}"
        )
        return Refusal(
            "target_rewound", reason, command=f"wfledger accept {self._task.id}",
            facts={"lost": lost},
        )  # fmt: skip

    def _gone(self) -> Refusal:
        reason = f"the branch {self._branch} is gone"
        return Refusal("target_rewound", reason, command=f"wfledger accept {self._task.id}")

    def _gated(self, subject: Subject, tip: str, candidate: str) -> Landing | None:
        if "gate" in subject.waive:
            return None
        verdict = gate(
            self._errand, candidate, stop=self._stop, report=self._noting(State.GATING)
        )
        self._note(State.MERGING, "merges its result")
        facts: dict[str, object] = {"tip": tip, "candidate": candidate}
        if known_good(self._errand, tip):
            facts["before"] = "passed"
        return self._judged(subject, "gate", verdict, **facts)

    def _move(self, subject: Subject, intent: Intent) -> Landing | None:
        place = targets.checked_out_at(self._repo, self._branch)
        if place is not None:
            # WFL-LAND-014: files and index there would say that the result was taken back.
            return self._put_off(f"{self._branch} is checked out in {place}")
        # Read before the intent is there to be found: who takes over changes it after that.
        fence = fence_ref(self._task.id)
        fenced = self._repo.tip(fence)
        if self._workspace.is_shared:
            return self._move_ahead(intent, fenced)
        write_intent(self._errand, intent)
        proof = landed_ref(self._task.id)
        moved = swap(
            self._repo,
            [
                RefUpdate(self._branch, intent.candidate, intent.tip),
                # Without an intent a ref of that name proves nothing and gives way.
                RefUpdate(proof, intent.candidate, self._repo.tip(proof)),
                RefUpdate(fence, fenced, fenced),
            ],
            reason=f"wfledger: land {self._task.id}",
        )
        if not moved:
            return None
        faults.point("landing.ref-moved")
        if not targets.resolve_intent(self._workspace, self._task.id, intent):
            return self._put_off(f"{self._branch} was moved back as soon as the result was on it")
        return self._proved(subject, intent.candidate)

    def _move_ahead(self, intent: Intent, fenced: str | None) -> Landing | None:
        """Put the candidate ahead of the branch; None when that has moved meanwhile."""
        hold = chains.waiting_hold(self._workspace)
        write_intent(self._errand, intent, hold)
        if not chains.move(self._workspace, self._task.id, intent, fenced=fenced):
            return None
        return self._waits(intent, hold)

    def _candidate(self, subject: Subject, tip: str, tree: str) -> str:
        task = self._task
        title = clean_line(task.spec.title, bounds.TRAILER_BYTES // 2) or task.id
        trailers = {
            "Wfledger-Task": task.id,
            "Wfledger-Attempt": str(subject.attempt),
            "Wfledger-Run": task.run,
            "Wfledger-Base": subject.base or "",
            "Wfledger-Head": subject.head or "",
        }
        lines = "".join(f"{key}: {value}\n" for key, value in trailers.items())
        return self._repo.commit_tree(
            tree, [tip], message=f"{title}\n\n{lines}", author=self._author(subject),
            committer=AUTHOR, when=self._workspace.clock.now(),
        )  # fmt: skip

    def _author(self, subject: Subject) -> Identity:
        """Return who made the head, unless wfledger itself recorded it: then the user."""
        made_by = self._repo.log(subject.head or "", limit=1)[0].author
        return made_by if made_by != AUTHOR else vouching.identity(self._workspace) or AUTHOR

    # -- ways out --------------------------------------------------------------------------------

    def _refuse(self, subject: Subject, refusal: Refusal) -> Blocked | Retried:
        landing = refuse(self._errand, subject, refusal)
        self._report(f"{refusal.code}: {refusal.reason}")
        return landing

    def _stopped(self) -> Deferred:
        return Deferred("stopped before it had landed")

    def _put_off(self, reason: str) -> Deferred:
        self._report(f"put off: {reason}")
        try:
            return defer(self._errand, reason)
        except (EnvironmentFailedError, BusyError, OSError, StaleError):
            # The trouble is the ledger's own, or came when all was done: nothing more is said
            # about a task than what is known to be durable.
            return Deferred(reason)
