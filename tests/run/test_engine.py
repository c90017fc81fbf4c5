"""The engine: what runs at once, in which order, how often, and when it is over."""

import json
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.cli import plan, wf_json
from tests.support.engines import (
    AT_ONCE,
    LIMITS,
    NOTHING_LEFT,
    Listener,
    attempts,
    drive,
    drive_there,
    leftovers,
    meet,
    note,
    noted,
    outcomes,
    statuses,
)
from tests.support.invariants import check_ledger
from tests.support.repos import files_at, git, make_repo
from tests.support.workspaces import BRANCH, RUN, add_task, make_workspace, open_workspace
from wfledger.core.documents import Retry
from wfledger.run.workspace import Workspace


def _phases(folder: Path, *phases: dict[str, object]) -> Path:
    path = folder / "plan.json"
    path.write_text(json.dumps({"goal": "a goal", "phases": list(phases)}))
    return path


def test_tasks_without_an_edge_run_at_the_same_time(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a", command=meet(tmp_path, "a", "b"), limits=LIMITS)
    add_task(workspace, "b", command=meet(tmp_path, "b", "a"), limits=LIMITS)
    assert drive(workspace, slots=2).verdict.state == "succeeded"
    assert leftovers(workspace) == NOTHING_LEFT
    check_ledger(workspace.ledger)


def test_one_slot_runs_one_task_at_a_time_by_priority_then_age(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    busy = tmp_path / "busy"
    alone = f"mkdir {busy} && {note(tmp_path)} && rmdir {busy}"
    add_task(workspace, "first", command=alone)
    add_task(workspace, "second", command=alone)
    add_task(workspace, "urgent", command=alone, priority=5)
    add_task(workspace, "least", command=alone, priority=-5)
    assert drive(workspace, slots=1).verdict.state == "succeeded"
    names = ["urgent", "first", "second", "least"]
    assert noted(tmp_path) == [f"{RUN}.{name}" for name in names]


def test_max_concurrent_of_a_run_holds_with_more_slots(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    with workspace.ledger.transaction("test") as changes:
        run = workspace.ledger.run(RUN)
        changes.put_run(run.but(seq=run.seq + 1, max_concurrent=1), why="test")
    busy = tmp_path / "busy"
    for name in ("a", "b", "c"):
        add_task(workspace, name, command=f"mkdir {busy} && {note(tmp_path)} && rmdir {busy}")
    assert drive(workspace, slots=3).verdict.state == "succeeded"
    assert len(noted(tmp_path)) == 3


@pytest.mark.long
@pytest.mark.requirement("WFL-CLI-006")
def test_phases_without_an_edge_meet_and_serial_tasks_keep_their_order(tmp_path: Path) -> None:
    root = make_repo(tmp_path / "repo", {"README.md": "x\n"})
    wf_json(root, "init")
    one, other = (
        {
            "name": name,
            "tasks": [
                {"id": f"{name}-meets", "command": meet(tmp_path, name, met), "mode": "read_only",
                 "timeout_secs": 40}
            ],
        }
        for name, met in (("one", "other"), ("other", "one"))
    )  # fmt: skip
    serial = {
        "name": "serial",
        "parallel": False,
        "depends_on": ["one"],
        "tasks": [
            {"id": name, "command": note(tmp_path), "mode": "read_only"} for name in ("z", "y", "x")
        ],
    }
    found = wf_json(root, "run", "--yes", _phases(tmp_path, one, other, serial), "--workers", "3")
    assert found["verdict"] == "succeeded"
    assert [line.partition(".")[2] for line in noted(tmp_path)] == ["z", "y", "x"]


@pytest.mark.requirement("WFL-RESULT-014")
def test_task_sees_what_its_dependencies_have_landed(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a", command="echo one > a", write=("a",))
    add_task(workspace, "b", command="cat a a > b", write=("b",), after=(f"{RUN}.a",))
    assert drive(workspace).verdict.state == "succeeded"
    assert files_at(workspace.main, BRANCH)["b"] == "one\none"
    assert git(workspace.main, "rev-list", "--count", f"main..{BRANCH}") == "2"


@pytest.mark.long
def test_engines_beside_each_other_never_double_an_attempt(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    for number in range(10):
        add_task(
            workspace, f"t{number}", command=f"{note(tmp_path)}; echo x > f{number}",
            write=(f"f{number}",),
        )  # fmt: skip
    orders = [(workspace.main, RUN, 2, f"engine-{number}") for number in range(2)]
    assert processes.race(drive_there, orders) == [0, 0]
    assert sorted(noted(tmp_path)) == sorted(f"{RUN}.t{number}" for number in range(10))
    assert len(files_at(workspace.main, BRANCH)) == 11
    assert leftovers(workspace) == NOTHING_LEFT
    check_ledger(workspace.ledger)


@pytest.mark.requirement("WFL-RESULT-020")
def test_passing_trouble_is_tried_again_and_a_failure_is_not(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    once = f"test -e {tmp_path}/tried || {{ touch {tmp_path}/tried; exit 75; }}"
    add_task(workspace, "busy", command=once, retry=AT_ONCE)
    add_task(workspace, "broken", command=f"{note(tmp_path)}; exit 3", retry=AT_ONCE)
    outcome = drive(workspace)
    assert outcome.verdict.state == "waits"
    assert outcomes(workspace, f"{RUN}.busy") == ["transport", "succeeded"]
    assert outcomes(workspace, f"{RUN}.broken") == ["task"]
    assert noted(tmp_path) == [f"{RUN}.broken"]
    assert [need.command for need in outcome.needs] == [f"wfledger retry {RUN}.broken"]


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-021")
def test_trouble_that_does_not_pass_uses_the_attempts_up(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a", command="exit 75", retry=AT_ONCE | {"max_attempts": 2})
    assert drive(workspace).verdict.exit_status == 10
    assert outcomes(workspace, f"{RUN}.a") == ["transport", "transport"]
    block = workspace.ledger.get(f"{RUN}.a").task.block
    assert block is not None
    assert block.code == "exhausted"


@pytest.mark.requirement("WFL-CLI-006")
@pytest.mark.requirement("WFL-CLI-007")
def test_run_whose_tasks_all_wait_for_people_returns_with_their_commands(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    ask = '{"status": "blocked", "open_questions": ["Which one?"]}'
    add_task(workspace, "asks", command=f"echo '{ask}' > $WFLEDGER_RESULT_FILE")
    add_task(workspace, "next", command="true", after=(f"{RUN}.asks",))
    outcome = drive(workspace)
    assert outcome.verdict.exit_status == 10
    assert [(n.task, n.code, n.reason, n.command) for n in outcome.needs] == [
        (f"{RUN}.asks", "question", "Which one?", f"wfledger answer {RUN}.asks 'YOUR ANSWER'")
    ]
    assert statuses(workspace)[f"{RUN}.next"] == "waiting"


@pytest.mark.requirement("WFL-SCOPE-032")
def test_need_that_nobody_meets_waits_with_the_reason(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, fleet='[defaults]\noffers = ["linux"]\n')
    add_task(workspace, "here", command="true", needs=("linux",))
    add_task(workspace, "gpu", command="true", needs=("linux", "gpu"))
    listener = Listener()
    outcome = drive(workspace, listener=listener)
    assert outcome.verdict.exit_status == 10
    assert statuses(workspace) == {f"{RUN}.here": "done", f"{RUN}.gpu": "waiting"}
    assert listener.waits[f"{RUN}.gpu"] == "no worker offers gpu"


ON_FAILURE = {"hold": (10, "waiting"), "skip_continue": (9, "done"), "abort": (1, "cancelled")}


@pytest.mark.sampled(3)
@pytest.mark.requirement("WFL-STATUS-028")
@pytest.mark.requirement("WFL-CLI-006")
@pytest.mark.parametrize("kind", ON_FAILURE)
def test_failure_leads_to_what_the_plan_says(tmp_path: Path, kind: str) -> None:
    workspace = make_workspace(tmp_path)
    add_task(
        workspace, "fails", command="exit 75", on_failure=kind, retry=AT_ONCE | {"max_attempts": 1}
    )
    inputs = {"after": (f"{RUN}.fails",), "inputs": (f"{RUN}.fails",)}
    add_task(workspace, "next", command=f"cp $WFLEDGER_INPUTS/missing.json {tmp_path}", **inputs)
    status, place = ON_FAILURE[kind]
    assert drive(workspace).verdict.exit_status == status
    assert statuses(workspace)[f"{RUN}.next"] == place
    if kind == "skip_continue":
        assert json.loads((tmp_path / "missing.json").read_bytes()) == [f"{RUN}.fails"]


@pytest.mark.requirement("WFL-STATUS-028")
def test_abort_stops_what_runs_and_keeps_its_work(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    never = tmp_path / "never.fifo"
    add_task(
        workspace, "works", write=("half",), limits=LIMITS,
        command=f"echo half > half; {meet(tmp_path, 'works', 'fails')}; exec cat {never}",
    )  # fmt: skip
    processes.run("mkfifo", never, cwd=tmp_path)
    add_task(
        workspace, "fails", command=f"{meet(tmp_path, 'fails', 'works')}; exit 75", limits=LIMITS,
        on_failure="abort", retry=AT_ONCE | {"max_attempts": 1},
    )  # fmt: skip
    assert drive(workspace).verdict.exit_status == 1
    assert statuses(workspace)[f"{RUN}.works"] == "cancelled"
    kept = files_at(workspace.main, f"refs/wfledger/keep/{RUN}.works/1")
    assert kept["half"] == "half"
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.long
def test_role_with_one_slot_runs_one_prompt_at_a_time(tmp_path: Path) -> None:
    script = f"mkdir {tmp_path}/busy && {note(tmp_path)} && rmdir {tmp_path}/busy"
    fleet = f'[role.shy]\nslots = 1\nargv = ["/bin/sh", "-c", "{script}", "{{prompt}}"]\n'
    workspace = make_workspace(tmp_path, fleet=fleet)
    for name in ("a", "b", "c"):
        add_task(workspace, name, command=None, prompt="Do it.", role="shy")
    add_task(workspace, "plain", command="true")
    assert drive(workspace, slots=4).verdict.state == "succeeded"
    assert sorted(noted(tmp_path)) == [f"{RUN}.{name}" for name in ("a", "b", "c")]


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-071")
def test_slots_are_shared_by_engines_of_one_machine(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    busy = tmp_path / "busy"
    for name in ("a", "b", "c", "d"):
        add_task(workspace, name, command=f"mkdir {busy} && {note(tmp_path)} && rmdir {busy}")
    orders = [(workspace.main, RUN, 1, f"engine-{number}") for number in range(2)]
    assert processes.race(drive_there, orders) == [0, 0]
    assert len(noted(tmp_path)) == 4


def test_nothing_of_another_run_is_put_on_offer(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    root = workspace.main
    add_task(workspace, "mine", command="true", write=())
    other = wf_json(root, "run", "--yes", plan(tmp_path, {"theirs": {"command": "true"}}), "--detach")
    assert drive(workspace).verdict.state == "succeeded"
    (theirs,) = other["tasks"]
    assert statuses(workspace)[theirs] == "waiting"


def test_run_that_is_over_is_over_again(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a", command=f"{note(tmp_path)}; echo x > a", write=("a",))
    assert drive(workspace).verdict.state == "succeeded"
    tip = git(workspace.main, "rev-parse", BRANCH, "wfledger")
    assert drive(open_workspace(workspace.main)).verdict.state == "succeeded"
    assert git(workspace.main, "rev-parse", BRANCH, "wfledger") == tip
    assert noted(tmp_path) == [f"{RUN}.a"]


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-022")
def test_backoff_is_waited_for(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    retry = {"backoff_s": 1.0, "backoff_max_s": 1.0, "max_attempts": 2}
    assert Retry(**retry).backoff_s == 1.0
    add_task(workspace, "a", command=f"{note(tmp_path, '$(date +%s%N)')}; exit 75", retry=retry)
    assert drive(workspace).verdict.exit_status == 10
    first, second = (int(line) for line in noted(tmp_path))
    assert second - first >= 0.99e9


def test_stopped_tasks_go_on_with_the_run(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    _stop_the_run(workspace)
    add_task(workspace, "a", command=note(tmp_path))
    assert drive(workspace).verdict.state == "succeeded"
    assert [attempt.outcome for attempt in attempts(workspace, f"{RUN}.a")] == ["succeeded"]


def _stop_the_run(workspace: Workspace) -> None:
    from wfledger.run.attempts.stopping import stop_run

    assert stop_run(workspace, RUN, reason="lunch") == []
    assert workspace.ledger.run(RUN).state == "paused"
