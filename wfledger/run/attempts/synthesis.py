"""Several results put together by wfledger itself: for who is to reduce them, and in his result.

What a worker says of it is not asked: who contributed, who is missing, which findings are the same
and which contradict each other is computed from the envelopes (spec 92, "Putting together").
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from wfledger.core import bounds, findings
from wfledger.core.control import Synthesis
from wfledger.core.documents import Result, Task
from wfledger.core.records import canonical, canonical_json, plain
from wfledger.run.attempts.handed import Handed, handed
from wfledger.run.workspace import Workspace

MERGED: Final = "merged.json"
#: Bytes that each line of a finding is indented by in an envelope, and more.
_INDENT: Final = 8
#: Bytes of an envelope that are left for what comes after it is written.
_SPARE_BYTES: Final = 64 * 1024


def synthesis_of(found: Handed, *, room: int = bounds.RESULT_BYTES // 3) -> Synthesis:
    """Return what *found* comes to; of the findings what fits into *room* bytes."""
    merged = findings.merge(
        one for task_id, result in _contributing(found).items()
        for one in findings.of_result(task_id, result)
    )  # fmt: skip
    size, fitting = 0, 0
    for finding in merged:
        written = canonical_json(finding)
        size += len(written) + _INDENT * (written.count(b"\n") + 1)
        if size > room:
            break
        fitting += 1
    return Synthesis(
        contributors=tuple(_contributing(found)), missing=tuple(found.missing),
        findings=merged[:fitting], left_out=len(merged) - fitting,
    )  # fmt: skip


def _contributing(found: Handed) -> dict[str, Result]:
    """Return the results without those that only hold others together."""
    return {name: one for name, one in found.results.items() if name not in found.groups}


def write_merged(workspace: Workspace, task: Task, folder: Path) -> None:
    """Write what a reducing *task* is handed as one document (WFL-CTRL-061)."""
    found = handed(workspace, task)
    (folder / MERGED).write_bytes(canonical_json(_document(found)))


def _document(found: Handed) -> Mapping[str, Any]:
    whole = synthesis_of(found, room=2**62)
    return {
        "contributors": list(whole.contributors),
        "missing": list(whole.missing),
        "findings": list(whole.findings),
        "envelopes": {
            name: plain(result)
            for name, result in _contributing(found).items()
        },
    }


def with_synthesis(workspace: Workspace, task: Task, result: Result) -> Result:
    """Return *result* with what wfledger puts together of the inputs of *task*, if it reduces."""
    if not task.spec.reduces:
        return result
    room = max(0, bounds.RESULT_BYTES - len(canonical(result)) - _SPARE_BYTES)
    return result.but(synthesis=synthesis_of(handed(workspace, task), room=room))
