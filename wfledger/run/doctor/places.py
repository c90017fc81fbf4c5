"""Whether worktrees, their records and the branches of attempts belong together (WFL-REC-010)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, cast, get_args

from wfledger.core.statuses import Status
from wfledger.errors import EnvironmentFailedError, GitError, WfledgerError
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.attempt import clear_away
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.attempts.keeping import keep_what_is_left, kept_head
from wfledger.run.attempts.worktrees import Place, Purpose
from wfledger.run.doctor.trouble import Trouble, mendable, note, warning
from wfledger.run.processes.process import sweep
from wfledger.run.refnames import TRY, keep_ref
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.store.layout import SUFFIX, is_id, run_of, split_attempt
from wfledger.store.locks import is_alive
from wfledger.vcs import worktree
from wfledger.vcs.clone import is_clone
from wfledger.vcs.refs import RefUpdate, refs_under, swap
from wfledger.vcs.registry import WorktreeInfo, listed, normal

_GRACE_S: Final = 2.0
_DESK: Final = ".desk"


@dataclass
class Places:
    """One look at this machine's worktrees."""

    workspace: Workspace
    #: Where to put what has to be moved out of the way, by name.
    aside: Path
    _recorded: list[Place] = field(default_factory=list)
    _known: list[WorktreeInfo] = field(default_factory=list)

    def troubles(self) -> Iterator[Trouble]:
        """Yield what does not belong together."""
        yield from self._records()
        self._known = list(listed(self.workspace.repo))
        for place in self._recorded:
            yield from self._of_record(place)
        state = normal(self.workspace.state)
        named = {normal(place.folder) for place in self._recorded}
        for info in self._known:
            if normal(info.path).is_relative_to(state) and normal(info.path) not in named:
                yield self._of_unrecorded(info)
        yield from self._folders(named)
        yield from self._branches()

    # -- records -----------------------------------------------------------------------------------

    def _records(self) -> Iterator[Trouble]:
        self._recorded = []
        folder = self.workspace.ledger.layout.local / "attempts"
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                place = worktrees.find(self.workspace, path.name.removesuffix(SUFFIX))
            except (ValueError, TypeError, OSError):
                yield mendable(
                    "unreadable-record", "error", f"attempts/{path.name}",
                    "the record of a worktree cannot be read",
                    repair="move it out of the way", mend=partial(self._move_aside, path),
                )
                continue
            if place is not None:
                self._recorded.append(place)

    def _move_aside(self, path: Path) -> None:
        self.aside.mkdir(parents=True, exist_ok=True)
        number = sum(1 for _ in self.aside.iterdir())
        path.rename(self.aside / f"{path.name}.{number}")

    def _of_record(self, place: Place) -> Iterator[Trouble]:
        parsed = parse_name(place.name)
        if parsed is None or place.purpose == "open":
            return
        task_id, attempt, _ = parsed
        entry = self._entry(task_id)
        if entry is None and not self._is_alive(task_id, attempt):
            yield mendable(
                "orphan-worktree", "warning", place.name,
                f"the worktree {place.path} belongs to no task",
                repair=f"keep its work under {keep_ref(task_id, attempt)} and remove it",
                mend=partial(self._clear, place),
            )
        elif entry is not None and not self._is_in_use(entry, place.name):
            yield mendable(
                "left-worktree", "note", place.name,
                f"the worktree {place.path} is left of an attempt that is over",
                repair="keep its work and remove it", mend=partial(self._clear, place),
            )

    def _entry(self, task_id: str) -> Entry | None:
        try:
            return self.workspace.ledger.find(task_id)
        except (WfledgerError, OSError):
            return None

    def _is_alive(self, task_id: str, attempt: int) -> bool:
        layout = self.workspace.ledger.layout
        name = layout.attempt_name(task_id, attempt)
        locks = [layout.live(task_id, attempt), layout.tree(task_id, attempt)]
        return any(map(is_alive, [*locks, layout.local / "live" / f"{name}.merge"]))

    def _is_in_use(self, entry: Entry, name: str) -> bool:
        parsed = parse_name(name)
        if parsed is None:
            return True
        task_id, attempt, purpose = parsed
        if self._is_alive(task_id, attempt) or purpose == "open":
            return True
        if purpose == "attempt":
            return entry.status is Status.IN_PROGRESS and entry.task.attempt == attempt
        return entry.status is Status.MERGING

    def _clear(self, place: Place) -> None:
        """Keep what is in *place* under the ref of its attempt, then remove it."""
        parsed = parse_name(place.name)
        if parsed is None or self._is_alive(parsed[0], parsed[1]):
            return
        task_id, attempt, _ = parsed
        sweep(tag_for(self.workspace, place.name), grace_s=_GRACE_S)
        is_kept = kept_head(self.workspace, task_id, attempt) is not None
        if place.purpose == "attempt" and not is_kept:
            keep_what_is_left(self.workspace, place, task_id=task_id, attempt=attempt)
        clear_away(self.workspace, place)

    # -- worktrees that nobody recorded ------------------------------------------------------------

    def _of_unrecorded(self, info: WorktreeInfo) -> Trouble:
        parsed, name = parse_name(info.path.name), info.path.name
        if info.prunable and info.head is None:
            return mendable(
                "gone-worktree", "note", name, f"{info.path} is gone, and git lists it still",
                repair="forget it", mend=partial(self._forget, info),
            )
        if parsed is None or info.head is None:
            return warning(
                "unrecorded-worktree", name, f"nobody recorded the worktree {info.path}"
            )
        return mendable(
            "unrecorded-worktree", "warning", name, f"nobody recorded the worktree {info.path}",
            repair="record it", mend=partial(self._record, info, parsed),
        )

    def _forget(self, info: WorktreeInfo) -> None:
        with self.workspace.ledger.locks.hold("git"):
            worktree.remove(self.workspace.repo, info.path)

    def _record(self, info: WorktreeInfo, parsed: tuple[str, int, Purpose]) -> None:
        task_id, _, purpose = parsed
        head = info.head or ""
        worktrees.remember(
            self.workspace,
            Place(info.path.name, str(info.path), self._base(task_id, head), info.branch, purpose),
        )

    def _base(self, task_id: str, head: str) -> str:
        """Return where an attempt must have begun: the last commit it shares with its run."""
        try:
            branch = self.workspace.ledger.run(run_of(task_id)).branch
            return self.workspace.repo.merge_base(head, self.workspace.repo.tip(branch) or head)
        except WfledgerError:
            return head

    def _folders(self, named: set[Path]) -> Iterator[Trouble]:
        state = self.workspace.state
        known = named | {normal(info.path) for info in self._known}
        for path in sorted(state.iterdir()) if state.is_dir() else ():
            owner = path.with_name(path.name.removesuffix(_DESK))
            if path.is_dir() and normal(owner) not in known and parse_name(owner.name):
                what = "a folder that is no worktree any more"
                if is_clone(self.workspace.repo, path):
                    what = "the repository of an attempt that nobody recorded; look what is in it"
                yield note("stray-folder", str(path), what)

    # -- branches of attempts ----------------------------------------------------------------------

    def _branches(self) -> Iterator[Trouble]:
        used = {place.branch for place in self._recorded} | {info.branch for info in self._known}
        for branch, tip in refs_under(self.workspace.repo, TRY).items():
            task_id, _, number = branch.removeprefix(f"{TRY}/").rpartition("/")
            if branch in used or not number.isdigit() or not is_id(task_id):
                continue
            yield self._of_branch(branch, tip, (task_id, int(number)))

    def _of_branch(self, branch: str, tip: str, owner: tuple[str, int]) -> Trouble:
        message = f"{branch} has no worktree"
        kept = kept_head(self.workspace, *owner)
        if kept is not None and not self._contains(kept, tip):
            return note("left-branch", branch, f"{message}, and work that {kept[:12]} has not")
        return mendable(
            "left-branch", "note", branch, message,
            repair=f"keep it as {keep_ref(*owner)}", mend=partial(self._fold, branch, tip, owner),
        )

    def _contains(self, commit: str, other: str) -> bool:
        try:
            return self.workspace.repo.is_ancestor(other, commit)
        except GitError:
            return False

    def _fold(self, branch: str, tip: str, owner: tuple[str, int]) -> None:
        """Turn the branch into the keep ref that it should have become; in one step."""
        repo = self.workspace.repo
        updates = [RefUpdate(branch, None, tip)]
        if kept_head(self.workspace, *owner) is None:
            updates.append(RefUpdate(keep_ref(*owner), tip, None))
        if not swap(repo, updates, reason="wfledger: branch without worktree"):
            raise EnvironmentFailedError(f"{branch} is being moved by somebody else")


def parse_name(name: str) -> tuple[str, int, Purpose] | None:
    """Return task, attempt and purpose of a worktree by its name; None if it has none of ours."""
    named = split_attempt(name)
    if named is None:
        return None
    known = cast("tuple[Purpose, ...]", get_args(Purpose))
    kinds = {kind: kind for kind in known} | {"": "attempt"}
    return named.task_id, named.attempt, cast("Purpose", kinds.get(named.rest, "scratch"))
