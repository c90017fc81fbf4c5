"""While what other machines did is being shown nothing is decided by what is not there yet."""

import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.faults import kill_at
from tests.support.sharing import share, statuses, synced
from tests.support.workspaces import add_run, add_task, open_workspace
from wfledger.run.hub.cycle import meet
from wfledger.run.scheduler import Scheduler


def _meet_there(root: Path) -> None:
    meet(open_workspace(root))


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-036")
def test_task_is_not_given_up_before_what_it_needs_has_been_shown(tmp_path: Path) -> None:
    home, other = share(tmp_path)
    add_run(home)
    with home.ledger.transaction("test") as changes:
        run = home.ledger.run("r1")
        changes.put_run(run.but(seq=run.seq + 1, home=home.machine.id), why="at home")
    synced(home, other)
    add_task(other, "a")
    add_task(other, "b", after=("r1.a",))
    synced(other)
    died = processes.start(_meet_there, home.main, env=kill_at("showing.task.done")).wait()
    assert died == -signal.SIGKILL
    assert statuses(home) == {"r1.b": "waiting"}, "what it needs comes after it"
    waits = Scheduler(home).step(slots=1).waits
    assert statuses(home) == {"r1.b": "waiting"}
    assert "taken in" in waits["r1.b"]
    synced(home)
    Scheduler(home).step(slots=1)
    assert statuses(home) == {"r1.a": "waiting", "r1.b": "waiting"}
