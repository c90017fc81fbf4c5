"""Landings on a ledger that machines share: asked of the remote, done when it has confirmed them.

Where the server moves several refs all or none, a chain of landings is one push: the target and
`done` of each. Elsewhere it takes three (WFL-HUB-076): the intents go first, as any change does;
then the target alone; then `done`, by whoever sees the target have the commit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Final, Literal

from wfledger import faults
from wfledger.clock import iso
from wfledger.core.documents import Intent, Landed, Result, Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.run.hub import branches, keeping, turns
from wfledger.run.hub.proposals import Proposal, Sight, TargetPush, TaskMove
from wfledger.run.hub.replaying import Tip
from wfledger.run.merger import chains
from wfledger.run.merger.merging import as_done, cleared, put_off, why_done
from wfledger.run.merger.scopecheck import subject_of
from wfledger.run.merger.targets import contains
from wfledger.run.refnames import HEADS
from wfledger.run.workspace import Workspace
from wfledger.vcs.history import AUTHOR

faults.register("hub.landing-refused")

#: Landings in one push.
_MOST: Final = 100
#: Commits of a target that are looked through for a fence.
_RECENT: Final = 1000
_FENCE: Final = "Wfledger-Fence"
#: Tasks that a message names.
_NAMED: Final = 3


def propose(workspace: Workspace, sight: Sight) -> list[Proposal]:
    """Return what this machine has landed and the remote has not; changes nothing."""
    hub = workspace.hub
    if hub is None:
        return []
    by_target: dict[str, list[Task]] = {name: [] for name in chains.branches_ahead(workspace)}
    for task in workspace.ledger.tasks(Status.MERGING):
        if task.intent is not None and not is_elsewhere(task, workspace.machine.id):
            by_target.setdefault(task.intent.target, []).append(task)
    asker = _Asker(workspace, sight, hub.atomic)
    found = [one for target, tasks in by_target.items() for one in asker.ask(target, tasks)]
    moved = {push.ref for one in found for push in one.targets}
    return [*found, *branches.to_follow(workspace, sight.refs, but=moved)]


@dataclass(frozen=True)
class _Asker:
    workspace: Workspace
    sight: Sight
    atomic: bool

    def ask(self, target: str, tasks: Sequence[Task]) -> Iterator[Proposal]:
        """Yield what to ask for of one target."""
        repo, there = self.workspace.repo, self.sight.refs.get(target)
        alone = chains.pushed_alone(self.workspace, target)
        if alone is not None and alone[0] != there:
            chains.forget_alone(self.workspace, target)  # it came through, or never will
        there_already = [
            task for task in tasks
            if task.intent is not None and contains(repo, task.intent.candidate, there)
        ]  # fmt: skip
        if there_already:
            done = self._done(target, there_already)
            yield replace(done, confirmed=partial(self._landed, there_already))
        here = repo.tip(target)
        if here is None or not self._fits(target, here, there):
            return  # `follow` says why
        chain = chains.links(self.workspace, target, tasks)
        chains.stay_whole(self.workspace, target, chain)
        if not self._has_turn(chain, of=len(tasks) - len(there_already)):
            return
        chain = chain[:_MOST]
        if self.atomic and chain:
            yield self._landing(target, there, chain)
        elif chain:
            yield from self._target_alone(target, there, chain)

    def _has_turn(self, chain: Sequence[Task], *, of: int) -> bool:
        """Whether there is a chain, and nobody goes first whose landings were in vain more often.

        Where there is none *of* so many, others have landed on what it was built on.
        """
        workspace = self.workspace
        if of and not chain:
            turns.note(workspace, broken=turns.broken(workspace) + 1)
        hub = workspace.hub
        return bool(chain and hub and not turns.leaves_landing(workspace, hub, self.sight))

    def _fits(self, target: str, here: str, there: str | None) -> bool:
        """Whether the remote's branch is neither ahead of ours nor taken back."""
        if there is None:
            return True
        is_kept = branches.lost_there(self.workspace, target, there) is None
        return is_kept and contains(self.workspace.repo, there, here)

    def _landing(self, target: str, there: str | None, chain: Sequence[Task]) -> Proposal:
        push = TargetPush(target, there, _candidate(chain[-1]))
        done = self._done(target, chain)
        return Proposal(
            done.what, moves=done.moves, results=done.results, targets=(push,),
            confirmed=partial(self._landed, chain), refused=partial(self._refused, target, chain),
        )  # fmt: skip

    def _target_alone(
        self, target: str, there: str | None, chain: Sequence[Task]
    ) -> Iterator[Proposal]:
        """Yield the move of the target, as far as the remote knows what it will be moved for."""
        tip = Tip(self.workspace.repo, self.sight.tip, self.workspace.ledger.layout)
        known = list(takewhile(partial(self._is_known, tip), chain))
        if known:
            push = TargetPush(target, there, _candidate(known[-1]))
            chains.note_alone(self.workspace, target, there, push.new)
            yield Proposal(
                f"move {target.removeprefix(HEADS)} for {_named(known)}", targets=(push,),
                confirmed=partial(self._confirmed, push),
                refused=partial(self._refused, target, known),
            )

    def _is_known(self, tip: Tip, task: Task) -> bool:
        """Whether the remote has the intent, and says that it is ours to carry out."""
        seen = tip.task(task.id, near=(Status.MERGING,))
        if seen is None or seen.status is not Status.MERGING:
            return False
        ours = not is_elsewhere(seen.task, self.workspace.machine.id)
        return ours and seen.task.intent == task.intent

    def _done(self, target: str, chain: Sequence[Task]) -> Proposal:
        moves = tuple(landed_move(self.workspace, task) for task in chain)
        results = [_cleared(self.workspace, task) for task in chain]
        what = f"land {_named(chain)} on {target.removeprefix(HEADS)}"
        return Proposal(
            what, moves=moves, results=tuple(one for one in results if one is not None)
        )

    def _confirmed(self, push: TargetPush) -> None:
        """Bring the branch here to where it is there; the next meeting would do it as well."""
        chains.forget_alone(self.workspace, push.ref)
        branches.follow(self.workspace, {push.ref: push.new})

    def _landed(self, chain: Sequence[Task]) -> None:
        """Have the remote forget the work that its branch has now; upkeep would do it as well."""
        turns.note(self.workspace, broken=0)
        keeping.retire_landed(self.workspace, {task.id for task in chain})

    def _refused(self, target: str, chain: Sequence[Task], reason: str) -> None:
        """Put the tasks off where the server does not want the target moved (WFL-HUB-075)."""
        workspace = self.workspace
        chains.forget_alone(workspace, target)
        hub = workspace.hub
        named = target.removeprefix(HEADS)
        said = f"{hub.name if hub else 'the remote'} refuses {named}: {clean_line(reason)}"
        with workspace.ledger.transaction("merger:hub") as changes:
            for task in chain:
                entry = changes.get(task.id)
                if entry.status is not Status.MERGING or entry.task.intent != task.intent:
                    continue
                epoch = entry.task.merger.epoch if entry.task.merger else 1
                hold = put_off(workspace, said, epoch=epoch)
                changes.update(task.id, why=clean_line(said), intent=None, hold=hold)
                faults.point("hub.landing-refused")
        chains.drop(workspace, target)


def _named(tasks: Sequence[Task]) -> str:
    more = len(tasks) - _NAMED
    listed = ", ".join(task.id for task in tasks[:_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed


def _candidate(task: Task) -> str:
    return task.intent.candidate if task.intent else ""


def _cleared(workspace: Workspace, task: Task) -> Result | None:
    return cleared(workspace.ledger, task.id, subject_of(workspace, task).attempt)


def landed_move(workspace: Workspace, task: Task) -> TaskMove:
    """Return the move to done/ of a task in merging/ whose intent has been or is carried out."""
    intent = task.intent
    if intent is None:
        raise ValueError(f"{task.id} announces no landing")
    at = iso(workspace.clock.now())
    landed = Landed(target=intent.target, commit=intent.candidate, how="merged", at=at)
    attempt = subject_of(workspace, task).attempt
    done = task.next(grant=None, **as_done(task, landed, attempt=attempt))
    owner = task.merger.owner if task.merger else "hub"
    return TaskMove(done, Status.MERGING, Status.DONE, f"merger:{owner}", why_done(landed))


# -- what another machine has left ---------------------------------------------------------------


def resolve_remote_intent(
    workspace: Workspace, task: Task, sight: Sight
) -> Literal["landed", "open"] | Proposal:
    """Say what became of a landing that a machine announced before it fell silent.

    `landed`: the target has it. `open`: it has not, and never will by that announcement: where the
    server moves refs all or none, the lease on the ledger sees to that; elsewhere a push that was
    held up could still come, so a proposal is returned that moves the target away from under it
    first (WFL-HUB-077); then ask again.
    """
    intent, hub = task.intent, workspace.hub
    if intent is None or hub is None:
        return "open"
    repo, there = workspace.repo, sight.refs.get(intent.target)
    if contains(repo, intent.candidate, there):
        return "landed"
    if hub.atomic or there is None or not repo.has_commit(there):
        return "open"
    mark = f"{task.id} {intent.candidate}"
    if _cannot_begin(workspace, intent, there, mark):
        return "open"
    fence = workspace.repo.commit_tree(
        repo.tree_of(there), [there], author=AUTHOR, when=workspace.clock.now(),
        message=f"Go on without a machine that is silent\n\n{_FENCE}: {mark}\n",
    )
    what = f"fence {task.id} off on {intent.target.removeprefix(HEADS)}"
    return Proposal(what, targets=(TargetPush(intent.target, there, fence),))


def _cannot_begin(workspace: Workspace, intent: Intent, there: str, mark: str) -> bool:
    """Whether a push of *intent* expects the target to be where it is no longer."""
    repo = workspace.repo
    if repo.has_commit(intent.tip):
        return not repo.is_ancestor(there, intent.tip)
    # What that machine had landed on was never pushed: only a fence says that it is over.
    return any(info.trailers.get(_FENCE) == mark for info in repo.log(there, limit=_RECENT))
