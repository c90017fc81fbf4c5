"""What became of pushes whose answer nobody has heard: the remote's history alone tells.

A push expected the tip that it was built on. While the remote is still there, it may yet come
through; once the remote has gone another way it never will.
"""

from dataclasses import dataclass, replace

from wfledger.run.hub import company
from wfledger.run.hub.history import NewCommits
from wfledger.run.hub.state import Inflight, State, read_state, write_state
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Settled:
    """What is known now."""

    #: Segments of the journal up to this number are on the remote.
    upto: int
    #: The pushes that came through.
    through: tuple[Inflight, ...]
    #: Those that may yet come through.
    open: tuple[Inflight, ...]

    def finish(self, workspace: Workspace) -> None:
        """Remember it, once the segments are gone; durable on return."""
        local = workspace.ledger.layout.local
        state = read_state(local)
        if state.inflight is not None or state.earlier != self.open:
            write_state(local, replace(state, inflight=None, earlier=self.open))
        for one in self.through:
            company.came_through(workspace, one)


def settle(workspace: Workspace, state: State, tip: str, news: NewCommits) -> Settled:
    """Look for the pushes of this machine in the history of *tip*."""
    tried = (*state.earlier, *((state.inflight,) if state.inflight is not None else ()))
    repo = workspace.repo
    through = tuple(
        one for one in tried if repo.has_commit(one.commit) and repo.is_ancestor(one.commit, tip)
    )
    # Where nothing is known any more, the commits themselves say what they have.
    upto = max((one.upto for one in through), default=0 if state.applied else news.upto)
    still = tuple(one for one in tried if one not in through and one.parent == tip)
    return Settled(upto, through, still)
