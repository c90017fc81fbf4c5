"""A remote that has lost what it had confirmed, or has another ledger: seen, and put right.

Nothing goes on by itself then: to push would overwrite what others see, and to follow would forget
what was acknowledged (WFL-HUB-030). A person decides: `restore` gives the remote back what this
machine knows, `accept` takes the remote's history for the truth.
"""

from dataclasses import dataclass, replace
from typing import Final

from wfledger import faults
from wfledger.run.hub.state import Hub, State, read_state, write_state
from wfledger.run.workspace import Workspace

faults.register("rewind.stopped")

REWOUND: Final = "rewound"
FOREIGN: Final = "foreign"
HINT: Final = "wfledger remote restore"
TWIN: Final = "twin"
#: What puts right that another clone goes by the name of this machine.
_RENAME: Final = "wfledger remote rename-machine"


def hint(code: str) -> str:
    """Return the command that helps where nothing goes on for the reason *code*."""
    return _RENAME if code == TWIN else HINT


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
