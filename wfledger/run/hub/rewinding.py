"""A remote that has lost what it had confirmed, or has another ledger: seen, and put right.

Nothing goes on by itself then: to push would overwrite what others see, and to follow would forget
what was acknowledged (WFL-HUB-030). A person decides: `restore` gives the remote back what this
machine knows, `accept` takes the remote's history for the truth.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.errors import RemoteError, UsageError
from wfledger.run.commit import TRANSITION, transition_of
from wfledger.run.hub import beating, keeping, losses
from wfledger.run.hub.applying import Arrival, changing
from wfledger.run.hub.meeting import Lost
from wfledger.run.hub.reaching import Address, failure
from wfledger.run.hub.state import Hub, State, read_state, write_state
from wfledger.run.merger import targets
from wfledger.run.workspace import Workspace
from wfledger.vcs import remote
from wfledger.vcs.history import STRAYED
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.remote import Pushed, RemoteUpdate, Trouble

faults.register("rewind.stopped", "rewind.restored", "rewind.replaced", "rewind.accepted")

#: Why nothing goes on: confirmed commits are gone, the ledger is another one, or another clone
#: goes by the name of this machine.
REWOUND: Final = "rewound"
FOREIGN: Final = "foreign"
TWIN: Final = "twin"
_RESTORE: Final = "wfledger remote restore"
_LEAVE: Final = "wfledger remote unset"
#: The command that helps with each.
_HELP: Final = {REWOUND: _RESTORE, FOREIGN: _LEAVE, TWIN: "wfledger remote rename-machine"}
_CALL_S: Final = 60.0


def hint(code: str) -> str:
    """Return the command that helps where nothing goes on for the reason *code*."""
    return _HELP.get(code, _RESTORE)


@dataclass(frozen=True)
class Stop:
    """Why nothing may go on with the remote."""

    code: str
    reason: str


def check(workspace: Workspace, hub: Hub, state: State, tip: str | None) -> Stop | None:
    """Say whether what was fetched follows from what the remote had confirmed."""
    known = state.applied or workspace.history.tip()
    if tip is None:
        return Stop(REWOUND, f"{hub.name} has no ledger any more")
    repo = workspace.repo
    if known is None or repo.is_ancestor(known, tip):
        return None
    if not repo.is_ancestor(hub.root, tip):
        return Stop(FOREIGN, f"{hub.name} has the ledger of somebody else: it begins otherwise")
    return Stop(
        REWOUND, f"{hub.name} has lost what it had confirmed: it is at {tip[:12]}, and had "
        f"{known[:12]}",
    )  # fmt: skip


def stop(workspace: Workspace, found: Stop) -> None:
    """Let nothing go on until a person has decided; durable on return."""
    local = workspace.ledger.layout.local
    write_state(local, replace(read_state(local), stopped=found.code, reason=found.reason))
    faults.point("rewind.stopped")


def restore(workspace: Workspace) -> str:
    """Give the remote back what it had confirmed and lost; returns a sentence for people.

    Raises `RemoteError` where it has gone on without that, `UnreachableError` where nobody answers.
    """
    hub, known = _known(workspace)
    refs = _fetched(workspace, hub)
    tip, repo = refs.get(hub.names.ledger), workspace.repo
    if tip is not None and repo.is_ancestor(known, tip):
        go_on(workspace)
        return f"{hub.name} has everything that it had confirmed"
    if tip is not None and not repo.is_ancestor(tip, known):
        _refuse_foreign(workspace, hub, tip)
        raise RemoteError(
            f"{hub.name} has gone on without what it had confirmed",
            hint="wfledger remote accept", kind="diverged", tip=tip, known=known,
        )
    updates = [RemoteUpdate(hub.names.ledger, known, tip), *_branches(workspace, refs)]
    # Heartbeats were rewound as well; who finds an old one of its own takes it for another clone's.
    beats = [RemoteUpdate(ref, None, oid) for ref, oid in refs.items()
             if ref.startswith(hub.names.beats)]  # fmt: skip
    done = _pushed(workspace, hub, [*updates, *beats])
    if done.outcome == "refused" and beats:
        done = _pushed(workspace, hub, updates)  # a server that lets nobody delete anything
        beating.take_for_ours(workspace, refs.get(hub.names.beat(workspace.machine.id)))
    if done.outcome != "ok":
        said = done.trouble.message if done.trouble is not None else "somebody was faster"
        raise RemoteError(f"{hub.name}: {said}", hint=_RESTORE, kind=done.outcome)
    faults.point("rewind.restored")
    go_on(workspace)
    count = sum(1 for _ in repo.walk(known, since=tip)) if tip is not None else None
    named = "1 commit" if count == 1 else f"{count} commits"
    what = "the ledger" if count is None else f"{named} of the ledger"
    return f"{hub.name} has {what} again"


def _pushed(workspace: Workspace, hub: Hub, updates: list[RemoteUpdate]) -> Pushed:
    atomic = hub.atomic and len(updates) > 1
    return remote.push(workspace.repo, hub.url, updates, atomic=atomic, timeout=_CALL_S)


def _branches(workspace: Workspace, refs: Mapping[str, str]) -> list[RemoteUpdate]:
    """Return the branches of runs that the remote has lost commits of."""
    repo, found = workspace.repo, []
    for run in workspace.ledger.runs():
        here, there = repo.tip(run.branch), refs.get(run.branch)
        if here is None or here == there or run.state not in {"open", "paused"}:
            continue
        if there is None or (repo.has_commit(there) and repo.is_ancestor(there, here)):
            found.append(RemoteUpdate(run.branch, here, there))
    return found


def accept(workspace: Workspace) -> str:
    """Take the remote's history for the truth; what it has lost is said in `hub/lost.jsonl`.

    What was known before stays under `refs/wfledger/strayed/`. Returns a sentence for people;
    raises as `restore` does. Killed in between, it is done again.
    """
    hub, known = _known(workspace)
    refs = _fetched(workspace, hub)
    tip, repo = refs.get(hub.names.ledger), workspace.repo
    if tip is None:
        raise RemoteError(f"{hub.name} has no ledger", hint=_RESTORE, kind="no_ledger")
    _refuse_foreign(workspace, hub, tip)
    if repo.is_ancestor(known, tip):
        go_on(workspace)
        return f"{hub.name} has everything that it had confirmed"
    gone = list(_gone(workspace, known, tip))
    losses.note(workspace, gone, {})
    with workspace.ledger.locks.hold("meeting"), changing(workspace):
        workspace.history.replace(tip, known, reason="accepted from the remote")
        faults.point("rewind.replaced")
    _follow(workspace, refs)
    with workspace.ledger.locks.hold("meeting"):
        Arrival(workspace, tip, settled=0).take(lambda: None)
    faults.point("rewind.accepted")
    beating.take_for_ours(workspace, refs.get(hub.names.beat(workspace.machine.id)))
    go_on(workspace)
    return (
        f"this machine has the history of {hub.name} now; {len(gone)} transitions are not in it: "
        "wfledger sync"
    )


def _refuse_foreign(workspace: Workspace, hub: Hub, tip: str) -> None:
    """Raise `RemoteError` where what the remote has begins with another commit (WFL-HUB-033)."""
    if not workspace.repo.is_ancestor(hub.root, tip):
        raise RemoteError(
            f"{hub.name} has the ledger of somebody else", hint=_LEAVE, kind=FOREIGN
        )


def _gone(workspace: Workspace, known: str, tip: str) -> Iterator[Lost]:
    """Yield the transitions that are in *known* and not in *tip*."""
    for info in workspace.repo.walk(known, since=tip):
        for value in info.values(TRANSITION):
            said = transition_of(value)
            if said is not None:
                yield Lost(
                    iso(info.time), said.task, said.attempt, said.source, said.target, said.by,
                    said.why, "the remote had lost it, and its history was accepted",
                )


def _follow(workspace: Workspace, refs: Mapping[str, str]) -> None:
    """Bring branches of runs to where the remote has them; what they were stays under a ref."""
    repo = workspace.repo
    for run in workspace.ledger.runs():
        here, there = repo.tip(run.branch), refs.get(run.branch)
        if here is None or there is None or here == there or not repo.has_commit(there):
            continue
        if not repo.is_ancestor(there, here):
            continue
        kept = f"{STRAYED}/{here}"
        updates = [RefUpdate(run.branch, there, here)]
        updates += [RefUpdate(kept, here, None)] if repo.tip(kept) is None else []
        if swap(repo, updates, reason="wfledger: as on the remote"):
            targets.note_landed(workspace, run.branch, there)


def _known(workspace: Workspace) -> tuple[Hub, str]:
    hub = workspace.hub
    if hub is None:
        raise UsageError("the ledger has no remote", hint="wfledger remote set origin")
    known = read_state(workspace.ledger.layout.local).applied or workspace.history.tip()
    if known is None:
        raise RemoteError("nothing is known of the ledger here", hint="wfledger doctor --fix")
    return hub, known


def _fetched(workspace: Workspace, hub: Hub) -> Mapping[str, str]:
    found = remote.fetch(workspace.repo, hub.url, hub.names.refspecs, timeout=_CALL_S)
    if isinstance(found, Trouble):
        raise failure(Address(hub.name, hub.url), found)
    return found.refs


def go_on(workspace: Workspace) -> None:
    """Let meetings go on; durable on return. Kept work goes to the remote again (WFL-HUB-038)."""
    local = workspace.ledger.layout.local
    keeping.again(workspace)
    write_state(local, replace(read_state(local), stopped=None, reason="", trouble=""))
