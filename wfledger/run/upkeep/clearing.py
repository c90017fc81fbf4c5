"""This machine's own files of attempts that are over: which may go, and when (spec 10, section 9).

What says who held an attempt goes only when its task is final, since a claim must never be given
out twice (WFL-CLAIM-022); what only the attempt's own worker needed goes as soon as another attempt
has begun. Nothing here is anybody's work.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from wfledger.core.policy import Retention
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.liveness import Observations
from wfledger.run.workspace import Workspace
from wfledger.store.layout import split_attempt
from wfledger.store.locks import is_alive

#: Folders whose files nobody needs once the attempt is over, and what stands before the name.
_SPENT: Final = {
    "tokens": "", "beats": "", "phases": "", "meters": "", "live": "", "index": "stop-",
}  # fmt: skip
#: Folders of what attempts have said.
_TALES: Final = ("logs", "transcripts")
#: Seconds for which a file of `live/` is left alone: whoever looks at it may have it open.
_SETTLE_S: Final = 3600.0


def final_tasks(workspace: Workspace) -> frozenset[str]:
    """Return the ids of the tasks that are done or cancelled; none of them ever opens again."""
    ledger = workspace.ledger
    return frozenset(ledger.names(Status.DONE)) | frozenset(ledger.names(Status.CANCELLED))


def clear_attempts(workspace: Workspace, final: frozenset[str]) -> int:
    """Remove what attempts that are over have left beside their logs; returns how many files."""
    found = [path for name in _SPENT for path in _spent(workspace, name, final)]
    found += _claims(workspace, final)
    return sum(_remove(path) for path in found)


def clear_logs(workspace: Workspace, policy: Retention, final: frozenset[str]) -> int:
    """Remove logs of final tasks that are old, and the oldest beyond the bound; returns how many.

    Transcripts are such logs, too. Those of open tasks stay, whatever they take.
    """
    now = workspace.clock.now().timestamp()
    logs = []
    for path in (path for name in _TALES for path in _files(workspace, name)):
        named = split_attempt(path.name)
        if named is not None and named.task_id in final:
            with suppress(FileNotFoundError):
                facts = path.stat()
                logs.append((facts.st_mtime, facts.st_size, path))
    removed, left = 0, sum(size for _, size, _ in logs)
    for written, size, path in sorted(logs):
        if now - written <= policy.logs_s and left <= policy.log_bytes:
            break
        removed += _remove(path)
        left -= size
    return removed


def clear_tmp(workspace: Workspace, *, older_s: float) -> int:
    """Remove temporary files and snapshots' folders whose writer is long gone; returns how many.

    They are old when they were seen for so long: the times of files come from a wall clock, and one
    that is set forward must not take a snapshot away from under its writer.
    """
    removed = 0
    with workspace.ledger.locks.hold("ledger"):
        seen = Observations.load(workspace)
        there = [(path, _identity(path)) for path in workspace.ledger.layout.tmp.iterdir()]
        old = [path for path, file in there if seen.age(f"tmp:{path.name}", file) >= older_s]
        seen.save("tmp")
    for path in old:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
        else:
            removed += _remove(path)
    return removed


def _identity(path: Path) -> tuple[int, int]:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return 0, 0
    return facts.st_ino, facts.st_mtime_ns


def _spent(workspace: Workspace, folder: str, final: frozenset[str]) -> Iterator[Path]:
    oldest = workspace.clock.now().timestamp() - _SETTLE_S
    for path in _files(workspace, folder):
        prefix = _SPENT[folder]
        named = split_attempt(path.name.removeprefix(prefix))
        if named is None or not path.name.startswith(prefix):
            continue
        is_over = named.task_id in final or _has_begun_after(workspace, *named[:2])
        if is_over and (folder != "live" or (_is_older(path, oldest) and not is_alive(path))):
            yield path


def _has_begun_after(workspace: Workspace, task_id: str, attempt: int) -> bool:
    """Whether another attempt of an open task has begun since; not so where that is unclear."""
    try:
        entry = workspace.ledger.find(task_id)
    except (WfledgerError, OSError):
        return False
    return entry is not None and attempt < entry.task.attempt


def _claims(workspace: Workspace, final: frozenset[str]) -> Iterator[Path]:
    for path in _files(workspace, "claims"):
        named = split_attempt(path.name)
        if named is not None and named.task_id in final:
            yield path


def _files(workspace: Workspace, folder: str) -> list[Path]:
    try:
        found = list((workspace.ledger.layout.local / folder).iterdir())
    except FileNotFoundError:
        return []
    return [path for path in found if path.is_file() and not path.is_symlink()]


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.lstat().st_mtime < moment
    except FileNotFoundError:
        return False


def _remove(path: Path) -> int:
    try:
        path.unlink()
    except FileNotFoundError:  # another process keeps house as well
        return 0
    return 1
