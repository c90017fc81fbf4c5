"""Which landing is tried next, and what waits for what."""

import threading
from pathlib import Path

import pytest

from tests.support.engines import LIMITS, meet, statuses
from tests.support.waiting import until
from tests.support.workspaces import (
    RUN,
    add_run,
    add_task,
    hand_in,
    make_workspace,
    put_merging,
    start,
)
from wfledger.core.documents import Check
from wfledger.core.statuses import Status
from wfledger.run.merger.landings import Landings
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

pytestmark = pytest.mark.long


def _landings(workspace: Workspace) -> tuple[Landings, threading.Event]:
    over = threading.Event()
    landings = Landings(workspace, owner="test", report=lambda *_: None, then=over.set)
    return landings, over


def _land_until(workspace: Workspace, task_id: str) -> None:
    landings, over = _landings(workspace)

    def is_done() -> bool:
        over.clear()
        assert landings.reap() == []
        landings.start(workspace.ledger.tasks(Status.MERGING))
        over.wait(1)
        return statuses(workspace)[task_id] == "done"

    until(is_done, within_s=20)
    landings.stop()
    landings.wait()


@pytest.mark.requirement("WFL-DAEMON-033")
def test_one_that_cannot_land_yet_keeps_no_other_from_its_branch(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    first = put_merging(workspace, "a", {"src/a": "a"})
    second = put_merging(workspace, "b", {"other/b": "b"}, write=("other",))
    held = LiveLock(workspace.ledger.layout.merge(first.id, first.attempt))
    _land_until(workspace, second.id)
    assert statuses(workspace)[first.id] == "merging"
    held.release()
    _land_until(workspace, first.id)


@pytest.mark.requirement("WFL-DAEMON-033")
def test_landings_on_two_branches_go_on_at_the_same_time(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    run = add_run(workspace, "r2")
    for name, run_id, other in (("a", RUN, "b"), ("b", "r2", "a")):
        check = Check(kind="command", command=meet(tmp_path, name, other), timeout_s=20)
        made = add_task(workspace, name, run_id=run_id, write=(name,), verify=(check,), limits=LIMITS)
        task = start(workspace, made.id)
        hand_in(workspace, task, {name: "x"}, base=run.base)
    _land_until(workspace, f"{RUN}.a")
    _land_until(workspace, "r2.b")
