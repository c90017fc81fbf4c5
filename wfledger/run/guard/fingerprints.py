"""What attempts may not change, looked at around each of them: git's shared directory and our refs.

A worker's worktree shares configuration, hooks and attributes with the user's checkout, and
`.wfledger/` is a folder like any other. What all that was when nobody of ours worked is known to be
good, and so is what a person changes while nobody works. A change that came about while an attempt,
a check or a gate ran, and that is not known to be harmless, is nobody's word: it raises an alarm,
which pauses dispatch and landing on this machine until a person trusts or restores it
(WFL-REC-030).

The record is written before a worker starts and compared when its processes are gone; where a
runtime dies in between, whoever looks next finds that an attempt had run.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core.hub import is_elsewhere
from wfledger.core.records import canonical_json
from wfledger.core.statuses import Status
from wfledger.errors import (
    EnvironmentFailedError,
    PausedError,
    WfledgerError,
)
from wfledger.run.config import machine
from wfledger.run.guard.planted import LEDGER, MACHINE, UNREADABLE, Change, Judge
from wfledger.run.guard.putback import put_back
from wfledger.run.looks.holding import holding
from wfledger.run.pausing import Pause, alarm_of, raise_alarm
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.layout import EDITABLE, SUFFIX, is_id
from wfledger.store.locks import is_alive
from wfledger.vcs import fingerprint, proc
from wfledger.vcs.fingerprint import Fingerprint, is_configuration, refuse_shortage

faults.register("fingerprints.noted", "fingerprints.alarmed")

CODE: Final = "untrusted_change"
COMMAND: Final = "wfledger trust"
_RECORD: Final = "fingerprints.json"
_FOLDER: Final = "known"
#: Is there since the first record was whole: without it nobody has taken a record away.
_MARK: Final = "fingerprints.mark"
#: Changes and attempts that an alarm names.
NAMED: Final = 20
#: Files larger than this, or more than this in all, are not kept to be restored.
_KEPT_BYTES: Final = 256 * 1024
_KEPT_IN_ALL: Final = 4 * 2**20
#: In the shared directory itself these make every git look elsewhere.
_FATAL: Final = frozenset({"commondir", "gitdir"})


@dataclass
class Record:
    """What is known to be good, and who has worked since that was last found to be so."""

    items: dict[str, str] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    #: Who -> since when (UTC, ISO 8601). `<task>.<attempt>`, or a task that drives itself.
    ran: dict[str, str] = field(default_factory=dict)
    #: The user's name and address as the repository had them while nobody worked.
    user: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, workspace: Workspace) -> "Record | None":
        """Return what is recorded; None where nothing is, or nothing readable."""
        try:
            return cls(**json.loads(_path(workspace).read_bytes()))
        except OSError as error:
            refuse_shortage(error)
            return None
        except (ValueError, TypeError):
            return None

    def save(self, workspace: Workspace) -> None:
        """Write it down in one step."""
        tmp = workspace.ledger.layout.tmp
        atomic.replace(_path(workspace), canonical_json(vars(self)), tmp=tmp)


def _path(workspace: Workspace) -> Path:
    return workspace.ledger.layout.local / "index" / _RECORD


def _mark(workspace: Workspace) -> Path:
    return _path(workspace).with_name(_MARK)


# -- around an attempt ---------------------------------------------------------------------------


def begin(workspace: Workspace, who: str) -> None:
    """Note that *who* (`<task>.<attempt>`) is about to run; raises `PausedError` under an alarm."""
    alarm = check(workspace, begin=who)
    if alarm is not None:
        raise PausedError(f"dispatch is paused: {alarm.reason}", hint=alarm.command)


def end(workspace: Workspace, who: str) -> Pause | None:
    """Look when every process of *who* is gone; returns the alarm, if there is one now."""
    return check(workspace, end=who)


@contextmanager
def around(workspace: Workspace, who: str) -> Iterator[None]:
    """Look before and after what runs a worker's files, such as a check or a gate.

    Raises `EnvironmentFailedError` where an alarm keeps it from running, or came of it.
    """
    try:
        begin(workspace, who)
    except PausedError as error:
        raise EnvironmentFailedError(error.message, hint=error.hint) from None
    alarm = None
    try:
        yield
    finally:
        alarm = end(workspace, who)
    if alarm is not None:
        raise EnvironmentFailedError(f"nothing lands: {alarm.reason}", hint=alarm.command)


def check(
    workspace: Workspace, *, begin: str | None = None, end: str | None = None
) -> Pause | None:
    """Compare what is with what is known to be good, and say what alarms; takes milliseconds."""
    with workspace.ledger.locks.hold_briefly("trust"):
        return _Look(workspace, begin, end).take()


def look_at(workspace: Workspace) -> Fingerprint:
    """Return what there is now: of the git directory, and the files that people configure us by.

    Every machine.toml counts that was known once: who looks may have another home.
    """
    attempts = workspace.ledger.layout.local / "attempts"
    names = (name.removesuffix(SUFFIX) for name in _listed(attempts))
    own = {name for name in names if not name.endswith(".open")}
    found = fingerprint.take(workspace.common_dir, skip=own)
    for name in EDITABLE:
        fingerprint.look_at(found, f"{LEDGER}{name}", workspace.ledger.layout.root / name)
    record = Record.load(workspace) or Record()
    known = {name for name in record.items if name.startswith(MACHINE)}
    for name in sorted({machine_name(), *known}):
        fingerprint.look_at(found, name, Path(name.removeprefix(MACHINE)))
    return found


def machine_name() -> str:
    """Return the name under which the machine.toml of this process is known."""
    return f"{MACHINE}{machine.path()}"


def judge(workspace: Workspace, record: Record, found: Fingerprint) -> Judge:
    """Return the judge of what differs between *record* and *found*."""
    return Judge(workspace.common_dir, record.items, lambda item: recall(workspace, item), found)


class _Look:
    """One comparison, under the lock."""

    def __init__(self, workspace: Workspace, begin: str | None, end: str | None) -> None:
        self._workspace = workspace
        self._begin, self._end = begin, end
        self._found = look_at(workspace)

    def take(self) -> Pause | None:
        alarm, record = alarm_of(self._workspace), Record.load(self._workspace)
        if record is None:
            if alarm is None and _mark(self._workspace).exists():
                gone = Change("the record of what is known to be good", "", "there", None)
                alarm = self._alarm([gone], self._suspects(Record()))
            if alarm is not None:
                return alarm
            record = adopt(self._workspace, Record(), self._found, self._tips({}))
        if not (self._workspace.ledger.layout.root / ".git").exists():
            self._leave_ledger_out(record)
        if not _mark(self._workspace).exists():
            _mark(self._workspace).touch()
        before = json.dumps(vars(record), sort_keys=True)
        if alarm is None:
            alarm = self._compare(record)
        elif record.items != self._found.items:
            self._heal(judge(self._workspace, record, self._found))
        self._note_who(record, alarm)
        if json.dumps(vars(record), sort_keys=True) != before:
            record.save(self._workspace)
            faults.point("fingerprints.noted")
        return alarm

    def _leave_ledger_out(self, record: Record) -> None:
        """Take the ledger's files for unchanged where the whole folder is gone: doctor's matter."""
        known = {n: item for n, item in record.items.items() if n.startswith(LEDGER)}
        self._found.items.update(known)

    def _tips(self, known: dict[str, str]) -> dict[str, str]:
        """Return where our refs are; *known* where the configuration lets nobody read them."""
        from wfledger.run.guard import refwatch  # verbs that only look open no git

        try:
            return refwatch.tips(self._workspace)
        except WfledgerError:
            return known

    def _compare(self, record: Record) -> Pause | None:
        from wfledger.run.guard import refwatch

        refs = self._tips(record.refs)
        if record.items == self._found.items and record.refs == refs:
            return None
        who = self._suspects(record)
        if not who:
            adopt(self._workspace, record, self._found, refs)
            return None
        judged = judge(self._workspace, record, self._found)
        changes = [one for one in judged.alarming() if not self._has_arrived(one.name)]
        # Who drives himself is mostly a person, who may commit on the branch of a run.
        driven = not any(name.rpartition(".")[2].isdigit() for name in who)
        moves = [] if driven else refwatch.strayed(self._workspace, record.refs, refs)
        if not changes and not moves:
            adopt(self._workspace, record, self._found, refs, user=record.user)
            return None
        alarm = self._alarm([*changes, *moves], who)
        self._heal(judged)
        refwatch.mend(self._workspace, moves)
        return alarm

    def _has_arrived(self, name: str) -> bool:
        """Whether a file is as the remote has it: `hub.trusting` asks for it (WFL-HUB-096)."""
        if not name.startswith(LEDGER) or not self._workspace.is_shared:
            return False
        there = self._workspace.history.read(name.removeprefix(LEDGER))
        return there == self._found.contents.get(self._found.items.get(name, ""), b"")

    def _heal(self, judged: Judge) -> None:
        """Put back at once what keeps git from working here at all, or work could not be kept."""
        for change in judged.alarming():
            is_broken = is_configuration(change.name) and change.new == UNREADABLE
            if change.name in _FATAL or is_broken:
                put_back(self._workspace, judged, change.name)

    def _alarm(self, changes: list[Change], who: dict[str, str]) -> Pause:
        changes.sort(key=lambda change: change.new is None)  # what appears runs, not what goes
        first, *more = [change.line() for change in changes]
        rest = f" and {len(more)} more" if more else ""
        named = ", ".join(sorted(who)[:3]) + (" and others" if len(who) > 3 else "")
        reason = f"while {named} ran, {first}{rest}" if who else f"{first}{rest}"
        alarm = raise_alarm(
            self._workspace, CODE, reason, command=COMMAND,
            changes=[change.as_json() for change in changes[:NAMED]], count=len(changes),
            ran=dict(sorted(who.items())[:NAMED]),
        )  # fmt: skip
        faults.point("fingerprints.alarmed")
        return alarm

    def _suspects(self, record: Record) -> dict[str, str]:
        """Return who has run since all was well; empty where only people were about."""
        now = iso(self._workspace.clock.now())
        driven = {name: now for name in self._self_driven(record) if not self._is_manual(name)}
        return driven | record.ran

    def _is_manual(self, task_id: str) -> bool:
        try:
            return self._workspace.ledger.load(Status.IN_PROGRESS, task_id).task.spec.manual
        except (WfledgerError, OSError, ValueError):
            return False

    def _self_driven(self, record: Record) -> list[str]:
        """Return the tasks in progress here that no runtime has announced."""
        announced = {who.rpartition(".")[0] for who in (*record.ran, self._begin or "")}
        names = self._workspace.ledger.names(Status.IN_PROGRESS)
        found = [name for name in names if name not in announced]
        if not found or not self._workspace.is_shared:
            return found
        here = self._workspace.ledger.layout.machine
        tasks = holding(self._workspace.ledger, Status.IN_PROGRESS)
        # The worker of what nobody can read may be one of this machine's.
        elsewhere = {task.id for task in tasks if is_elsewhere(task, here)}
        return [name for name in found if name not in elsewhere]

    def _note_who(self, record: Record, alarm: Pause | None) -> None:
        """Keep those who run, or under an alarm all of them: it may be one of these."""
        now = iso(self._workspace.clock.now())
        driven = {name: record.ran.get(name, now) for name in self._self_driven(record)}
        if alarm is None:
            ran = {w: since for w, since in record.ran.items() if w != self._end and self._runs(w)}
            if self._begin is not None:
                ran.setdefault(self._begin, ran.pop(self._begin.rpartition(".")[0], now))
            record.ran = driven | ran

    def _runs(self, who: str) -> bool:
        live = self._workspace.ledger.layout.local / "live"
        if any(is_alive(live / name) for name in (who, f"{who}.tree", f"{who}.merge")):
            return True
        task_id = who.rpartition(".")[0] if who.rpartition(".")[2].isdigit() else who
        layout = self._workspace.ledger.layout
        return is_id(task_id) and layout.task(Status.IN_PROGRESS, task_id).exists()


# -- what is known -------------------------------------------------------------------------------


def adopt(
    workspace: Workspace, record: Record, found: Fingerprint, refs: dict[str, str], *,
    user: dict[str, str] | None = None,
) -> Record:  # fmt: skip
    """Take what is there for good; *user* is who it is known to be, absent: read anew."""
    if record.items != found.items:
        _keep(workspace, found)
        record.user = _user(workspace) if user is None else user
    record.items, record.refs = dict(found.items), dict(refs)
    record.save(workspace)
    return record


def _keep(workspace: Workspace, found: Fingerprint) -> None:
    """Keep the bytes of *found*, to be compared with and put back; forget those of before."""
    folder = _path(workspace).parent / _FOLDER
    folder.mkdir(exist_ok=True)
    wanted, room = set[str](), _KEPT_IN_ALL
    for item, raw in found.contents.items():
        name = _name_of(item)
        if len(raw) > min(_KEPT_BYTES, room):
            continue
        room -= len(raw)
        wanted.add(name)
        if not (folder / name).exists():
            atomic.replace(folder / name, raw, tmp=workspace.ledger.layout.tmp, mode=0o600)
    for name in set(_listed(folder)) - wanted:
        (folder / name).unlink(missing_ok=True)


def recall(workspace: Workspace, item: str) -> bytes | None:
    """Return the bytes of a known item, None where they were not kept or are not those."""
    path = _path(workspace).parent / _FOLDER / _name_of(item)
    try:
        raw = atomic.read(path, limit=_KEPT_BYTES)
    except OSError as error:
        refuse_shortage(error)
        return None
    except WfledgerError:
        return None
    return raw if hashlib.sha256(raw).hexdigest() == item.rpartition(":")[2] else None


def _name_of(item: str) -> str:
    return item.rpartition(":")[2]


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names alone
    except OSError as error:
        refuse_shortage(error)
        return []


def _user(workspace: Workspace) -> dict[str, str]:
    try:
        found = proc.settings(workspace.common_dir)
    except WfledgerError:
        return {}
    return {one.key: one.value for one in found if _is_user(one)}


def _is_user(one: proc.Setting) -> bool:
    return not one.of_user and one.key in {"user.name", "user.email"}
