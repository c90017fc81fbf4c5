"""How things came about: what the ledger's branch says, and what the journal has for it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Final

from wfledger.clock import iso, parse_iso
from wfledger.run.commit import MACHINE, TRANSITION, trailers_of, transition_of
from wfledger.run.workspace import Workspace
from wfledger.vcs.repo import CommitInfo

#: Newest commits that are compared with the journal.
_GROUPS: Final = 20


@dataclass(frozen=True)
class Happening:
    """One transition, or one change of a task where it is."""

    task: str
    #: None for a task that was added.
    source: str | None
    target: str
    attempt: int
    by: str
    why: str
    #: When it was recorded (UTC); in the history to the second, and of a group the last.
    at: str
    #: The commit that holds it; None while it is in the journal only.
    commit: str | None
    #: The machine whose it was, where several share the ledger.
    machine: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `history --json` prints."""
        shown = asdict(self)
        return {"from": shown.pop("source"), "to": shown.pop("target"), **shown}


def happenings(
    workspace: Workspace, *, task: str | None = None, run: str | None = None, limit: int = 100
) -> list[Happening]:
    """Return the newest *limit* happenings, oldest first, of one task, of one run, or of all."""
    found: list[Happening] = []
    for one in _newest_first(workspace, task):
        if (task is None or one.task == task) and (run is None or _is_of(one, run)):
            found.append(one)
            if len(found) == limit:
                break
    return found[::-1]


def _is_of(one: Happening, run: str) -> bool:
    return one.task.partition(".")[0] == run


def _newest_first(workspace: Workspace, task: str | None) -> Iterator[Happening]:
    # The journal first: what is committed meanwhile is then met twice rather than not at all.
    waiting = [record for record in workspace.ledger.journal.records() if record["kind"] != "file"]
    tip = workspace.history.tip()
    known = _committed_since(workspace, tip, waiting[0]["at"]) if waiting and tip else frozenset()
    for record in reversed(waiting):
        if trailers_of(record)[-1] not in known:
            here = workspace.ledger.layout.machine if workspace.is_shared else None
            yield replace(_recorded(record), machine=here)
    for info in workspace.repo.walk(tip) if tip else ():
        if task is None or any(task in value for _, value in info.pairs):
            yield from _of_commit(info)


def _committed_since(workspace: Workspace, tip: str, moment: str) -> frozenset[str]:
    """Return the trailers of the newest commits: a segment is dropped only after its commits."""
    begin = parse_iso(moment).replace(microsecond=0)
    newest = islice(workspace.repo.walk(tip), _GROUPS)
    recent = (info for info in newest if info.time >= begin)
    return frozenset(f"{key}: {value}" for info in recent for key, value in info.pairs)


def _recorded(record: dict[str, Any]) -> Happening:
    return Happening(
        record["task"], record["from"], record["to"], record["attempt"], record["by"],
        record["why"], record["at"], commit=None,
    )  # fmt: skip


def _of_commit(info: CommitInfo) -> Iterator[Happening]:
    at, machine = iso(info.time), info.trailers.get(MACHINE)
    for value in reversed(info.values(TRANSITION)):
        found = transition_of(value)
        if found is not None:
            yield Happening(*found, at, info.oid, machine)
