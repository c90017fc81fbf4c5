"""`doctor`: everything that is looked at, in the order in which it has to be put right.

Looking changes nothing. Repairs are made one after the other, each under the locks of what it
changes, and everything is looked at again after them; so a repair that was killed is simply found
again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from wfledger import faults
from wfledger.clock import Clock
from wfledger.core import bounds
from wfledger.core.statuses import Status
from wfledger.core.unknown import unknown_fields
from wfledger.errors import GitError, WfledgerError
from wfledger.run.byhand.adopting import adopt_everything, new_task
from wfledger.run.commit import commit_journal
from wfledger.run.doctor import remotes
from wfledger.run.doctor.grounds import Ground
from wfledger.run.doctor.places import Places
from wfledger.run.doctor.proofs import Proofs
from wfledger.run.doctor.trouble import Mend, Trouble, error, mendable, note, warning
from wfledger.run.money import spending
from wfledger.run.pausing import alarm_of
from wfledger.run.wholeness import redo_all
from wfledger.run.workspace import Workspace
from wfledger.store import atomic, folders
from wfledger.store.evidence import Committed, read_document
from wfledger.store.inspect import Finding, inspect
from wfledger.store.layout import EDITABLE, SUFFIX, is_id
from wfledger.store.quarantined import quarantined, reason_of
from wfledger.store.repair import repair
from wfledger.store.replay import replay
from wfledger.vcs.registry import find

faults.register("checkup.mended")

#: Looks after which repairing stops; one repair may lay bare what the next look finds.
ROUNDS: Final = 8
_ORDER: Final = {"error": 0, "warning": 1, "note": 2}
#: Findings about files that are put right by redoing the whole ledger.
_REDONE: Final = frozenset({"missing-task"})
#: Files in quarantine/ that are named.
_SHOWN: Final = 20


@dataclass
class Repaired:
    """What `fix` did."""

    done: list[Finding] = field(default_factory=list)
    #: What could not be repaired, with the reason.
    failed: list[tuple[Finding, str]] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class Checkup:
    """The check-up of the ledger of the repository that *start* is in."""

    start: Path
    clock: Clock
    state_home: Path

    def look(self) -> list[Finding]:
        """Return every finding, worst first; changes nothing.

        Raises `RepositoryError` outside of a repository and `NoLedgerError` where there is no
        ledger at all.
        """
        found = (trouble.finding for trouble in self._troubles())
        return sorted(found, key=lambda item: (_ORDER[item.severity], item.code, item.subject))

    def fix(self, report: Callable[[str], None]) -> Repaired:
        """Repair what needs no decision, look again, and say what is left."""
        repaired = Repaired()
        tried: set[tuple[str, str]] = set()
        for _ in range(ROUNDS):
            todo = [t for t in self._troubles() if t.mend and _key(t.finding) not in tried]
            if not todo:
                break
            tried |= {_key(trouble.finding) for trouble in todo}
            _mend(todo, repaired, report)
        self._commit()
        repaired.left = self.look()
        left = {_key(finding) for finding in repaired.left}
        repaired.done = [item for item in repaired.done if _key(item) not in left]
        return repaired

    def _commit(self) -> None:
        try:
            workspace = self._ground().workspace()
            commit_journal(workspace)
            workspace.history.refresh_index(workspace.ledger.layout.root)
        except (WfledgerError, OSError):
            return  # what stands in the way is a finding

    def _ground(self) -> Ground:
        return Ground(self.start, clock=self.clock, state_home=self.state_home)

    def _troubles(self) -> Iterator[Trouble]:
        ground = self._ground()
        for trouble in ground.troubles():
            yield trouble
            if trouble.stops:
                return
        workspace = ground.workspace()
        missing = list(_missing(workspace))
        yield from missing
        if missing:
            return
        yield from _alarm(workspace)
        yield from remotes.troubles(workspace)
        yield from _files(workspace)
        yield from Proofs(workspace).troubles()
        yield from Places(workspace, ground.local / "aside").troubles()
        yield from _spent(workspace)
        yield from _history(workspace, ground.aside_name("index"))


def _alarm(workspace: Workspace) -> Iterator[Trouble]:
    """Yield what only a person can judge: what changed while attempts ran."""
    alarm = alarm_of(workspace)
    if alarm is not None:
        yield error("alarm", alarm.code, f"{alarm.reason}; look at it: {alarm.command}")


def _key(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.subject


def _mend(todo: list[Trouble], repaired: Repaired, report: Callable[[str], None]) -> None:
    """Make each repair once, though several findings may share it."""
    results: dict[Mend, str | None] = {}
    for trouble in todo:
        if trouble.mend is None:
            continue
        if trouble.mend not in results:
            try:
                trouble.mend()
                results[trouble.mend] = None
                faults.point("checkup.mended")
            except (WfledgerError, OSError) as error:
                results[trouble.mend] = str(error)
        finding, problem = trouble.finding, results[trouble.mend]
        if problem is None:
            repaired.done.append(finding)
            report(f"{finding.subject}: {finding.message}: {finding.repair}")
        else:
            repaired.failed.append((finding, problem))


# -- files ---------------------------------------------------------------------------------------


def _missing(workspace: Workspace) -> Iterator[Trouble]:
    """Yield the ledger's own folders that are gone: what was in them is redone with the rest."""
    layout = workspace.ledger.layout
    redo = partial(redo_all, workspace, by="doctor")
    for folder in folders.missing(layout):
        if folder.is_relative_to(layout.root):
            yield mendable(
                "missing-folder", "error", folder.name, f"{folder} is missing",
                repair="make it, with all that branch and journal have", mend=redo,
            )


def _files(workspace: Workspace) -> Iterator[Trouble]:
    ledger = workspace.ledger
    try:
        branch: dict[str, bytes] | None = dict(workspace.history.files())
    except GitError as error:
        yield Trouble(Finding("history-unreadable", "error", workspace.history.branch, str(error)))
        branch = None
    found = _confirmed(workspace) if branch is not None else inspect(ledger)

    redo = partial(redo_all, workspace, by="doctor")

    def put_right() -> None:
        if folders.missing(ledger.layout):
            repair(ledger, [one for one in found if one.code == "missing-folder"])
        adopt_everything(workspace)  # what may be done by hand is no damage
        # Nothing is committed meanwhile: a record that is dropped from the journal after the branch
        # was read is in neither, and what it tells would be recorded a second time.
        with ledger.locks.hold("history"):
            files = None if branch is None else dict(workspace.history.files()).get
            repair(ledger, found, committed=files)

    for finding in found:
        if finding.repair is None:
            yield Trouble(finding)
        elif (name := new_task(workspace, finding)) is not None:
            said = f"a new task, {name}, that no step has taken in yet"
            yield mendable(
                "new-task", "note", finding.subject, said, repair="take it in", mend=put_right
            )
        else:
            yield Trouble(finding, redo if finding.code in _REDONE else put_right)
    yield from _edited(workspace, branch)
    yield from _without_effect(workspace)
    yield from _quarantined(workspace)
    named = {finding.subject for finding in found}
    for task_id in _only_committed(workspace, branch or {}):
        if task_id not in named:
            yield mendable(
                "missing-task", "error", task_id, "its file is gone; only the branch has it",
                repair="write it anew, with a higher attempt number while it is open", mend=redo,
            )


def _confirmed(workspace: Workspace) -> list[Finding]:
    """Return the findings that two looks have in common.

    Journal, folders and branch are read one after the other and without a lock, while others work:
    one look takes for damage what has just moved on.
    """
    looks = [inspect(workspace.ledger, committed=_branch_of(workspace))]
    if looks[0]:
        looks.append(inspect(workspace.ledger, committed=_branch_of(workspace)))
    first = {_key(finding) for finding in looks[0]}
    return [finding for finding in looks[-1] if _key(finding) in first]


def _branch_of(workspace: Workspace) -> Committed:
    """Return the content of the branch by path, read when it is first asked for.

    That is after the journal was read: what is dropped from there later is on the branch by then.
    """
    files: dict[str, bytes] = {}

    def content(path: str) -> bytes | None:
        if not files:
            files.update(workspace.history.files())
        return files.get(path)

    return content


def _edited(workspace: Workspace, branch: dict[str, bytes] | None) -> Iterator[Trouble]:
    """Yield the files that people edit in place and that no record has as they are."""
    ledger = workspace.ledger
    said = replay(ledger.journal).files if ledger.layout.journal.is_dir() else {}
    for name in EDITABLE if branch is not None else ():
        try:
            read_document(ledger.layout, name)
            raw = atomic.read(ledger.layout.root / name, limit=bounds.RUN_BYTES)
        except (OSError, WfledgerError):
            continue  # gone, or not what it must be; a finding of its own
        if raw != said.get(name, (branch or {}).get(name)):
            yield mendable(
                "unrecorded-change", "warning", name, "it was edited, and no record has that",
                repair="record it as it is", mend=partial(_adopt, workspace, name),
            )


def _quarantined(workspace: Workspace) -> Iterator[Trouble]:
    """Yield what was moved out of the way and waits for a person to look at."""
    layout = workspace.ledger.layout
    for name in quarantined(layout)[:_SHOWN]:
        yield note("quarantined", f"quarantine/{name}", reason_of(layout, name))


def _without_effect(workspace: Workspace) -> Iterator[Trouble]:
    """Yield what stands in ledger.json and does nothing."""
    try:
        config = workspace.config()
    except (OSError, WfledgerError):
        return  # a finding of its own
    for sentence in unknown_fields(config):
        yield warning("unknown-setting", "ledger.json", sentence)


def _adopt(workspace: Workspace, name: str) -> None:
    with workspace.ledger.transaction("doctor") as changes:
        changes.adopt_file(name, why="edited by hand")


def _only_committed(workspace: Workspace, branch: dict[str, bytes]) -> Iterator[str]:
    """Yield the tasks that the branch has and no folder; one that moves is looked for again."""
    ledger = workspace.ledger
    present = {name for status in Status for name in ledger.names(status)}
    own = {status.value for status in Status}
    for path in branch:
        folder, _, rest = path.partition("/")
        name = rest.rpartition("/")[2].removesuffix(SUFFIX)
        if folder in own and path.endswith(SUFFIX) and name not in present and is_id(name):
            layout = ledger.layout
            if not any(layout.task(status, name).exists() for status in Status):
                yield name


def _history(workspace: Workspace, aside: Path) -> Iterator[Trouble]:
    waiting = sum(1 for _ in workspace.ledger.journal.records())
    if waiting:
        yield note(
            "uncommitted", workspace.history.branch,
            f"{waiting} records of the journal wait to be committed, as they may",
        )
        return
    root = workspace.ledger.layout.root
    if workspace.history.index_lags(root):
        yield mendable(
            "index-lags", "note", "index", "git status in .wfledger/ shows what is not so",
            repair="set it to the branch",
            mend=partial(_set_index, workspace, aside),
        )


def _spent(workspace: Workspace) -> Iterator[Trouble]:
    """Yield where fewer attempts count towards costs and budgets than have ended."""
    count = len(spending.missing(workspace))

    def put_right() -> None:
        with workspace.ledger.locks.hold("ledger"):
            spending.make_anew(workspace)

    if count:
        yield mendable(
            "usage-incomplete", "warning", "usage.jsonl",
            f"what {count} attempts have used is in their results and does not count",
            repair="count it", mend=put_right,
        )


def _set_index(workspace: Workspace, aside: Path) -> None:
    """Set the index to the branch; one that git cannot even read is moved out of the way."""
    root = workspace.ledger.layout.root
    info = find(workspace.repo, root)
    if not workspace.history.refresh_index(root) and info is not None:
        index = info.entry / "index"
        if index.exists() and not (info.entry / "index.lock").exists():
            aside.parent.mkdir(exist_ok=True)
            index.rename(aside)
            workspace.history.refresh_index(root)


