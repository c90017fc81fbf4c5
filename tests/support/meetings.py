"""Ledgers with a remote that is not asked, and meetings that tests make up."""

import threading
from collections.abc import Callable
from pathlib import Path

from tests.support.workspaces import make_workspace
from wfledger.core.policy import Policy, RemotePolicy
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.state import Hub, write_hub
from wfledger.run.workspace import Workspace
from wfledger.store.journal import Segment


def make_shared(
    folder: Path, *, interval_s: float | None = None, url: str = "/nowhere/hub.git"
) -> Workspace:
    """Return a ledger of which this machine believes that it has the remote `origin`."""
    policy = Policy(remote=RemotePolicy(interval_s=interval_s))
    workspace = make_workspace(folder, policy=policy)
    write_hub(workspace.ledger.layout.local, Hub("origin", url, "hidden", atomic=True, root="0" * 40))
    return workspace


class Meetings:
    """Meetings as they are told to end; remembers when each began."""

    def __init__(self, workspace: Workspace, answer: Callable[[], Met]) -> None:
        self._workspace = workspace
        self._answer = answer
        self.began: list[float] = []
        self.threads: set[str] = set()

    def __call__(self, workspace: Workspace, within_s: float) -> Met:
        self.began.append(workspace.clock.elapsed())
        self.threads.add(threading.current_thread().name)
        met = self._answer()
        if met.is_well:
            drop_journal(workspace)
        return met


def drop_journal(workspace: Workspace) -> None:
    """Let everything that the journal holds be confirmed."""
    with workspace.ledger.transaction("test"):
        workspace.ledger.journal.rotate()
    segments: list[Segment] = workspace.ledger.journal.segments()
    for segment in segments:
        workspace.ledger.journal.drop(segment)
