"""`trust`: a person looks at what changed while attempts ran, and takes it or puts it back.

Either way what is there afterwards is known to be good, and dispatch goes on.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger import faults
from wfledger.core.text import clean_line
from wfledger.errors import EnvironmentFailedError
from wfledger.run.guard import fingerprints, refwatch
from wfledger.run.guard.fingerprints import Record
from wfledger.run.guard.planted import LEDGER, Change
from wfledger.run.guard.putback import path_of, put_back
from wfledger.run.hub import trusting as agreement
from wfledger.run.pausing import Pause, alarm_of, clear_alarm
from wfledger.run.workspace import Workspace
from wfledger.vcs import fingerprint

faults.register("trusting.restored")

#: Lines of one file's difference that are shown.
_LINES: Final = 40


#: What is there besides, and where the refs are that are watched.
Looked = tuple[fingerprint.Fingerprint, dict[str, str]]


@dataclass(frozen=True)
class Suspicion:
    """What a person is asked to trust."""

    alarm: Pause | None
    changes: tuple[Change, ...]
    #: Who ran, and since when.
    ran: dict[str, str]
    #: Name of a file -> the lines that differ, safe to print.
    differences: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: What of it came from the ledger's remote: name -> content.
    came: Mapping[str, bytes] = field(default_factory=dict)
    #: All that was looked at.
    looked: Looked | None = None

    @property
    def from_remote(self) -> bool:
        """Whether some of it came from the ledger's remote."""
        return bool(self.came)

    @property
    def is_none(self) -> bool:
        """Whether there is nothing to trust."""
        return self.alarm is None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `trust --json` prints."""
        return {
            "alarm": None if self.alarm is None else self.alarm.reason,
            "since": None if self.alarm is None else self.alarm.since,
            "ran": self.ran, "from_remote": self.from_remote,
            "changes": [change.as_json() for change in self.changes],
        }


def suspicion(workspace: Workspace) -> Suspicion:
    """Look at everything now; changes nothing but to raise the alarm that is due."""
    agreement.check(workspace)
    alarm, record = alarm_of(workspace), Record.load(workspace) or Record()
    if alarm is None:
        return Suspicion(alarm, (), {})
    found, tips = fingerprints.look_at(workspace), refwatch.tips(workspace)
    judged = fingerprints.judge(workspace, record, found)
    moves = refwatch.strayed(workspace, record.refs, tips)
    said = alarm.facts.get("ran")
    ran = {str(who): str(since) for who, since in said.items()} if isinstance(said, dict) else {}
    differences = {
        name: lines
        for name in judged.changed()
        if any(judged.of(name)) and (lines := _difference(workspace, record, name))
    }
    came = agreement.arrived(workspace)
    changes = (*judged.alarming(), *moves, *(change for one in came for change in one.changes))
    differences |= {f"{LEDGER}{one.name}": _between(one.old, one.new) for one in came}
    return Suspicion(
        alarm, changes, ran | record.ran, differences, {one.name: one.new for one in came},
        (found, tips),
    )


def _difference(workspace: Workspace, record: Record, name: str) -> tuple[str, ...]:
    known = record.items.get(name)
    old = b"" if known is None else fingerprints.recall(workspace, known)
    looked = fingerprint.Fingerprint({})
    fingerprint.look_at(looked, name, path_of(workspace, name))
    new = looked.contents.get(looked.items.get(name, ""), b"")
    return () if old is None else _between(old, new)


def _between(old: bytes, new: bytes) -> tuple[str, ...]:
    """Return the lines that differ, safe to print and bounded; none where it is no text."""
    if b"\0" in old + new:
        return ()
    lines = [
        clean_line(line)
        for line in difflib.unified_diff(
            old.decode("utf-8", "replace").splitlines(),
            new.decode("utf-8", "replace").splitlines(), "known", "now", lineterm="", n=1,
        )
    ]
    more = [f"and {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return (*lines[:_LINES], *more)


def accept(workspace: Workspace, seen: Suspicion | None = None) -> None:
    """Take what was *seen* for known and good, and let this machine go on; by default, what is now.

    What has come since somebody looked is not taken: it raises the alarm again (WFL-HUB-101).
    """
    with workspace.ledger.locks.hold_briefly("trust"):
        record = Record.load(workspace) or Record()
        looked = None if seen is None else seen.looked
        found, tips = looked or (fingerprints.look_at(workspace), refwatch.tips(workspace))
        fingerprints.adopt(workspace, record, found, tips)
        agreement.accept(workspace, None if seen is None else seen.came)
        clear_alarm(workspace)
    fingerprints.check(workspace)
    agreement.check(workspace)


def restore(workspace: Workspace) -> tuple[str, ...]:
    """Put back what is known, and let this machine go on; returns what could not be put back.

    Done again after a crash it goes on. While something is left the alarm stays.
    """
    record = Record.load(workspace)
    if record is None:
        raise EnvironmentFailedError(
            "what was known to be good is not recorded any more", hint="wfledger trust --yes"
        )
    left = []
    judged = fingerprints.judge(workspace, record, fingerprints.look_at(workspace))
    for name in judged.changed():
        if any(judged.of(name)) and not put_back(workspace, judged, name):
            left.append(name)
        faults.point("trusting.restored")
    moves = refwatch.strayed(workspace, record.refs, refwatch.tips(workspace))
    left += [move.name for move in moves if not refwatch.restore(workspace, move)]
    if not left:
        agreement.put_back(workspace)
        accept(workspace, Suspicion(None, (), {}))  # nobody has agreed to what comes meanwhile
    return tuple(left)
