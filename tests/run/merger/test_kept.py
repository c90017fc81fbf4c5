"""Candidates: checked as any result, then kept under their ref, and landed by nobody."""

from pathlib import Path

import pytest

from tests.support.checkups import codes
from tests.support.landings import land, landed_commits
from tests.support.repos import git
from tests.support.workspaces import BRANCH, RUN, add_task, make_workspace, put_merging
from wfledger.core.statuses import Actor, Status
from wfledger.run.looks.explain import explain
from wfledger.run.merger.landing import Blocked, Done
from wfledger.run.upkeep.archiving import archive_refs
from wfledger.run.workspace import Workspace

OF = f"{RUN}.choice"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = make_workspace(tmp_path, {"src/a.py": "A = 1\n"})
    control = {"kind": "teacher_review", "members": (f"{RUN}.one",)}
    add_task(made, "choice", command=None, control=control, after=(f"{RUN}.one",), write=("src",))
    return made


@pytest.mark.requirement("WFL-CTRL-066")
def test_candidate_is_kept_and_lands_nowhere(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"}, candidate_of=OF)
    tip = git(workspace.main, "rev-parse", BRANCH)
    ref = f"refs/wfledger/keep/{task.id}/1"
    head = git(workspace.main, "rev-parse", ref)
    assert land(workspace, task) == Done("kept", head)
    assert land(workspace, task) == Done("kept", head)
    entry = workspace.ledger.get(task.id)
    assert entry.status is Status.DONE
    assert entry.task.landed is not None
    assert (entry.task.landed.target, entry.task.landed.commit) == (ref, head)
    assert landed_commits(workspace.main, task.id) == []
    assert git(workspace.main, "rev-parse", BRANCH) == tip
    assert git(workspace.main, "for-each-ref", f"refs/wfledger/landed/{task.id}") == ""


@pytest.mark.requirement("WFL-CTRL-066")
def test_candidate_is_refused_for_what_any_result_is_refused_for(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"lib.py": "x\n"}, candidate_of=OF)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "out_of_scope"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-066")
def test_ref_of_a_candidate_stays_while_its_run_is_open(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"}, candidate_of=OF)
    land(workspace, task)
    assert archive_refs(workspace, older_s=-1.0) == 0
    run = workspace.ledger.run(RUN)
    with workspace.ledger.transaction("test") as changes:
        changes.put_run(run.but(seq=run.seq + 1, state="aborted"), why="test")
    assert archive_refs(workspace, older_s=-1.0) == 1


@pytest.mark.long
def test_doctor_and_why_know_what_is_kept(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"}, candidate_of=OF)
    land(workspace, task)
    assert [code for code in codes(workspace.main) if code.startswith("done-")] == []
    assert f"refs/wfledger/keep/{task.id}/1" in explain(workspace, task.id).reason
    git(workspace.main, "update-ref", "-d", f"refs/wfledger/keep/{task.id}/1")
    assert "missing-keep-ref" in codes(workspace.main)
    # What says that it is kept, and is no candidate, has lost its work.
    other = put_merging(workspace, "two", {"src/a.py": "A = 3\n"})
    done = workspace.ledger.get(task.id).task.landed
    with workspace.ledger.transaction("test") as changes:
        changes.move(other.id, Status.DONE, actor=Actor.MERGER, why="forged", landed=done)
    assert "done-unmerged" in codes(workspace.main)
