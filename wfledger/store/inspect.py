"""What is wrong with the files of a ledger; looks and changes nothing (spec 80, "Findings").

`store.repair` puts right what needs no decision. Findings about one task come from
`store.settling`, the same rule by which it is repaired. The branch is not known here: whoever knows
git gives a function from path to content, and without it fewer things can be told and mended.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.store import claiming, claims, folders
from wfledger.store.evidence import Committed, Evidence, gather, leftovers, read_document
from wfledger.store.layout import SUFFIX, Layout, is_id, run_of
from wfledger.store.ledger import Ledger
from wfledger.store.replay import Known
from wfledger.store.settling import Origin, Settled
from wfledger.store.survey import Copy

Severity = Literal["error", "warning", "note"]
_ORDER: Final = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """One departure from what a ledger should be."""

    #: Stable, for programs.
    code: str
    severity: Severity
    #: The task, or a path relative to the ledger or to this machine's state.
    subject: str
    message: str
    #: What `repair` would do; None when nothing needs doing or a person has to.
    repair: str | None = None


def inspect(ledger: Ledger, *, committed: Committed | None = None) -> list[Finding]:
    """Return every finding about the ledger's files, worst first.

    Needs no lock: what looks wrong about a task is looked at once more, since it may have been on
    the move. Reads every task file.
    """
    evidence = gather(ledger, committed=committed)
    found = [*_folders(ledger.layout), *_journal(ledger, evidence), *_temporaries(ledger)]
    found += [*_strays(evidence), *_tasks(evidence), *_claims(evidence), *_documents(evidence)]
    return sorted(found, key=lambda item: (_ORDER[item.severity], item.code, item.subject))


def _folders(layout: Layout) -> Iterator[Finding]:
    for folder in folders.missing(layout):
        yield Finding("missing-folder", "error", folder.name, f"{folder} is missing", "make it")
    for keep in folders.missing_keeps(layout):
        subject = keep.relative_to(layout.root).as_posix()
        yield Finding(
            "missing-keep", "warning", subject, "git would not keep this folder", "make it"
        )


def _journal(ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    for path in evidence.replay.damaged:
        yield Finding(
            "journal-damaged", "error", path.name,
            "a line before the last one cannot be read; nothing is committed past it",
            "keep a copy in quarantine/ and go on with the readable records",
        )
    for path in evidence.replay.torn:
        yield Finding(
            "journal-torn", "note", path.name,
            "the end is torn, as a crash leaves it; nobody was told of that change",
        )
    if ledger.layout.local.is_dir() and (begun := ledger.marker.get()) is not None:
        subject = str(begun.get("task") or begun.get("file") or "marker")
        yield Finding(
            "interrupted", "warning", subject, "a change was left half done", "finish or forget it"
        )


def _temporaries(ledger: Ledger) -> Iterator[Finding]:
    for path in leftovers(ledger):
        yield Finding(
            "leftover", "note", path.name, "a temporary file whose process is gone", "remove it"
        )


def _strays(evidence: Evidence) -> Iterator[Finding]:
    for stray in evidence.survey.strays:
        subject = stray.path.relative_to(evidence.layout.root).as_posix()
        subject = subject.encode("utf-8", "replace").decode()
        if stray.code == "newer":
            yield Finding("newer", "error", subject, "written by a newer version of wfledger")
            continue
        known = stray.task_id is not None and evidence.settled(stray.task_id) is not None
        action = "to quarantine/" + (", and the task is written anew" if known else "")
        yield Finding(stray.code, "error", subject, stray.reason, action)


# -- tasks ---------------------------------------------------------------------------------------


def _tasks(evidence: Evidence) -> Iterator[Finding]:
    named = {task_id for run in evidence.runs.values() for task_id in run.tasks}
    ids = named | set(evidence.survey.copies) | set(evidence.replay.tasks)
    for task_id in sorted(ids - {s.task_id for s in evidence.survey.strays if s.task_id}):
        if not is_id(task_id):
            continue
        if _of_task(evidence, task_id) is None:
            continue
        evidence.look_again(task_id)
        finding = _of_task(evidence, task_id)
        if finding is not None:
            yield finding


def _of_task(evidence: Evidence, task_id: str) -> Finding | None:
    copies = evidence.survey.copies.get(task_id, [])
    settled = evidence.settled(task_id)
    if settled is None:
        return _unsettled(task_id, copies)
    if len(copies) > 1:
        where = ", ".join(copy.status.value for copy in copies)
        return Finding(
            "two-places", "error", task_id, f"it lies in {where}",
            f"keep the one in {settled.status.value}, the rest to quarantine/",
        )
    if not copies:
        return Finding(
            "missing-task", "error", task_id, f"its file is gone; the {settled.origin} has it",
            f"write it anew in {settled.status.value}",
        )
    return _of_single(evidence, settled, copies[0])


def _unsettled(task_id: str, copies: list[Copy]) -> Finding | None:
    if copies:
        return Finding(
            "split", "error", task_id,
            "two files of the same number differ, and no record decides between them",
            "both to quarantine/; a person has to choose",
        )
    return Finding("missing-task", "error", task_id, "its file is gone and no record has it")


def _of_single(evidence: Evidence, settled: Settled, copy: Copy) -> Finding | None:
    task_id, record = settled.task.id, settled.record
    if settled.origin is not Origin.DIRECTORY:
        return _of_overruled(settled, copy)
    if copy.path != evidence.layout.task(copy.status, task_id):
        subject = copy.path.relative_to(evidence.layout.root).as_posix()
        return Finding("misplaced", "error", subject, "not where it belongs", "move it there")
    if settled.status is not copy.status:
        return _moved(task_id, copy.status, settled.status)
    if record is None and evidence.committed is not None:
        return Finding(
            "unrecorded-task", "warning", task_id, "neither journal nor branch knows it",
            "record it as it is",
        )
    return _of_unrecorded(record, copy) if record is not None else None


def _of_unrecorded(record: Known, copy: Copy) -> Finding | None:
    task_id = copy.task.id
    if record.status is not copy.status:
        return _moved(task_id, record.status, copy.status)
    if record.task is not None and record.task != copy.task:
        return Finding(
            "unrecorded-change", "warning", task_id, "its document was changed without a record",
            "record it as it is",
        )
    return None


def _moved(task_id: str, source: Status, target: Status) -> Finding:
    return Finding(
        "unrecorded-move", "warning", task_id,
        f"it went from {source.value} to {target.value} without a record", "adopt it",
    )


def _of_overruled(settled: Settled, copy: Copy) -> Finding | None:
    task_id = settled.task.id
    if copy.task == settled.task and copy.status is settled.status:
        return None
    if copy.task == settled.task:
        return Finding(
            "unexplained-move", "error", task_id,
            f"its last record says {settled.status.value}, and nobody may move it from there "
            f"to {copy.status.value}",
            f"back to {settled.status.value}",
        )
    if copy.age < settled.task_age:
        return Finding(
            "behind-record", "error", task_id,
            f"its file is older than its last record in the {settled.origin}",
            f"write it anew in {settled.status.value}",
        )
    return Finding(
        "edited", "error", task_id, "its file differs from its last record under the same number",
        "the edited file to quarantine/, and the task as recorded",
    )


# -- everything else -----------------------------------------------------------------------------


def _claims(evidence: Evidence) -> Iterator[Finding]:
    layout = evidence.layout
    for task_id, copies in evidence.survey.copies.items():
        for copy in copies if len(copies) == 1 else ():
            if copy.status is Status.IN_PROGRESS and not is_elsewhere(copy.task, layout.machine):
                yield from _of_claim(layout, task_id, copy.task.attempt)
    known = evidence.survey.ids() | set(evidence.replay.tasks)
    for name in _entries(layout.local / "claims"):
        task_id, _, attempt = name.rpartition(".")
        if is_id(task_id) and attempt.isdigit() and task_id not in known:
            yield Finding(
                "orphan-claim", "note", f"claims/{name}", "the record of a task that is not here"
            )


def _of_claim(layout: Layout, task_id: str, attempt: int) -> Iterator[Finding]:
    try:
        record = claims.read(layout.claim(task_id, attempt))
    except FileNotFoundError:
        yield Finding(
            "unclaimed", "note", task_id,
            "in progress, and nobody recorded the claim; it is taken back after a while",
        )
        return
    if record is None:
        yield Finding("illegible-claim", "warning", task_id, "the claim record cannot be read")
    elif claiming.is_taken_back(layout, task_id, attempt):
        yield Finding(
            "taken-back", "warning", task_id, "its claim was taken back, and it was not moved on",
            "back to waiting",
        )


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _documents(evidence: Evidence) -> Iterator[Finding]:
    yield from _document(evidence, "ledger.json")
    mentioned = {run_of(task_id) for task_id in evidence.survey.copies}
    present = {
        name.removesuffix(SUFFIX)
        for name in _entries(evidence.layout.root / "runs") if name.endswith(SUFFIX)
    }
    for run_id in sorted(filter(is_id, mentioned | present)):
        yield from _run(evidence, run_id)
    strangers = list(_strangers(evidence.layout.root))
    for task_id in _entries(evidence.layout.root / "results"):
        # A link of that name leads anywhere, or to itself.
        if evidence.layout.root / "results" / task_id not in strangers:
            yield from _results(evidence, task_id)
    for path in strangers:
        name = path.relative_to(evidence.layout.root).as_posix()
        subject = name.encode("utf-8", "replace").decode()
        yield Finding(
            "unreadable-document", "error", subject, "nothing of that name and kind belongs here",
            "to quarantine/" if subject == name else None,
        )


def _strangers(root: Path) -> Iterator[Path]:
    """Yield what lies among the runs and is no `<id>.json`, or among the results and no folder."""
    for name in _entries(root / "runs"):
        stem, _, suffix = name.rpartition(".")
        if name != folders.KEEP and not (f".{suffix}" == SUFFIX and is_id(stem)):
            yield root / "runs" / name
    for name in _entries(root / "results"):
        path = root / "results" / name
        if name != folders.KEEP and not (is_id(name) and path.is_dir() and not path.is_symlink()):
            yield path


def _run(evidence: Evidence, run_id: str) -> Iterator[Finding]:
    relative = evidence.layout.run(run_id)
    if not _is_unsubmitted(evidence, run_id):
        yield from _document(evidence, relative)
    elif evidence.waiting_of(run_id):
        yield Finding(
            "unsubmitted", "warning", relative,
            "its submission was broken off: it has tasks, which never start, and no document",
            "cancel its tasks",
        )


def _is_unsubmitted(evidence: Evidence, run_id: str) -> bool:
    """Whether nobody has or had the document, and no task of the run was ever put on offer.

    The document comes last (WFL-TASK-020) and is never removed, so a branch that lacks it shows
    that the run was not submitted.
    """
    relative = evidence.layout.run(run_id)
    if evidence.committed is None or evidence.content(relative) is not None:
        return False
    if os.path.lexists(evidence.layout.root / relative):
        return False
    usual = {Status.WAITING, Status.CANCELLED}
    copies = evidence.copies_of(run_id)
    return all(copy.task.attempt == 0 and copy.status in usual for copy in copies)


def _results(evidence: Evidence, task_id: str) -> Iterator[Finding]:
    names = _entries(evidence.layout.root / "results" / task_id)
    names = [name for name in names if name.endswith(SUFFIX)]
    if names and task_id not in evidence.survey.ids():
        yield Finding(
            "orphan-result", "note", f"results/{task_id}", "results of a task that is not here"
        )
    for name in names:
        yield from _document(evidence, f"results/{task_id}/{name}")


def _document(evidence: Evidence, relative: str) -> Iterator[Finding]:
    spare = evidence.content(relative)
    try:
        read_document(evidence.layout, relative)
    except FileNotFoundError:
        action = "write it anew from journal or branch" if spare is not None else None
        yield Finding("missing-document", "error", relative, "it is gone", action)
    except (WfledgerError, OSError) as error:
        action = "to quarantine/" + (", and written anew" if spare is not None else "")
        yield Finding("unreadable-document", "error", relative, str(error), action)
