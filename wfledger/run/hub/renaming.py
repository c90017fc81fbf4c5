"""What this machine is called by people, and another id for it where two clones go by one.

A copied folder does that. What the old id was granted is the other clone's from then on. What this
one had done and the remote has not confirmed is judged at the next meeting like anything else.
"""

import json
from dataclasses import replace
from typing import Final

from wfledger import faults
from wfledger.core.hub import is_elsewhere
from wfledger.core.records import canonical_json
from wfledger.core.statuses import Status
from wfledger.errors import BusyError, UsageError
from wfledger.run.hub import beating, poking
from wfledger.run.hub.rewinding import TWIN
from wfledger.run.hub.state import distrust, read_state, write_state
from wfledger.run.presence import driven
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.locks import LiveLock
from wfledger.store.transaction import Transaction

faults.register("renaming.named", "renaming.forgotten")

_ID_CHARS: Final = 8
_HINT: Final = "wfledger daemon stop, or end `wfledger run`; then again"


def call(workspace: Workspace, name: str) -> str:
    """Call this machine *name*, or with "" as its host is called; returns its name now.

    Nothing is decided by it; other machines hear of it with its next heartbeat.
    Raises `UsageError` for what does not fit a line of a table.
    """
    if len(name) > beating.NAME_CHARS or not name.isprintable() or name != name.strip():
        raise UsageError(f"a name is one line of at most {beating.NAME_CHARS} characters")
    path, layout = workspace.ledger.layout.local / "machine.json", workspace.ledger.layout
    with workspace.ledger.transaction("person"):
        facts = json.loads(path.read_text("utf-8"))
        facts.pop("name", None)
        facts |= {"name": name} if name else {}
        atomic.replace(path, canonical_json(facts), tmp=layout.tmp, durable=True)
    return beating.own_name(workspace)


def rename(workspace: Workspace) -> str:
    """Give this machine a new id; returns what to tell people. Killed half-way it is done again.

    Raises `BusyError` while somebody here dispatches or syncs, `UsageError` without a remote.
    """
    if not workspace.is_shared:
        raise UsageError("the ledger has no remote", hint="wfledger remote set origin")
    if driven(workspace):
        raise BusyError("somebody works here under the old name", hint=_HINT)
    try:
        lock = LiveLock(poking.lock_path(workspace))
    except BusyError:
        raise BusyError("somebody syncs here under the old name", hint=_HINT) from None
    try:
        return _rename(workspace)
    finally:
        lock.release()


def hide_offers(workspace: Workspace, changes: Transaction, here: str) -> None:
    """Let nobody claim what is on offer to another machine than *here* (WFL-HUB-012)."""
    for task in workspace.ledger.tasks(Status.PENDING):
        if is_elsewhere(task, here):
            changes.restore(task, Status.IN_PROGRESS, source=Status.PENDING, why=None)


def _rename(workspace: Workspace) -> str:
    local, old = workspace.ledger.layout.local, workspace.machine.id
    new = workspace.clock.short_id(_ID_CHARS)
    with workspace.ledger.transaction("person") as changes:
        facts = json.loads((local / "machine.json").read_text("utf-8"))
        atomic.replace(
            local / "machine.json", canonical_json({**facts, "id": new}),
            tmp=workspace.ledger.layout.tmp, durable=True,
        )  # fmt: skip
        faults.point("renaming.named")
        beating.forget(workspace)
        faults.point("renaming.forgotten")
        hide_offers(workspace, changes, new)
        state = read_state(local)
        stopped, reason = (None, "") if state.stopped == TWIN else (state.stopped, state.reason)
        write_state(local, replace(state, stopped=stopped, reason=reason))
        distrust(local)  # what the directory shows of the other's grants is compared anew
    return f"this machine was {old} and is {new}; what {old} was granted is the other clone's"
