"""Branches of runs that landed long ago, on their way off the remote (WFL-HUB-084).

Here they go by the rules of upkeep, into the archive. There one goes when the branch that the run
was for has all of it, as was seen a moment before; by a compare-and-swap, and along with a push
that goes anyway.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from wfledger.clock import iso, parse_iso
from wfledger.core.documents import Run
from wfledger.core.records import canonical_json
from wfledger.errors import WfledgerError
from wfledger.run.hub.delivery import seen_target
from wfledger.run.hub.machines import machines
from wfledger.run.hub.refusals import has_landed
from wfledger.run.hub.state import Hub, folder
from wfledger.run.merger.targets import contains
from wfledger.run.refnames import RUNS, seen_ref
from wfledger.run.upkeep.archiving import has_landed_before
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.vcs.remote import RemoteUpdate, Trouble, fetch

#: Seconds between two looks at what may go.
EVERY_S: Final = 3600.0
_FILE: Final = "retiring.json"
#: Branches in one push.
_MOST: Final = 200


@dataclass(frozen=True)
class _Note:
    """When somebody looked last, and which branches may go, each with the commit it is at."""

    at: str | None = None
    drop: dict[str, str] = field(default_factory=dict)


def look(workspace: Workspace, hub: Hub, *, timeout: float) -> None:
    """Find out, once in an hour, which branches the remote may drop; over the network, no lock.

    Only where there are some that are old enough; what cannot be reached is looked at later.
    """
    if not _is_due(workspace):
        return
    try:
        older_s = workspace.policy().retention.refs_s
    except WfledgerError:  # somebody is at ledger.json; a machine meets the others all the same
        return
    found = _ripe(workspace, older_s)
    ripe = [(run, tip) for run, tip in found if _is_ours(workspace, run)][:_MOST]
    wanted = {run.target: seen_target(run.target) for run, _ in ripe}
    there: Mapping[str, str] = {}
    if wanted:
        refspecs = [f"+{ref}:{mine}" for ref, mine in wanted.items()]
        came = fetch(workspace.repo, hub.url, refspecs, timeout=timeout)
        if isinstance(came, Trouble):
            return
        there = came.refs
    drop = {
        run.branch: tip for run, tip in ripe
        if _has_all(workspace, run, tip, there.get(run.target))
    }  # fmt: skip
    _write(workspace, _Note(iso(workspace.clock.now()), drop))


def updates(
    workspace: Workspace, refs: Mapping[str, str], *, denied: Collection[str]
) -> list[RemoteUpdate]:
    """Return the deletions that go with a push; *refs* is what the remote has.

    What the server has *denied* is not asked for again before the next look.
    """
    note = _read(workspace)
    forget(workspace, note.drop.keys() & set(denied))
    return [
        RemoteUpdate(ref, None, tip) for ref, tip in note.drop.items()
        if refs.get(ref) == tip and ref not in denied and has_landed(workspace, ref)
    ]  # fmt: skip


def forget(workspace: Workspace, refs: Collection[str]) -> None:
    """Ask for the deletion of *refs* no more: they are gone, or the server wants to keep them."""
    note = _read(workspace)
    left = {ref: tip for ref, tip in note.drop.items() if ref not in refs}
    if left != note.drop:
        _write(workspace, replace(note, drop=left))


def _is_due(workspace: Workspace) -> bool:
    at = _read(workspace).at
    if at is None:
        return True
    age = (workspace.clock.now() - parse_iso(at)).total_seconds()
    return not 0 <= age < EVERY_S


def _ripe(workspace: Workspace, older_s: float) -> Iterator[tuple[Run, str]]:
    """Yield the runs that landed long ago, with where the remote has their branches."""
    before = workspace.clock.now() - timedelta(seconds=older_s)
    for run in workspace.ledger.runs():
        if has_landed_before(run, before) and run.branch.startswith(RUNS):
            tip = workspace.repo.tip(seen_ref(run.branch))
            if tip is not None:
                yield run, tip


def _is_ours(workspace: Workspace, run: Run) -> bool:
    """Whether this machine is to see to it: it is the run's home, or that is no more."""
    others = {one.id for one in machines(workspace) if not one.is_here and not one.is_gone}
    return run.home not in others


def _has_all(workspace: Workspace, run: Run, tip: str, target: str | None) -> bool:
    """Whether nothing is lost with the branch, and the landing cannot be undone any more."""
    landed = run.landed.commit if run.landed is not None else None
    repo = workspace.repo
    return all(one is not None and contains(repo, one, target) for one in (tip, landed))


def _path(workspace: Workspace) -> Path:
    return folder(workspace.ledger.layout.local) / _FILE


def _read(workspace: Workspace) -> _Note:
    try:
        found = json.loads(_path(workspace).read_bytes())
        drop = {str(ref): str(tip) for ref, tip in found["drop"].items()}
        return _Note(iso(parse_iso(found["at"])), drop)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _Note()


def _write(workspace: Workspace, note: _Note) -> None:
    atomic.replace(
        _path(workspace), canonical_json(asdict(note)), tmp=workspace.ledger.layout.tmp
    )
