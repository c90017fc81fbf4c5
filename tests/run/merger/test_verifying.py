"""A task that judges another one's result: asked once, apart from the worker, and its word counts."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.cli import wf, wf_json
from tests.support.engines import (
    AT_ONCE,
    LIMITS,
    drive,
    drive_there,
    note,
    noted,
    outcomes,
    statuses,
)
from tests.support.faults import kill_at
from tests.support.landings import assert_landed_once, land, land_there
from tests.support.repos import git
from tests.support.waiting import until
from tests.support.workspaces import (
    BRANCH,
    RUN,
    add_task,
    make_workspace,
    move_branch,
    put_merging,
)
from wfledger.core.documents import Check, Retry, Task
from wfledger.core.states import State
from wfledger.core.statuses import Actor, Status
from wfledger.errors import NothingToClaimError, StaleError
from wfledger.run import people
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.claims import claim
from wfledger.run.attempts.mending import open_worktree
from wfledger.run.attempts.stopping import stop_run
from wfledger.run.looks.doing import Watcher
from wfledger.run.looks.explain import explain
from wfledger.run.looks.overview import overview
from wfledger.run.merger.landing import Blocked, Deferred, is_landable
from wfledger.run.workspace import Workspace

CHANGE = {"src/a.py": "A = 2\n"}


def say(verdict: str, summary: str = "because") -> str:
    """Return the shell line of a verifier that says *verdict*."""
    envelope = {"status": "succeeded", "summary": summary, "outputs": {"verdict": verdict}}
    return f"echo '{json.dumps(envelope)}' > $WFLEDGER_RESULT_FILE"


def judge(command: str, **fields: Any) -> Check:
    return Check(kind="task", command=command, **fields)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, {"src/a.py": "A = 1\n"})


def _submitted(workspace: Workspace, *checks: Check, **spec: Any) -> Task:
    spec = {"write": ("src",), "command": "echo A = 2 > src/a.py", "limits": LIMITS} | spec
    return add_task(workspace, "one", verify=checks, **spec)


@pytest.mark.requirement("WFL-RESULT-045")
@pytest.mark.requirement("WFL-RESULT-048")
@pytest.mark.long
def test_verifier_sees_just_the_result_and_lets_it_land(workspace: Workspace, tmp_path: Path) -> None:
    look = " && ".join([
        "grep -q 'A = 2' src/a.py", "test ! -e src/b.py",
        'grep -q "^+A = 2" $WFLEDGER_INPUTS/r1.one.diff',
        'grep -q \'"task": "r1.one"\' $WFLEDGER_INPUTS/r1.one.json', note(tmp_path), say("passed"),
    ])  # fmt: skip
    task = _submitted(workspace, Check(kind="command", command="true"), judge(look))
    add_task(workspace, "two", write=("src/b.py",), command="echo B > src/b.py", after=())
    outcome = drive(workspace)
    assert (outcome.verdict.state, outcome.verdict.done, outcome.verdict.total) == ("succeeded", 2, 2)
    assert noted(tmp_path) == ["r1.one-v1"]
    assert_landed_once(workspace, workspace.ledger.get(task.id).task)
    verifier = workspace.ledger.get("r1.one-v1")
    assert (verifier.status, verifier.task.spec.write) == (Status.DONE, ())
    assert verifier.task.spec.at == git(workspace.main, "rev-parse", "refs/wfledger/keep/r1.one/1")
    (line,) = overview(workspace).runs
    assert (line.counts["done"], line.total) == (2, 2)


@pytest.mark.requirement("WFL-RESULT-049")
@pytest.mark.long
def test_verdict_against_a_result_is_its_failure_and_told_to_the_next_attempt(
    workspace: Workspace,
) -> None:
    verdict = f"if grep -q 2 src/a.py; then {say('failed', 'two is odd')}; else {say('passed')}; fi"
    retry = Retry(on=("verification",), **AT_ONCE)
    task = _submitted(
        workspace, judge(verdict), retry=retry,
        command='echo "A = $((WFLEDGER_ATTEMPT + 1))" > src/a.py',
    )  # fmt: skip
    outcome = drive(workspace)
    assert outcome.verdict.state == "succeeded"
    assert outcomes(workspace, task.id) == ["verification", "succeeded"]
    assert workspace.ledger.get(task.id).task.answers == ("r1.one-v1: two is odd",)
    assert statuses(workspace) == {"r1.one": "done", "r1.one-v1": "done", "r1.one-v2": "done"}


@pytest.mark.requirement("WFL-RESULT-049")
@pytest.mark.long
def test_refusal_without_retries_waits_for_a_person_once(workspace: Workspace) -> None:
    task = _submitted(workspace, judge("echo no >&2; exit 1"))
    outcome = drive(workspace)
    (need,) = outcome.needs
    assert (need.task, need.code) == (task.id, "verification")
    assert "exit status 1" in need.reason
    assert (outcome.verdict.state, outcome.cancelled) == ("waits", ())
    assert workspace.ledger.get("r1.one-v1").status is Status.CANCELLED


@pytest.mark.requirement("WFL-RESULT-049")
@pytest.mark.long
def test_dead_verifier_abstains_and_another_is_asked_when_a_person_says_so(
    workspace: Workspace, tmp_path: Path
) -> None:
    flag = tmp_path / "up"
    command = f"test -e {flag} || exit 75; {say('passed')}"
    task = _submitted(workspace, judge(command), retry=Retry(**AT_ONCE))
    outcome = drive(workspace)
    entry = workspace.ledger.get(task.id)
    block = entry.task.block
    assert block is not None
    assert (block.code, block.command) == ("verification", f"wfledger accept {task.id}")
    assert block.reason.startswith("nobody could verify it: r1.one-v1: 3 attempts failed")
    assert outcomes(workspace, task.id) == ["succeeded"]  # nothing was said against it
    assert outcome.verdict.state == "waits"
    flag.touch()
    people.accept(workspace, task.id)
    assert drive(workspace).verdict.state == "succeeded"
    assert statuses(workspace) == {
        "r1.one": "done", "r1.one-v1": "cancelled", "r1.one-v1.2": "done",
    }  # fmt: skip


@pytest.mark.requirement("WFL-RESULT-045")
@pytest.mark.long
@pytest.mark.parametrize("point", ["landing.verifier-added", "landing.verifiers-asked"])
def test_merger_killed_at_asking_asks_the_same_verifier_again(
    workspace: Workspace, point: str
) -> None:
    task = put_merging(workspace, "one", CHANGE, verify=(judge("true"), judge("true")))
    child = processes.start(land_there, workspace.main, task.id, env=kill_at(point))
    assert child.wait() == -signal.SIGKILL
    child.close()
    landing = land(workspace, task)
    assert isinstance(landing, Deferred)
    assert landing.on == ("r1.one-v1", "r1.one-v1b")
    assert statuses(workspace) == {
        "r1.one": "merging", "r1.one-v1": "waiting", "r1.one-v1b": "waiting",
    }  # fmt: skip


@pytest.mark.requirement("WFL-RESULT-045")
def test_result_is_put_off_without_a_try_until_its_verifier_has_spoken(
    workspace: Workspace,
) -> None:
    task = put_merging(workspace, "one", CHANGE, verify=(judge("true"),))
    assert isinstance(land(workspace, task), Deferred)
    held = workspace.ledger.get(task.id).task
    now = workspace.clock.now()
    assert not is_landable(workspace, held, now=now)
    why = explain(workspace, task.id)
    assert (why.code, why.waits_for[0].task) == ("verifier", "r1.one-v1")
    assert "r1.one-v1" in why.reason
    assert Watcher(workspace).state(held, Status.MERGING) is State.VERIFYING
    people.cancel(workspace, "r1.one-v1")
    assert is_landable(workspace, held, now=now)
    landing = land(workspace, held)
    assert isinstance(landing, Blocked)
    assert landing.code == "verification"


@pytest.mark.requirement("WFL-RESULT-047")
@pytest.mark.long
def test_verifier_goes_with_the_result_that_it_judges(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", CHANGE, verify=(judge("true"),))
    land(workspace, task)
    people.cancel(workspace, task.id)
    assert drive(workspace).verdict.done == 0
    assert statuses(workspace) == {"r1.one": "cancelled", "r1.one-v1": "cancelled"}


@pytest.mark.requirement("WFL-RESULT-047")
@pytest.mark.long
def test_run_with_a_verifier_that_nobody_may_start_waits_instead_of_turning(
    workspace: Workspace,
) -> None:
    task = put_merging(workspace, "one", CHANGE, verify=(judge("true"),))
    add_task(workspace, "next", after=(task.id,))
    land(workspace, task)
    with workspace.ledger.transaction("test") as changes:
        run = workspace.ledger.run(RUN)
        changes.put_run(run.but(seq=run.seq + 1, state="paused"), why="stopped")
    (line,) = overview(workspace).runs
    assert line.verdict == "waits"


@pytest.mark.requirement("WFL-RESULT-046")
def test_worker_is_not_given_the_verifier_of_his_own_result(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", CHANGE, verify=(judge("true"),))
    land(workspace, task)
    with workspace.ledger.transaction("test") as changes:
        changes.move(
            "r1.one-v1", Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1
        )
    with pytest.raises(StaleError, match="does not judge it himself"):
        claim(workspace, worker="worker", task_id="r1.one-v1")
    with pytest.raises(NothingToClaimError):
        claim(workspace, worker="worker")
    assert claim(workspace, worker="other").task.id == "r1.one-v1"


@pytest.mark.requirement("WFL-RESULT-045")
@pytest.mark.long
def test_prompt_of_a_verifier_has_the_result_and_says_how_to_answer(tmp_path: Path) -> None:
    fleet = (
        '[role.critic]\nargv = ["sh", "-c", "printf %s \\"$1\\" > \\"$2\\"; '
        'cp $2 /dev/null", "sh", "{prompt}", "' + str(tmp_path / "prompt") + '"]\n'
    )
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"}, fleet=fleet)
    check = Check(kind="task", prompt="Is it sound?", role="critic")
    _submitted(workspace, check)
    assert drive(workspace).verdict.state == "succeeded"
    prompt = (tmp_path / "prompt").read_text()
    assert prompt.startswith("Is it sound?")
    for part in ("Result to verify: attempt 1 of r1.one", "+A = 2", '"verdict": "passed"'):
        assert part in prompt


@pytest.mark.requirement("WFL-RESULT-049")
@pytest.mark.long
def test_verifier_that_a_person_stopped_goes_on_with_its_run(
    workspace: Workspace, tmp_path: Path
) -> None:
    flag = tmp_path / "up"
    task = _submitted(workspace, judge(f"test -e {flag} || sleep 60; {say('passed')}"))
    one = processes.start(drive_there, workspace.main)
    until(lambda: "r1.one-v1" in workspace.ledger.names(Status.IN_PROGRESS))
    stop_run(workspace, RUN)
    one.result()
    held = workspace.ledger.get(task.id)
    assert (held.status, is_landable(workspace, held.task, now=workspace.clock.now())) == (
        Status.MERGING, False,
    )  # fmt: skip
    flag.touch()
    assert drive(workspace).verdict.state == "succeeded"
    assert statuses(workspace) == {"r1.one": "done", "r1.one-v1": "done"}


@pytest.mark.long
def test_mended_result_is_verified_anew(workspace: Workspace) -> None:
    task = _submitted(workspace, judge("grep -q 3 src/a.py"))
    drive(workspace)
    assert workspace.ledger.get(task.id).status is Status.BLOCKED
    place = open_worktree(workspace, task.id).place
    (place.folder / "src/a.py").write_text("A = 3\n")
    people.accept(workspace, task.id)
    assert drive(workspace).verdict.state == "succeeded"
    assert statuses(workspace)["r1.one-v1.2"] == "done"
    assert git(workspace.main, "show", f"{BRANCH}:src/a.py") == "A = 3"


def test_verifier_starts_where_its_subject_ended_though_the_run_went_on(
    workspace: Workspace,
) -> None:
    task = put_merging(workspace, "one", CHANGE, verify=(judge("true"),))
    land(workspace, task)
    spec = workspace.ledger.get("r1.one-v1").task.spec
    head = git(workspace.main, "rev-parse", "refs/wfledger/keep/r1.one/1")
    assert (spec.at, spec.verifies.head if spec.verifies else None) == (head, head)
    move_branch(workspace.main, {"src/b.py": "B = 1\n"})
    verifier = workspace.ledger.get("r1.one-v1").task
    place = worktrees.make_for(workspace, verifier, 1)
    assert not (place.folder / "src/b.py").exists()
    assert (place.folder / "src/a.py").read_text() == "A = 2\n"
    assert place.branch is None


@pytest.mark.long
def test_complete_hands_in_and_names_the_verifier_that_is_waited_for(workspace: Workspace) -> None:
    root = workspace.main
    add_task(
        workspace, "one", write=("src",), command=None, manual=True, verify=(judge("true"),)
    )
    wf(root, "tick")
    claimed = wf_json(root, "claim", "r1.one", "--worker", "ada", "--worktree")
    Path(claimed["worktree"], "src/a.py").write_text("A = 2\n")
    done = wf_json(root, "complete", "r1.one", "--token", claimed["token"], status=0)
    assert (done["status"], done["landing"], done["on"]) == ("merging", "deferred", ["r1.one-v1"])
    wf(root, "tick")
    assert wf(root, "claim", "r1.one-v1", "--worker", "ada").status == 4
    assert drive(workspace).verdict.state == "succeeded"
