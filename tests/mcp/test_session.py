"""What a server keeps for its session, without the protocol around it."""


from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.driving import hold, submit_tasks
from tests.support.terminal import Terminal, open_terminal
from wfledger.clock import iso
from wfledger.core.documents import ClaimNote
from wfledger.errors import BusyError
from wfledger.mcp.session import Session, Start


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


def session(terminal: Terminal, clock: FakeClock, **environ: str) -> Session:
    state = terminal.root.parent / "state"
    return Session(Start(terminal.root, state, "w", environ, print), clock=clock)


@pytest.mark.long
@pytest.mark.requirement("WFL-MCP-012")
def test_claim_is_renewed_until_its_deadline_and_then_by_its_agent_alone(
    terminal: Terminal,
) -> None:
    run = submit_tasks(terminal, {"id": "one", "command": "true", "timeout": 60})
    name, clock = f"{run}.one", FakeClock()
    token = hold(terminal, name)
    workspace = terminal.workspace
    since = iso(clock.now())
    note = ClaimNote(attempt=1, worker="w", machine="m", token_sha256="0" * 64, since=since)
    with workspace.ledger.transaction("test") as changes:
        changes.update(name, why="folded", claim=note)
    mine = session(terminal, clock)
    kept = mine.held(workspace, "one", token)
    mine._renew_one(workspace, kept)
    clock.wait(59)
    mine._renew_one(workspace, kept)
    beat = workspace.ledger.layout.beat(name, 1)
    assert beat.read_text() == "2"
    clock.wait(2)
    mine._renew_one(workspace, kept)
    assert beat.read_text() == "2"
    terminal(f"wfledger heartbeat one --token {token}")
    assert beat.read_text() == "3"
    terminal(f"wfledger release one --token {token}")
    mine._renew_one(workspace, kept)  # over: the next call is told, nothing is raised here


@pytest.mark.long
def test_one_call_at_a_time_works_on_a_task(terminal: Terminal) -> None:
    mine = session(terminal, FakeClock())
    with mine.alone("r1.one"), mine.alone("r1.two"), pytest.raises(BusyError):
        mine.alone("r1.one").__enter__()
    with mine.alone("r1.one"):
        pass
