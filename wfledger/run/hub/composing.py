"""The commits that a push takes to the remote: first what was done here, then what is asked for.

They are built on the tip that was fetched, and no ref names them before the push has come through.
Their trailers are those of every commit of the history, and who pushed them: the machine, and a
number that makes each commit unlike any other, so that its presence proves the push.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core.records import canonical, plain
from wfledger.run.commit import GROUP, MACHINE, message_of, tree_changes
from wfledger.run.hub.proposals import Proposal, TaskMove
from wfledger.run.hub.replaying import Record
from wfledger.run.workspace import Workspace
from wfledger.store.journal import file_record

faults.register("compose.written")

NONCE: Final = "Wfledger-Nonce"
#: Up to which segment of that machine's journal its records are in the commit or before it.
UPTO: Final = "Wfledger-Upto"
_NONCE_CHARS: Final = 16


def compose(
    workspace: Workspace, tip: str, records: Sequence[Record], proposals: Iterable[Proposal],
    *, upto: int,
) -> str:  # fmt: skip
    """Return the commit that has *records* and *proposals* on top of *tip*; *tip* for nothing."""
    parent = tip
    told = [*records, *_told(workspace, proposals)]
    for start in range(0, len(told), GROUP):
        group = told[start : start + GROUP]
        is_last = start + GROUP >= len(told)
        parent = workspace.history.compose(
            parent, tree_changes(workspace, group, at=parent),
            message=message_of(group) + _signature(workspace, upto if is_last else None),
            when=workspace.clock.now(),
        )  # fmt: skip
        faults.point("compose.written")
    return parent


def _signature(workspace: Workspace, upto: int | None) -> str:
    lines = [
        f"{MACHINE}: {workspace.machine.id}",
        f"{NONCE}: {workspace.clock.token()[:_NONCE_CHARS]}",
    ]
    lines += [] if upto is None else [f"{UPTO}: {upto}"]
    return "\n".join(lines) + "\n"


def _told(workspace: Workspace, proposals: Iterable[Proposal]) -> Iterator[Record]:
    """Yield proposals as records, each after what it needs."""
    layout, at = workspace.ledger.layout, iso(workspace.clock.now())
    for proposal in proposals:
        facts = {"by": "sync", "why": proposal.what, "at": at}
        for run in proposal.runs:
            yield {**file_record(layout.run(run.id), canonical(run)), **facts}
        for result in proposal.results:
            path = layout.result(result.task, result.attempt)
            yield {**file_record(path, canonical(result)), **facts}
        for move in proposal.moves:
            yield _of_move(move, at)


def _of_move(move: TaskMove, at: str) -> dict[str, Any]:
    task = move.task
    return {
        "kind": "task", "task": task.id, "attempt": task.attempt, "seq": task.seq,
        "from": move.source.value, "to": move.target.value, "why": move.why, "by": move.by,
        "at": at, "content": plain(task),
    }  # fmt: skip
