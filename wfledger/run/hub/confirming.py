"""What a verb does when it has changed something: the change goes to the history, or the remote.

On a ledger of this machine alone that is a commit. Where others share it, whoever syncs is poked;
where nobody does, one meeting is had at once, for as long as somebody at a prompt will wait. Else
the change is in the journal, and goes with the next sync (WFL-HUB-145).
"""

from dataclasses import dataclass

from wfledger.errors import StaleError
from wfledger.run.commit import commit_journal
from wfledger.run.hub import diary, poking
from wfledger.run.hub.attending import meet_here
from wfledger.run.hub.losses import foremost, work_of
from wfledger.run.hub.meeting import Lost, Met
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
    #: What was done here and came too late, in the meeting that this took.
    lost: tuple[Lost, ...] = ()

    def as_json(self) -> dict[str, bool]:
        """Return what answers of verbs and of the MCP server add to their object."""
        return {} if self.is_confirmed is None else {"confirmed": self.is_confirmed}

    def refuse_lost(self, workspace: Workspace, task_id: str) -> None:
        """Raise `StaleError` where what was done for a task came too late: others have it."""
        found = next((one for one in self.lost if one.task == task_id), None)
        if found is None:
            return
        kept = work_of(workspace, task_id, found.attempt)
        said = f"attempt {found.attempt} of {task_id} came too late: {found.because}"
        raise StaleError(
            said + (f"; its work is kept: {kept}" if kept else ""), hint=f"wfledger why {task_id}",
            task=task_id, yours=found.attempt, kept=kept,
        )


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
    if met is not None and met.lost:
        count = len(foremost(met.lost))
        said = f"{count} {'change' if count == 1 else 'changes'} made here came too late"
        return Brought(is_confirmed=False, said=f"{said}: wfledger sync", lost=met.lost)
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
