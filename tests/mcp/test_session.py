"""What a server keeps for its session, without the protocol around it."""


import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.driving import hold, submit_tasks
from tests.support.sharing import granting, share, synced
from tests.support.terminal import Terminal, open_terminal
from tests.support.waiting import until
from tests.support.workspaces import add_run, add_task
from wfledger.clock import Clock, SystemClock, iso
from wfledger.core.documents import ClaimNote
from wfledger.errors import BusyError, UsageError
from wfledger.mcp.session import Session, Start
from wfledger.mcp.tools import TOOLS, Call


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


def session(terminal: Terminal, clock: Clock, *, answer_s: float = 45.0) -> Session:
    state = terminal.root.parent / "state"
    start = Start(terminal.root, state, "w", {}, lambda _: None, answer_s)
    return Session(start, clock=clock)


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


@pytest.mark.requirement("WFL-MCP-015")
def test_connected_session_takes_back_what_one_that_is_gone_has_held(terminal: Terminal) -> None:
    run, clock = submit_tasks(terminal, {"id": "one", "command": "true"}), FakeClock()
    hold(terminal, f"{run}.one")
    mine = session(terminal, clock)
    workspace = mine.workspace()
    for _ in range(3):
        mine._look_after_others(workspace)
        assert terminal.status(f"{run}.one") == "in-progress"
        clock.wait(workspace.policy().lease_s / 2 - 1)
    mine._look_after_others(workspace)
    assert terminal.status(f"{run}.one") != "in-progress"


@pytest.mark.long
def test_one_call_at_a_time_works_on_a_task(terminal: Terminal) -> None:
    mine = session(terminal, FakeClock())
    with mine.alone("r1.one"), mine.alone("r1.two"), pytest.raises(BusyError):
        mine.alone("r1.one").__enter__()
    with mine.alone("r1.one"):
        pass


@pytest.mark.long
@pytest.mark.requirement("WFL-MCP-023")
def test_completion_that_takes_long_goes_on_and_the_next_call_joins_it(
    terminal: Terminal, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    begun = tmp_path / "begun"
    verify = f"touch {begun}; until [ -e {gate} ]; do sleep 0.02; done"
    run = submit_tasks(terminal, {"id": "one", "manual": True, "title": "x", "verify": verify})
    mine = session(terminal, SystemClock(), answer_s=0.2)
    claim = ask(mine, "wf_claim", worktree=False)
    for _ in range(2):
        said = ask(mine, "wf_complete", summary="it is so")
        assert (said["task"], said["checked"]) == (claim["task"], "running")
        until(begun.exists)
    assert "verify" in said["doing"]
    with pytest.raises(BusyError):
        ask(mine, "wf_fail", reason="impatient")
    gate.touch()
    until(lambda: terminal.status(f"{run}.one") == "done")
    while said.get("checked") == "running":
        said = ask(mine, "wf_complete")
    assert (said["landing"], said["claim"]) == ("done", "over")
    with pytest.raises(UsageError, match="You hold none"):
        ask(mine, "wf_complete")


@pytest.mark.long
@pytest.mark.requirement("WFL-MCP-013", "WFL-MCP-023")
def test_session_that_ends_stops_what_goes_on(terminal: Terminal) -> None:
    submit_tasks(terminal, {"id": "one", "manual": True, "title": "x", "verify": "sleep 600"})
    mine = session(terminal, SystemClock(), answer_s=0.2)
    mine.begin()
    claim = ask(mine, "wf_claim", worktree=False)
    assert ask(mine, "wf_complete")["checked"] == "running"
    mine.end()
    assert terminal.status(claim["task"]) == "in-progress"


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-145")
def test_answers_say_whether_the_remote_has_what_was_done(tmp_path: Path) -> None:
    (workspace,) = share(tmp_path, 1)
    add_run(workspace)
    add_task(workspace, "a")
    synced(workspace, proposers=[granting])
    start = Start(workspace.main, workspace.state.parent.parent, "w", {}, lambda _: None)
    mine = Session(start, clock=SystemClock())
    assert ask(mine, "wf_claim", worktree=False)["confirmed"] is False  # the next push brings it
    synced(workspace)
    ended = ask(mine, "wf_fail", reason="no")
    assert ended["confirmed"] is workspace.ledger.journal.is_empty()


def ask(mine: Session, name: str, **args: Any) -> dict[str, Any]:
    found = TOOLS[name].does(Call(mine, mine.workspace(), args, threading.Event()))
    assert isinstance(found, dict)
    return found
