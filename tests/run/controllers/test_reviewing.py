"""Choice: candidates are kept, judges asked, one lands, and the others stay as refs."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.engines import drive, drive_there, outcomes, statuses
from tests.support.faults import kill_at
from tests.support.invariants import check_ledger
from tests.support.landings import land
from tests.support.repos import files_at, git
from tests.support.workspaces import (
    BRANCH,
    RUN,
    add_task,
    hand_in,
    make_workspace,
    move_branch,
    start,
)
from wfledger.core.choice import best_of
from wfledger.core.control import Condition, Promotion
from wfledger.core.documents import Task, TaskSpec
from wfledger.core.policy import GatePolicy, Policy
from wfledger.core.statuses import Status
from wfledger.run import people
from wfledger.run.attempts import mending
from wfledger.run.replay.replaying import replay
from wfledger.run.submit import as_submitted
from wfledger.run.workspace import Workspace

FILES = {"src/a.py": "old\n", "src/b.py": "b\n"}
REVIEW = f"{RUN}.x"
BEST = Promotion(strategy="best_score")
PICKED = Promotion(strategy="teacher_selected")
LINE = "echo $WFLEDGER_TASK > src/a.py"


def says(outputs: str) -> str:
    """Return a shell line that hands in *outputs*."""
    return f"""printf '{{"outputs": {outputs}}}' > $WFLEDGER_RESULT_FILE"""


def judge(outputs: str) -> Condition:
    return Condition(command=says(outputs))


DEAD = Condition(command="exit 3")
SECOND = judge('{"selected": "try2"}')


def plan(
    workspace: Workspace, *judges: Condition, policy: Promotion | None = None, count: int = 2,
    inputs: tuple[str, ...] = (), **spec: Any,
) -> None:  # fmt: skip
    """Add the work `x`, to be done *count* times over the same path, and the choice among them."""
    one = TaskSpec(**({"command": LINE, "write": ("src/a.py",)} | spec))
    made = best_of("x", one, count, policy=policy, judges=judges)
    review = made.review.but(after=(*made.review.after, *inputs), inputs=(*made.tries, *inputs))
    names = {name: f"{RUN}.{name}" for name in (*made.tries, "x", *inputs)}
    for name, each in {**made.tries, "x": review}.items():
        full = as_submitted(each, names, None, workspace.fleet())
        fields = {key: getattr(full, key) for key in full.model_fields_set}
        add_task(workspace, name, **({"command": None} | fields))


def tried(workspace: Workspace, number: int, **result: Any) -> Task:
    """End try *number*: it has changed the file, and is kept or refused."""
    task = start(workspace, f"{RUN}.x.try{number}")
    base = git(workspace.main, "rev-parse", BRANCH)
    hand_in(workspace, task, {"src/a.py": f"{number}\n"}, base=base, **result)
    if workspace.ledger.get(task.id).status is Status.MERGING:
        land(workspace, workspace.ledger.get(task.id).task)
    return workspace.ledger.get(task.id).task


def chosen(workspace: Workspace) -> dict[str, Any]:
    """Return what the result of the choice says of it."""
    result = workspace.ledger.result(REVIEW, workspace.ledger.get(REVIEW).task.attempt)
    assert result is not None
    choice: dict[str, Any] = result.outputs["choice"]
    return choice


def landed(workspace: Workspace) -> str:
    return files_at(workspace.main, f"wf/{RUN}")["src/a.py"].strip()


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-065")
@pytest.mark.requirement("WFL-CTRL-066")
@pytest.mark.requirement("WFL-CTRL-067")
def test_one_of_three_lands_and_the_others_stay_as_refs(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    plan(workspace, SECOND, count=3)
    assert drive(workspace, slots=3).verdict.state == "succeeded"
    assert landed(workspace) == f"{RUN}.x.try2"
    review = workspace.ledger.get(REVIEW).task
    assert review.landed is not None
    assert review.landed.how == "merged"
    made = chosen(workspace)
    assert made["winner"] == f"{RUN}.x.try2"
    assert [entry["task"] for entry in made["candidates"]] == [
        f"{RUN}.x.try{number}" for number in (1, 2, 3)
    ]
    for entry in made["candidates"]:
        task = workspace.ledger.get(entry["task"]).task
        assert task.landed is not None
        ref = f"refs/wfledger/keep/{task.id}/1"
        assert (task.landed.how, task.landed.target, entry["ref"]) == ("kept", ref, ref)
        assert git(workspace.main, "rev-parse", ref) == entry["commit"] == task.landed.commit
        assert entry["command"] == f"wfledger diff {task.id}"
    check_ledger(workspace.ledger)


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-068")
def test_dead_judge_abstains_and_the_others_decide(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    plan(workspace, DEAD, judge('{"scores": {"try1": 5, "try2": 9}}'), judge('{"selected": "z"}'))
    tried(workspace, 1)
    tried(workspace, 2)
    done = drive(workspace, slots=3)
    assert (done.verdict.state, done.cancelled, done.needs) == ("succeeded", (), ())
    assert landed(workspace) == "2"
    said = chosen(workspace)["judges"]
    assert (said["spoke"], said["votes"]) == (1, {f"{RUN}.x.try2": 1})
    assert set(said["abstained"]) == {f"{REVIEW}.1.judge-1", f"{REVIEW}.1.judge-3"}


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-070")
def test_person_chooses_where_every_judge_is_dead(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    plan(workspace, DEAD, DEAD, policy=BEST)
    tried(workspace, 1)
    tried(workspace, 2)
    assert drive(workspace).verdict.state == "waits"
    block = workspace.ledger.get(REVIEW).task.block
    assert block is not None
    assert (block.code, block.command) == ("question", f"wfledger answer {REVIEW} {RUN}.x.try1")
    people.answer(workspace, REVIEW, "try7")
    drive(workspace)
    assert "try7" in (workspace.ledger.get(REVIEW).task.block or block).reason
    people.answer(workspace, REVIEW, "try2")
    assert drive(workspace).verdict.state == "succeeded"
    assert landed(workspace) == "2"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-066")
def test_candidates_are_checked_as_any_result_is(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    plan(workspace, policy=Promotion(strategy="first_success"), count=3)
    task = start(workspace, f"{RUN}.x.try1")
    base = git(workspace.main, "rev-parse", BRANCH)
    hand_in(workspace, task, {"src/b.py": "stray\n"}, base=base)
    land(workspace, workspace.ledger.get(task.id).task)
    assert statuses(workspace)[task.id] == "blocked"
    tried(workspace, 2, status="failed", exit_status=1)
    tried(workspace, 3)
    assert drive(workspace).verdict.state == "succeeded"
    assert landed(workspace) == "3"
    kinds = [one["kind"] for one in chosen(workspace)["proposals"]]
    assert kinds == ["regression_test", "regression_test", "note"]


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-069")
def test_without_a_winner_consumers_go_on_without_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    refusing = judge('{"verdict": "failed"}')
    plan(workspace, refusing, on_failure="skip_continue")
    tried(workspace, 1)
    tried(workspace, 2)
    after = add_task(workspace, "after", after=(REVIEW,), inputs=(REVIEW,)).id
    assert drive(workspace).verdict.state == "degraded"
    task = workspace.ledger.get(REVIEW).task
    assert task.block is not None
    assert task.block.code == "no_winner"
    assert workspace.ledger.get(after).task.missing == (REVIEW,)
    people.answer(workspace, REVIEW, "try1")
    drive(workspace)
    assert landed(workspace) == "1"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-067")
def test_winner_passes_the_gate_again_and_merges_with_what_landed_since(tmp_path: Path) -> None:
    gate = "grep -q new src/b.py"
    workspace = make_workspace(tmp_path, FILES, policy=Policy(gate=GatePolicy(command=gate)))
    plan(workspace, SECOND)
    tried(workspace, 1)
    tried(workspace, 2)
    drive(workspace)
    block = workspace.ledger.get(REVIEW).task.block
    assert block is not None
    assert (block.code, outcomes(workspace, REVIEW)) == ("gate", ["gate"])
    move_branch(workspace.main, {"src/b.py": "new\n"})
    people.retry(workspace, REVIEW)
    assert drive(workspace).verdict.state == "succeeded"
    assert files_at(workspace.main, f"wf/{RUN}") == {"src/a.py": "2", "src/b.py": "new"}


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-067")
def test_winner_that_conflicts_is_mended_as_any_result_is(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    plan(workspace, SECOND)
    tried(workspace, 1)
    tried(workspace, 2)
    move_branch(workspace.main, {"src/a.py": "other\n"})
    drive(workspace)
    block = workspace.ledger.get(REVIEW).task.block
    assert block is not None
    assert (block.code, block.command) == ("conflict", f"wfledger open {REVIEW}")
    place = mending.open_worktree(workspace, REVIEW).place
    (place.folder / "src/a.py").write_text("both\n")
    people.accept(workspace, REVIEW)
    assert drive(workspace).verdict.state == "succeeded"
    assert landed(workspace) == "both"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-070")
def test_person_who_refuses_the_winner_is_asked_for_another(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    plan(workspace, SECOND, verify=({"kind": "manual", "prompt": "look"},))
    tried(workspace, 1)
    tried(workspace, 2)
    drive(workspace)
    people.answer(workspace, REVIEW, "no", who="eve", reason="ugly")
    people.retry(workspace, REVIEW)
    drive(workspace)
    block = workspace.ledger.get(REVIEW).task.block
    assert block is not None
    assert (block.code, "ugly" in block.reason) == ("question", True)
    people.answer(workspace, REVIEW, "try1")
    drive(workspace)
    people.answer(workspace, REVIEW, "yes", who="eve")
    assert drive(workspace).verdict.state == "succeeded"
    assert landed(workspace) == "1"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-066")
def test_judge_is_shown_what_each_candidate_changed(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    line = (
        'cd "$WFLEDGER_INPUTS"; name=$(basename $(grep -l "^+2" *.diff) .diff); '
        + says('{"selected": "%s"}').replace("}}' >", "}}' $name >")
    )
    plan(workspace, Condition(command=line))
    tried(workspace, 1)
    tried(workspace, 2)
    drive(workspace)
    assert landed(workspace) == "2"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-072")
def test_who_fails_his_replay_is_not_chosen(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    replays = ", ".join(
        f'{{"candidate_id": "try{number}", "baseline": {{"score": 5}}, '
        f'"candidate": {{"score": {score}}}}}'
        for number, score in ((1, 5), (2, 6), (9, 9))
    )
    add_task(workspace, "replay", command=says(f'{{"replays": [{replays}]}}'))
    plan(workspace, policy=BEST, inputs=("replay",))
    tried(workspace, 1, outputs={"score": 99})
    tried(workspace, 2)
    assert drive(workspace).verdict.state == "succeeded"
    assert landed(workspace) == "2"
    made = chosen(workspace)
    assert [one["status"] for one in made["proposals"]] == ["rejected", "promoted"]
    assert made["proposals"][0]["gate"]["reasons"] == ["score delta 0 is below 1"]
    assert made["troubles"] == [f"{RUN}.replay: try9 is no candidate"]


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-072")
def test_judge_that_replays_has_scored_by_that(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    replays = ", ".join(
        f'{{"candidate_id": "try{number}", "baseline": {{"score": 5}}, '
        f'"candidate": {{"score": {score}}}}}'
        for number, score in ((1, 7), (2, 9))
    )
    plan(workspace, judge(f'{{"replays": [{replays}]}}'), policy=BEST)
    tried(workspace, 1)
    tried(workspace, 2)
    assert drive(workspace).verdict.state == "succeeded"
    assert landed(workspace) == "2"
    assert [one["score"] for one in chosen(workspace)["candidates"]] == [7, 9]


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-017")
def test_candidates_that_nobody_chooses_from_any_more_are_given_up(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    plan(workspace, SECOND)
    tried(workspace, 1)
    people.cancel(workspace, REVIEW)
    drive(workspace)
    assert statuses(workspace) == {
        f"{RUN}.x.try1": "done", f"{RUN}.x.try2": "cancelled", REVIEW: "cancelled",
    }  # fmt: skip


@pytest.mark.long
def test_all_holds_nothing_back(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    good = add_task(workspace, "good", command="true", on_failure="skip_continue").id
    bad = add_task(workspace, "bad", command="false", on_failure="skip_continue").id
    control = {"kind": "teacher_review", "members": (good, bad)}
    add_task(workspace, "x", command=None, control=control, after=(good, bad))
    assert drive(workspace).verdict.state == "degraded"
    assert workspace.ledger.get(REVIEW).task.missing == (bad,)
    assert [one["kind"] for one in chosen(workspace)["proposals"]] == ["note", "regression_test"]


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-002")
@pytest.mark.parametrize(
    ("point", "hit"),
    [("control.noted", 2), ("control.kept", 1), ("landing.ref-moved", 1)],
)
def test_choice_killed_at_a_point_goes_on_as_it_was_made(
    tmp_path: Path, point: str, hit: int
) -> None:
    workspace = make_workspace(tmp_path, FILES)
    plan(workspace, SECOND)
    tried(workspace, 1)
    tried(workspace, 2)
    dead = processes.start(drive_there, workspace.main, env=kill_at(point, hit))
    assert dead.wait() == -signal.SIGKILL
    assert drive(workspace).verdict.state == "succeeded"
    assert landed(workspace) == "2"
    subjects = git(workspace.main, "log", "--format=%(trailers:key=Wfledger-Task,valueonly)", BRANCH)
    assert subjects.split() == [REVIEW]
    check_ledger(workspace.ledger)


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-030")
def test_replay_finds_the_same_though_the_dead_were_given_up(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    failing = "test ${WFLEDGER_TASK##*.} = try2 && " + LINE
    plan(workspace, DEAD, SECOND, policy=PICKED, command=failing)
    drive(workspace)
    assert statuses(workspace)[REVIEW] == "done"
    assert replay(workspace, workspace.ledger.run(RUN)).divergences == ()
