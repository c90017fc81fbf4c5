"""How many attempts have failed, by where that came from: of each open run.

Documents of tasks that are not done are read anyway. Of done ones there may be ten thousand, so
whoever commits the journal notes from its records which tasks have failed attempts. The index is
this machine's own, holds only such tasks of open runs, and is made anew where it is missing; after
a power loss it may count too few. What other machines have done is noted when it is shown here.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from wfledger.core.documents import Attempt, Task
from wfledger.core.records import canonical_json
from wfledger.core.statuses import Status
from wfledger.core.tally import KINDS, failures_of
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.layout import run_of

_INDEX: Final = "failures.json"
#: Counts by kind, by task or by run.
Counts = dict[str, dict[str, int]]


def failures(workspace: Workspace, tasks: Iterable[Task]) -> Counts:
    """Return the failed attempts of each run that has any; *tasks* are counted as they are."""
    known = _read(workspace) or {}
    known |= {task.id: failures_of(task.attempts) for task in tasks}
    found: Counts = {}
    for task_id, counts in known.items():
        of_run = found.setdefault(run_of(task_id), {})
        for kind, count in counts.items():
            of_run[kind] = of_run.get(kind, 0) + count
    return found


def note_failures(workspace: Workspace, records: Sequence[Mapping[str, Any]]) -> None:
    """Take what journal *records* say into the index; noting a record twice changes nothing.

    Raises nothing that is not a defect: trouble with the index stops no commit.
    """
    def take(known: Counts) -> None:
        for record in records:
            _take(known, record)

    _note(workspace, take)


def note_shown(
    workspace: Workspace, done: Iterable[Task], files: Mapping[str, bytes]
) -> None:
    """Take in what came from other machines: tasks that are *done*, and documents by their paths.

    Raises nothing that is not a defect: trouble with the index keeps nothing back.
    """
    def take(known: Counts) -> None:
        for task in done:
            _count(known, task.id, failures_of(task.attempts))
        for path, raw in files.items():
            _forget_landed(known, path, raw)

    _note(workspace, take)


def _note(workspace: Workspace, take: Callable[[Counts], None]) -> None:
    try:
        before = _read(workspace)
        known = _scan(workspace) if before is None else dict(before)
        take(known)
        if known != before:
            layout = workspace.ledger.layout
            atomic.replace(layout.local / "index" / _INDEX, canonical_json(known), tmp=layout.tmp)
    except OSError:
        return  # people see too few failures; the next commit tries again


def _take(known: Counts, record: Mapping[str, Any]) -> None:
    content = record.get("content")
    if record["kind"] == "file":
        _forget_landed(known, str(record["path"]), content)
        return
    if content is None:  # a claim
        return
    attempts = content.get("attempts", ())
    counts = failures_of(Attempt.model_construct(**one) for one in attempts)
    _count(known, record["task"], counts)


def _count(known: Counts, task_id: str, counts: dict[str, int]) -> None:
    if counts:
        known[task_id] = counts
    else:
        known.pop(task_id, None)


def _forget_landed(known: Counts, path: str, content: object) -> None:
    """Drop what is known of a run whose document says that it has landed."""
    if not path.startswith("runs/") or not isinstance(content, str | bytes):
        return
    try:
        run = json.loads(content)
    except ValueError:
        return
    if isinstance(run, dict) and run.get("state") == "landed":
        for task_id in [name for name in known if run_of(name) == run.get("id")]:
            del known[task_id]


def _scan(workspace: Workspace) -> Counts:
    """Return the counts of the done tasks of open runs, from their documents."""
    ledger = workspace.ledger
    runs = [run.id for run in ledger.runs() if run.state != "landed"]
    done = (task for run in runs for task in ledger.tasks(Status.DONE, run=run))
    return {task.id: counts for task in done if (counts := failures_of(task.attempts))}


def _read(workspace: Workspace) -> Counts | None:
    try:
        raw = (workspace.ledger.layout.local / "index" / _INDEX).read_bytes()
        found = json.loads(raw)
        return {
            str(task_id): {kind: int(counts[kind]) for kind in KINDS if kind in counts}
            for task_id, counts in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return None
