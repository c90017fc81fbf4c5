"""From the journal to the history: grouped commits on the ledger's branch (spec 10, "History").

Whoever finds the journal non-empty may commit it; a lock lets one process do it at a time, and the
others leave it to him. A record is dropped from the journal only when the commit that contains it
is durable. Doing it twice makes no second commit, since the tree is the same.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from wfledger import faults
from wfledger.core import bounds
from wfledger.core.records import canonical_json
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.errors import BusyError
from wfledger.run.looks.tally import note_failures
from wfledger.run.workspace import Workspace
from wfledger.store import journal
from wfledger.vcs.standing import Standing

faults.register("commit.rotated", "commit.composed", "commit.committed", "commit.dropped")

#: Transitions in one commit.
GROUP: Final = 500
#: Tasks that the subject of a commit names.
_NAMED: Final = 2
#: The trailer that names a transition, and the one that names the machine of a whole commit.
TRANSITION: Final = "Wfledger-Transition"
MACHINE: Final = "Wfledger-Machine"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"?\S*'
_TRANSITION: Final = re.compile(
    rf"(?P<task>\S+) (?P<source>\S+) -> (?P<target>\S+) attempt (?P<attempt>\d+) "
    rf"by (?P<by>{_QUOTED}): (?P<why>.*)\Z"
)


class Transition(NamedTuple):
    """What the trailer of a transition says."""

    task: str
    #: None for a task that was added.
    source: str | None
    target: str
    attempt: int
    by: str
    why: str


def commit_journal(workspace: Workspace) -> int:
    """Bring everything that the journal holds into the history; returns how many records that was.

    Returns 0 when another process is at it, and where the ledger has a remote: its history is then
    what the remote has confirmed, and who syncs writes it (WFL-HUB-020). Raises `GitError` and the
    like when git fails: the journal is then as it was.
    """
    total = 0
    if workspace.is_shared:
        return total
    # Someone who found the lock taken relies on its holder: look again after letting go.
    while not workspace.ledger.journal.is_empty():
        try:
            with workspace.ledger.locks.hold("history", timeout=0):
                done = _commit_once(workspace)
        except BusyError:
            return total
        total += done
        if done == 0:
            return total
    return total


def _commit_once(workspace: Workspace) -> int:
    ledger = workspace.ledger
    with ledger.transaction("committer"):  # what was interrupted is finished and recorded first
        ledger.journal.rotate()
    faults.point("commit.rotated")
    count = 0
    for segment in ledger.journal.segments():
        records, _ = journal.read(segment.path)
        if len(records) > GROUP:
            _commit_groups(workspace, records)
        elif records:
            changes, message = tree_changes(workspace, records), message_of(records)
            workspace.history.commit(changes, message=message, when=workspace.clock.now())
        faults.point("commit.committed")
        note_failures(workspace, records)
        ledger.journal.drop(segment)
        faults.point("commit.dropped")
        count += len(records)
    workspace.history.refresh_index(ledger.layout.root)
    return count


def _commit_groups(workspace: Workspace, records: list[dict[str, Any]]) -> None:
    """Commit what is too much for one commit: all of it comes into the history at once, or none.

    Whoever died before the segment was dropped has the whole of it there, so that doing it again
    changes nothing. The first group alone would take the ledger back to what it was in between.
    """
    history, now = workspace.history, workspace.clock.now()
    tip = parent = history.require_tip()
    if history.compose(tip, tree_changes(workspace, records), message="", when=now) == tip:
        return
    for start in range(0, len(records), GROUP):
        group = records[start : start + GROUP]
        changes = tree_changes(workspace, group, at=parent)
        parent = history.compose(parent, changes, message=message_of(group), when=now)
        faults.point("commit.composed")
    history.advance(parent, reason=f"{len(records)} records")


def tree_changes(
    workspace: Workspace, records: Iterable[dict[str, Any]], *, at: str | None = None
) -> dict[str, bytes | None]:
    """Return what *records* change in the ledger's tree: path to content, None for gone.

    The tree is that of the commit *at*; by default, of the history's tip.
    """
    changes: dict[str, bytes | None] = {}
    layout = workspace.ledger.layout
    revision = at or workspace.history.tip()
    before = Standing(workspace.repo, revision) if revision is not None else None
    for record in records:
        if record["kind"] == "file":
            changes[record["path"]] = journal.file_bytes(record)
            continue
        places = {status: layout.relative(status, record["task"]) for status in Status}
        if record.get("content") is not None:
            content: bytes | None = canonical_json(record["content"])
        else:
            content = _present(changes, before, record, places)
        changes |= dict.fromkeys(places.values())
        if content is not None:
            changes[places[Status(record["to"])]] = content
    return changes


def _present(
    changes: dict[str, bytes | None], before: Standing | None, record: dict[str, Any],
    places: dict[Status, str],
) -> bytes | None:  # fmt: skip
    """Return a task's content as of the records before this one; a claim carries none."""
    known = [changes[path] for path in places.values() if path in changes]
    if known:
        return next((raw for raw in known if raw is not None), None)
    if before is None:
        return None
    likely = places.get(Status(record["from"])) if record.get("from") else None
    found = (
        before.read(path, limit=bounds.RUN_BYTES)
        for path in (*([likely] if likely else ()), *places.values())
    )
    return next((raw for raw in found if isinstance(raw, bytes)), None)


def message_of(records: Sequence[dict[str, Any]]) -> str:
    """Return the commit message: a subject, and trailers that name each transition."""
    told: list[str] = []
    named: set[str] = set()
    for record in records:
        *names, last = trailers_of(record)
        told += [line for line in names if line not in named]
        named.update(names)
        told.append(last)  # also where a task went the same way before: it went it twice
    return f"{_subject(records)}\n\n" + "\n".join(told) + "\n"


def _subject(records: Sequence[dict[str, Any]]) -> str:
    first = records[0]
    if len(records) == 1 and first["kind"] == "file":
        return clean_line(f"{first['path']}: {first['why']}")[: bounds.TRAILER_BYTES]
    if len(records) == 1:
        return f"{first['task']}: {first['from'] or 'new'} -> {first['to']}"
    ends = {record["task"]: record["to"] for record in records if record["kind"] != "file"}
    named = [f"{task} -> {status}" for task, status in list(ends.items())[:_NAMED]]
    if not named:
        return f"{len(records)} files"
    more = len(ends) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def trailers_of(record: dict[str, Any]) -> list[str]:
    """Return the lines that name a record in a commit message; the last says all of it."""
    by, why = quoted(record["by"]), quoted(record["why"])
    if record["kind"] == "file":
        path = record["path"] if record["path"].isprintable() else quoted(record["path"])
        return [f"Wfledger-File: {path} by {by}: {why}"]
    arrow = f"{record['from'] or 'new'} -> {record['to']}"
    return [
        f"Wfledger-Task: {record['task']}",
        f"{TRANSITION}: {record['task']} {arrow} attempt {record['attempt']} by {by}: {why}",
    ]


def quoted(text: str) -> str:
    """Return *text* as one bounded line that cannot forge a trailer (WFL-LEDGER-042)."""
    raw = json.dumps(text, ensure_ascii=True)
    limit = bounds.TRAILER_BYTES
    return raw if len(raw) <= limit else raw[: limit - 4].rstrip("\\") + '..."'


def transition_of(value: str) -> Transition | None:
    """Return what the trailer *value* says, as `trailers_of` wrote it; None where it says none."""
    match = _TRANSITION.match(value)
    if match is None:
        return None
    source = match["source"]
    return Transition(
        match["task"], None if source == "new" else source, match["target"],
        int(match["attempt"]), _unquoted(match["by"]), _unquoted(match["why"]),
    )  # fmt: skip


def _unquoted(text: str) -> str:
    """Return what was quoted; a text that was cut stays as it is."""
    try:
        return str(json.loads(text))
    except ValueError:
        return text.strip('"')
