"""What a step does besides attempts and landings, killed: the next one comes to the same end."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.byhand import claim_by_files, mv, offered, put_result, step, whole
from tests.support.engines import LIMITS, drive
from tests.support.faults import Pause, kill_at
from tests.support.landings import assert_landed_once, land, land_there
from tests.support.repos import git
from tests.support.workspaces import (
    RUN,
    add_task,
    make_workspace,
    open_workspace,
    put_merging,
)
from wfledger.core.policy import Policy
from wfledger.core.statuses import Status
from wfledger.run.attempts.keeping import kept_head
from wfledger.run.guard import fingerprints, trusting
from wfledger.run.merger.landing import Done
from wfledger.run.pausing import alarm_of
from wfledger.run.refnames import ARCHIVE
from wfledger.run.upkeep.archiving import archive_refs
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long

#: How long a lock may be waited for whose holder stands still.
WAIT_S = 20.0


def _killed(point: str, act: Callable[..., object], *args: object) -> None:
    """Call *act* in a process that dies at *point*."""
    child = processes.start(act, *args, env=kill_at(point))
    assert child.wait() == -signal.SIGKILL, child.output()
    child.close()


def step_there(root: Path) -> None:
    """Take one step."""
    step(open_workspace(root))


def look_there(root: Path) -> None:
    """Compare what git would run with what is known to be good."""
    fingerprints.check(open_workspace(root))


def restore_there(root: Path) -> None:
    """Put back what changed."""
    trusting.restore(open_workspace(root))


def archive_there(root: Path) -> None:
    """Fold the refs of all that is over."""
    archive_refs(open_workspace(root), older_s=-1.0)


@pytest.mark.parametrize("point", ["adopt.prepared", "adopt.judged"])
def test_hand_in_by_files_is_taken_in_once_wherever_the_step_dies(
    tmp_path: Path, point: str
) -> None:
    workspace = make_workspace(tmp_path)
    task_id = offered(workspace)
    put_result(workspace, task_id, claim_by_files(workspace, task_id), outputs={"n": 1})
    mv(workspace, task_id, Status.IN_PROGRESS, Status.MERGING)
    _killed(point, step_there, workspace.main)
    step(workspace)
    entry = workspace.ledger.get(task_id)
    assert entry.status is Status.MERGING
    assert [(one.outcome, one.worker) for one in entry.task.attempts] == [("succeeded", "ana")]
    assert whole(workspace)


def _planted(tmp_path: Path) -> Workspace:
    """What git runs has changed while an attempt ran, and nobody has looked yet."""
    workspace = make_workspace(tmp_path)
    fingerprints.check(workspace)
    fingerprints.begin(workspace, f"{RUN}.a.1")
    git(workspace.main, "config", "core.fsmonitor", "evil")
    return workspace


def test_alarm_that_was_raised_by_one_who_died_stands(tmp_path: Path) -> None:
    workspace = _planted(tmp_path)
    _killed("fingerprints.alarmed", look_there, workspace.main)
    alarm = fingerprints.check(workspace)
    assert alarm is not None
    assert "core.fsmonitor" in alarm.reason


def test_first_record_that_was_begun_and_not_made_alarms_nobody(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    _killed("atomic.replace.after-rename", look_there, workspace.main)
    index = workspace.ledger.layout.local / "index"
    assert list((index / "known").iterdir())
    assert not (index / "fingerprints.json").exists()
    assert fingerprints.check(workspace) is None


def test_what_changed_is_put_back_after_a_death_in_the_middle(tmp_path: Path) -> None:
    workspace = _planted(tmp_path)
    assert fingerprints.check(workspace) is not None
    _killed("trusting.restored", restore_there, workspace.main)
    assert trusting.restore(workspace) == ()
    assert alarm_of(workspace) is None
    assert "fsmonitor" not in git(workspace.main, "config", "--list", "--local")


def test_refs_are_there_or_in_the_archive_wherever_folding_dies(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, {"src/a.txt": "a\n"})
    add_task(workspace, "a", command="echo b > src/b.txt", write=("src",), limits=LIMITS)
    assert drive(workspace).verdict.state == "succeeded"
    kept = kept_head(workspace, f"{RUN}.a", 1)
    assert kept is not None
    _killed("archive.committed", archive_there, workspace.main)
    assert kept_head(workspace, f"{RUN}.a", 1) == kept
    assert git(workspace.main, "for-each-ref", ARCHIVE) == ""
    assert archive_refs(workspace, older_s=-1.0) >= 2
    assert kept_head(workspace, f"{RUN}.a", 1) == kept
    git(workspace.main, "merge-base", "--is-ancestor", kept, ARCHIVE)


def test_branch_is_taken_over_again_from_one_who_died_when_taking_it_over(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"}, policy=Policy(lease_s=0.6))
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    with Pause(tmp_path, "landing.intent-written") as pause:
        holder = processes.start(land_there, workspace.main, task.id, env=pause.env)
        pause.wait()
        os.kill(holder.pid, signal.SIGSTOP)
        _killed("target.taken-over", land_there, workspace.main, task.id, WAIT_S)
        assert isinstance(land(workspace, task, wait=WAIT_S), Done)
        assert_landed_once(workspace, task)
        holder.kill()
