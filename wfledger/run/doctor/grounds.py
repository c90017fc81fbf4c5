"""What a ledger stands on: file system, repository, local state, `.wfledger/` and its branch.

Everything here may be wrong at once, so nothing is believed: a workspace is opened only when what
it needs was found whole. What is moved out of the way goes to `<git common dir>/wfledger/aside/`.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from wfledger import faults
from wfledger.clock import Clock
from wfledger.core.policy import LedgerConfig
from wfledger.core.records import parse
from wfledger.errors import (
    GitError,
    LedgerDamagedError,
    NoLedgerError,
    RepositoryError,
    WfledgerError,
)
from wfledger.run.doctor.mounts import network_kind, unsure_kind
from wfledger.run.doctor.trouble import Trouble, error, mendable, note, warning
from wfledger.run.hub import beating, renaming
from wfledger.run.setup import make_local, write_pointer
from wfledger.run.wholeness import redo_all
from wfledger.run.workspace import FOLDER, LOCAL, Workspace, no_ledger
from wfledger.store import folders
from wfledger.store.boot import begin_redo, needs_redo
from wfledger.store.layout import Layout
from wfledger.store.ledger import Ledger
from wfledger.vcs.attachment import flaw_of, reattach
from wfledger.vcs.history import History
from wfledger.vcs.locate import locate
from wfledger.vcs.registry import find
from wfledger.vcs.repo import Repository
from wfledger.vcs.stale import foreign_locks, is_abandoned, is_stale, stale_locks
from wfledger.vcs.worktree import exclude_path

faults.register("ground.begun", "ground.attached", "ground.pointed", "ground.redone")

_LINE: Final = f"/{FOLDER}"


class Ground:
    """The place where a ledger is or should be."""

    def __init__(self, start: Path, *, clock: Clock, state_home: Path) -> None:
        self._start, self._clock, self._state_home = start, clock, state_home
        self.common_dir = locate(start).common_dir
        self.local = self.common_dir / LOCAL
        self._repo: Repository | None = None

    @property
    def repo(self) -> Repository:
        """The repository; raises `RepositoryError` for one that cannot be used."""
        if self._repo is None:
            self._repo = Repository.open(self.common_dir)
        return self._repo

    @property
    def main(self) -> Path:
        """The user's main checkout."""
        if self.repo.main_workdir is None:
            raise RepositoryError("a bare repository has no place for .wfledger/", kind="bare")
        return Path(os.path.normpath(self.repo.main_workdir))

    @property
    def layout(self) -> Layout:
        """Where the ledger has to be, whatever the pointer says."""
        return Layout(self.main / FOLDER, self.local)

    def workspace(self) -> Workspace:
        """Open the ledger, whole or not; raises where its pointer cannot be read."""
        return Workspace.open_damaged(
            self._start, clock=self._clock, state_home=self._state_home
        )

    def troubles(self) -> Iterator[Trouble]:
        """Yield what is wrong with the ground, in the order in which it has to be put right."""
        try:
            history = History(self.repo)
            main = self.main
        except RepositoryError as found:
            yield _stop(_of_repository(found))
            return
        yield from self._file_systems(main)
        yield from self._locks()
        yield from self._branch(history)
        yield from self._local_state(history)
        yield from self._folder(main)

    # -- file systems and git ----------------------------------------------------------------------

    def _file_systems(self, main: Path) -> Iterator[Trouble]:
        if main.stat().st_dev != self.common_dir.stat().st_dev:
            yield error(
                "different-filesystems", str(main),
                f"{main} and {self.common_dir} lie on different file systems; a claim is a rename",
            )
        kind = network_kind(main)
        if kind is not None:
            yield error(
                "network-filesystem", str(main),
                f"{main} lies on {kind}; its renames and locks are not known to exclude each other",
            )
        kind = unsure_kind(main)
        if kind is not None:
            yield note(
                "unproved-filesystem", str(main),
                f"{main} lies on {kind}; what is behind it cannot be told",
            )

    def _locks(self) -> Iterator[Trouble]:
        info = find(self.repo, self.layout.root)
        foreign = foreign_locks(self.common_dir)
        abandoned = [lock for lock in foreign if is_abandoned(lock)]
        for lock in (*stale_locks(self.common_dir, info.entry if info else None), *abandoned):
            yield mendable(
                "stale-lock", "error", _below(lock, self.common_dir),
                f"{lock} was left by a git process that is gone",
                repair="remove it", mend=partial(_remove_lock, lock),
            )
        for lock in foreign:
            if lock in abandoned:
                continue
            yield warning(
                "foreign-lock", _below(lock, self.common_dir),
                f"{lock} is old and nobody has it open; if no git is running: rm {lock}",
            )

    # -- branch ------------------------------------------------------------------------------------

    def _branch(self, history: History) -> Iterator[Trouble]:
        broken = [ref for ref in (history.branch, history.pin) if not self._is_sound(ref)]
        yield from map(self._of_broken, broken)
        branch, pin = self.repo.tip(history.branch), self.repo.tip(history.pin)
        if branch is None and pin is None:
            yield from self._without_history(history)
            return
        if branch == pin:
            yield from self._readable(history)
            return
        message = _difference(history, branch, pin)
        ahead = bool(branch and pin) and self.repo.is_ancestor(pin or "", branch or "")
        trouble = mendable(
            "branch-ahead" if ahead else "branch-lost", "warning" if ahead else "error",
            history.branch, message,
            repair="bring the branch and its pin together", mend=history.align,
        )
        yield trouble if ahead else _stop(trouble)

    def _is_sound(self, ref: str) -> bool:
        try:
            tip = self.repo.tip(ref)
        except GitError:
            return False
        return tip is None or self.repo.has_commit(tip)

    def _of_broken(self, ref: str) -> Trouble:
        message, path = f"{ref} names no commit, as power loss leaves it", self.common_dir / ref
        if not path.is_file():
            return _stop(error("ref-broken", ref, message))
        return _stop(
            mendable(
                "ref-broken", "error", ref, message, repair="move it out of the way",
                mend=lambda: path.rename(self.aside(path.name)),
            )
        )

    def _without_history(self, history: History) -> Iterator[Trouble]:
        known = self.local.is_dir() and (self.local / "journal").is_dir()
        if not known:
            raise no_ledger(self.common_dir)
        try:
            parse(LedgerConfig, (self.layout.root / "ledger.json").read_bytes())
        except (OSError, WfledgerError):
            yield _stop(error("history-gone", history.branch, "branch and folder are both gone"))
            return
        yield _stop(
            mendable(
                "history-gone", "error", history.branch,
                f"{history.branch} and {history.pin} were deleted",
                repair="begin a new history with the files as they are",
                mend=lambda: self._begin_history(history, self._clock.now()),
            )
        )

    def _begin_history(self, history: History, when: datetime) -> None:
        root = self.layout.root
        files = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.is_symlink() and path != root / ".git"
        }
        history.create(files, message="A new history: the old one was deleted\n", when=when)

    def _readable(self, history: History) -> Iterator[Trouble]:
        try:
            parse(LedgerConfig, history.read("ledger.json") or b"")
        except GitError as found:
            yield _stop(
                error("history-unreadable", history.branch, f"{found}; restore it from a copy")
            )
        except WfledgerError:
            return  # a file of the ledger; the files are looked at by themselves

    # -- local state and folder --------------------------------------------------------------------

    def _local_state(self, history: History) -> Iterator[Trouble]:
        del history
        try:
            known = self.workspace()
        except (NoLedgerError, LedgerDamagedError) as found:
            yield _stop(
                mendable(
                    "pointer", "error", _below(self.local, self.common_dir),
                    f"this machine's own state does not say where the ledger is: {found}",
                    repair="make it anew, and the ledger from branch and journal",
                    mend=self.rebuild,
                )
            )
            return
        before = known.ledger.layout.root
        if before != self.layout.root:
            is_copy = os.path.lexists(before / ".git")
            yield _stop(
                mendable(
                    "moved", "error", str(self.layout.root),
                    f"the ledger was at {before}" + (", and still is" if is_copy else ""),
                    repair="note the new place" + (", as another machine's" if is_copy else ""),
                    mend=self._rebuild_copy if is_copy else self.rebuild,
                )
            )
        try:
            known.machine.id  # noqa: B018 - read, to see whether it can be
        except (OSError, ValueError, KeyError, TypeError):
            yield mendable(
                "missing-machine", "error", "machine.json",
                "this machine's id is gone", repair="draw another", mend=self._name_machine,
            )

    def _rebuild_copy(self) -> None:
        """Make the ledger of a copied clone a machine of its own: the other goes on with the id."""
        self._name_machine()
        self.rebuild()
        workspace = self.workspace()
        if workspace.is_shared:
            beating.forget(workspace)
            with workspace.ledger.transaction("doctor") as changes:
                renaming.hide_offers(workspace, changes, workspace.machine.id)

    def _name_machine(self) -> None:
        facts = self.local / "machine.json"
        if os.path.lexists(facts):
            facts.rename(self.aside("machine.json"))
        folders.create_local(self.layout)
        make_local(self.layout, clock=self._clock)

    def _folder(self, main: Path) -> Iterator[Trouble]:
        flaw = flaw_of(self.repo, self.layout.root)
        if flaw is not None:
            trouble = mendable(
                f"folder-{flaw.kind}", "warning" if flaw.kind == "unlocked" else "error", FOLDER,
                flaw.message,
                repair="attach it to its branch, with all that branch and journal have",
                mend=self.rebuild,
            )
            yield trouble if flaw.kind == "unlocked" else _stop(trouble)
            if flaw.kind != "unlocked":
                return
        if needs_redo(self._ledger()):
            yield mendable(
                "power-loss", "warning", FOLDER,
                "power may have been lost, or a rebuild was interrupted, since it was last whole",
                repair="compare all with the journal", mend=lambda: redo_all(
                    self.workspace(), by="doctor"
                ),
            )
        exclude = self.common_dir / "info/exclude"
        lines = exclude.read_bytes().splitlines() if exclude.is_file() else []
        if _LINE.encode() not in lines:
            yield mendable(
                "not-ignored", "warning", str(main), f"git would offer to add {FOLDER}",
                repair="a line in info/exclude", mend=lambda: exclude_path(self.repo, _LINE),
            )

    # -- rebuilding --------------------------------------------------------------------------------

    def rebuild(self) -> None:
        """Attach the folder and make its files again, losing nothing acknowledged (WFL-REC-009).

        Nobody changes the ledger from the first step to the last. Killed at any point, doing it
        again comes to the same end.
        """
        layout = self.layout
        self.local.mkdir(exist_ok=True)
        folders.create_local(layout)
        begin_redo(self._ledger())
        faults.point("ground.begun")
        make_local(layout, clock=self._clock)
        exclude_path(self.repo, _LINE)
        History(self.repo).align()
        with self._ledger().locks.hold("git"):
            reattach(self.repo, layout.root, aside=self.aside(FOLDER.lstrip(".")))
        faults.point("ground.attached")
        write_pointer(self.repo, self.main, layout)
        faults.point("ground.pointed")
        redo_all(self.workspace(), by="doctor")
        faults.point("ground.redone")

    def _ledger(self) -> Ledger:
        return Ledger(self.layout.root, self.local, clock=self._clock)

    def aside(self, name: str) -> Path:
        """Return a free name for what has to be moved out of the way."""
        found = self.aside_name(name)
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def aside_name(self, name: str) -> Path:
        """Return the same name without making the folder that it is in."""
        folder = self.local / "aside"
        names = (name if number == 0 else f"{name}.{number}" for number in itertools.count())
        return next(folder / one for one in names if not os.path.lexists(folder / one))


def _stop(trouble: Trouble) -> Trouble:
    return replace(trouble, stops=True)


def _of_repository(found: RepositoryError) -> Trouble:
    code = str(found.facts.get("kind", "repository")).replace("_", "-")
    hint = f"; {found.hint}" if found.hint else ""
    return error(code, ".git", f"{found.message}{hint}")


def _difference(history: History, branch: str | None, pin: str | None) -> str:
    if branch is None:
        return f"{history.branch} was deleted; {history.pin} has it"
    if pin is None:
        return f"{history.pin} is gone; {history.branch} has the history"
    if history.repo.is_ancestor(branch, pin):
        return f"{history.branch} was rewound to {branch[:12]}; it was at {pin[:12]}"
    if history.repo.is_ancestor(pin, branch):
        return f"{history.branch} is ahead of {history.pin}, as a crash leaves it"
    return f"{history.branch} was moved to {branch[:12]}, which does not follow from {pin[:12]}"


def _remove_lock(lock: Path) -> None:
    if is_stale(lock):
        lock.unlink(missing_ok=True)


def _below(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else str(path)
