"""What a verb does when it has changed something: the change goes to the history, or the remote.

On a ledger of this machine alone that is a commit. Where others share it, whoever syncs is poked;
where nobody does, one meeting is had at once, for as long as somebody at a prompt will wait. Else
the change is in the journal, and goes with the next sync (WFL-HUB-145).
"""

from dataclasses import dataclass

from wfledger.run.commit import commit_journal
from wfledger.run.hub import diary, poking
from wfledger.run.hub.attending import meet_here
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.state import read_state
from wfledger.run.hub.telling import trouble_of
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Brought:
    """Where a change is now."""

    #: Whether the remote has it; None where there is no remote.
    is_confirmed: bool | None
    #: What people are told where it has not, and nobody will bring it by himself; "" else.
    said: str = ""

    def as_json(self) -> dict[str, bool]:
        """Return what answers of verbs and of the MCP server add to their object."""
        return {} if self.is_confirmed is None else {"confirmed": self.is_confirmed}


def bring_in(workspace: Workspace, *, waits: bool = True) -> Brought:
    """Bring what was done into the history; without *waits* no meeting is waited for.

    Raises what `commit_journal` raises; that the remote cannot be reached is no failure.
    """
    if not workspace.is_shared:
        commit_journal(workspace)
        return Brought(None)
    if workspace.ledger.journal.is_empty():
        return Brought(is_confirmed=True)
    if poking.is_synced_here(workspace):
        poking.poke(workspace)
        return Brought(is_confirmed=False, said=_trouble(workspace))
    met = meet_here(workspace, force=False) if waits else None
    return _brought(workspace, met)


def announce(workspace: Workspace) -> Brought:
    """Let the others hear of this machine, and it of them, when it has just begun to take part.

    One meeting even where nothing has changed and no push is due; who syncs here has his own.
    """
    if not workspace.is_shared or poking.is_synced_here(workspace):
        return bring_in(workspace)
    return _brought(workspace, meet_here(workspace, force=True))


def _brought(workspace: Workspace, met: Met | None) -> Brought:
    if workspace.ledger.journal.is_empty():
        return Brought(is_confirmed=True)
    said = "goes with the next sync" if met is None or met.is_well else trouble_of(met)
    return Brought(is_confirmed=False, said=f"not on {_name(workspace)} yet: {said}")


def _trouble(workspace: Workspace) -> str:
    """Return what keeps whoever syncs from bringing it, if he is in trouble."""
    record = diary.last(workspace)
    state = read_state(workspace.ledger.layout.local)
    if state.stopped is None and (record is None or record.outcome in {"quiet", "ok", "lost"}):
        return ""
    why = state.reason or (record.said if record is not None else "")
    return f"not on {_name(workspace)} yet: {why}"


def _name(workspace: Workspace) -> str:
    hub = workspace.hub
    return hub.name if hub is not None else "the remote"
