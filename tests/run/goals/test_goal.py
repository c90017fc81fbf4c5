"""`goal`: rounds of plan, run and judgement, with a scripted model and real workers."""

from pathlib import Path
from typing import Any

import pytest

from tests.run.goals.scripted import KEY, open_scripted, plan, said, task, verdict
from tests.support.faults import kill_at
from tests.support.processes import run_cli
from tests.support.rehearsals import Rehearse, rehearse
from tests.support.repos import files_at, git
from tests.support.terminal import Terminal
from wfledger.run.goals.state import Place
from wfledger.run.rehearsal.script import FAILURES

__all__ = ["rehearse"]

ENV = {"HERE_KEY": KEY}
GOAL = "wfledger goal 'Write a and b' --model here/m1 --yes"
WRITE_A = task("a", "echo one > a", "a")
WRITE_B = task("b", "echo two > b", "b")


def pursue(terminal: Terminal, line: str = GOAL, status: int = 0) -> dict[str, Any]:
    return terminal.json(line, env=ENV, status=status)


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-012")
@pytest.mark.requirement("WFL-GOAL-013")
def test_goal_is_reached_in_rounds_that_build_on_each_other(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(plan(WRITE_A), verdict("b is not there"), plan(WRITE_B), verdict())
    terminal = open_scripted(tmp_path, server)
    found = pursue(terminal, f"{GOAL} --max-usd 5")
    assert (found["stop"], found["missing"]) == ("reached", [])
    assert [one["missing"] for one in found["rounds"]] == [["b is not there"], []]
    # Of the programs that did the tasks nobody knows the cost: unknown, and never nothing.
    assert (found["usd"], found["known_usd"]) == (None, pytest.approx(0.48))
    last = found["rounds"][-1]["run"]
    assert found["next"] == [f"wfledger land {last}"]
    assert "b is not there" in said(server)[2]
    assert "+one" in said(server)[3]
    files = files_at(terminal.root, f"wf/{last}")
    assert (files["a"], files["b"]) == ("one", "two")
    assert "a" not in files_at(terminal.root, "main")
    terminal(f"wfledger land {last} --yes")
    assert files_at(terminal.root, "main")["b"] == "two"


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-012")
def test_verdict_does_not_count_while_a_task_is_not_done(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    failing = task("a", "echo one > a; exit 1", "a")
    server = rehearse(plan(failing), verdict(reached=True), plan(WRITE_A), verdict())
    terminal = open_scripted(tmp_path, server)
    found = pursue(terminal)
    assert found["stop"] == "reached"
    first, second = found["rounds"]
    assert (first["done"], first["reached"], second["done"]) == (False, True, True)
    assert "was not done" in first["missing"][0]
    # What the first round left undone is given up: the second was planned in its place.
    assert terminal.status(f"{first['run']}.a") == "cancelled"


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-012")
def test_dead_judge_abstains_and_a_person_is_wanted(tmp_path: Path, rehearse: Rehearse) -> None:
    server = rehearse(plan(WRITE_A), FAILURES["400"], verdict())
    terminal = open_scripted(tmp_path, server)
    found = pursue(terminal, status=10)
    assert (found["stop"], found["rounds"][0]["reached"]) == ("blocked", None)
    assert f"wfledger goal --continue {found['goal']}" in found["next"]
    again = pursue(terminal, f"wfledger goal --continue {found['goal']} --yes")
    assert (again["stop"], len(again["rounds"])) == ("reached", 1)


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-010")
@pytest.mark.parametrize(
    ("options", "stop", "status", "rounds"),
    [("--max-rounds 1", "rounds", 6, 1), ("", "no_progress", 1, 2)],
)
def test_goal_stops_for_one_of_the_closed_reasons(
    tmp_path: Path, rehearse: Rehearse, options: str, stop: str, status: int, rounds: int
) -> None:
    other = task("c", "echo three > c", "c")
    server = rehearse(plan(WRITE_A), verdict("b"), plan(other), verdict("B "), plan(WRITE_B))
    found = pursue(open_scripted(tmp_path, server), f"{GOAL} {options}", status=status)
    assert (found["stop"], len(found["rounds"])) == (stop, rounds)
    assert found["next"]


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-014")
def test_time_stops_what_runs_and_more_time_goes_on_with_it(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    gate = tmp_path / "gate"
    slow = task("a", f"while ! test -e {gate}; do sleep 0.05; done; echo one > a", "a")
    server = rehearse(plan(slow, WRITE_B), verdict())
    terminal = open_scripted(tmp_path, server)
    found = pursue(terminal, f"{GOAL} --max-time 2s --workers 2", status=6)
    (one,) = found["rounds"]
    assert (found["stop"], one["reached"]) == ("time", None)
    assert terminal.status(f"{one['run']}.b") == "done"
    gate.touch()
    line = f"wfledger goal --continue {found['goal']} --max-time 1h --yes"
    again = pursue(terminal, line)
    assert (again["stop"], len(again["rounds"])) == ("reached", 1)
    assert terminal.task(f"{one['run']}.b").attempt == 1
    assert len(server.requests) == 2


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-013")
@pytest.mark.requirement("WFL-GOAL-015")
def test_goal_that_is_killed_goes_on_and_nothing_is_done_twice(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(plan(WRITE_A, WRITE_B), verdict())
    terminal = open_scripted(tmp_path, server)
    args = ("goal", "Write a and b", "--model", "here/m1", "--yes")
    died = run_cli(*args, cwd=terminal.root, env=ENV | kill_at("landing.candidate"))
    assert died.status == -9
    assert "round-1.yaml" in died.err
    assert "may write" in died.err
    (goal,) = (terminal.root / ".git/wfledger/goals").iterdir()
    found = pursue(terminal, f"wfledger goal --continue {goal.name} --yes")
    assert (found["stop"], len(server.requests)) == ("reached", 2)
    runs = [run for run in terminal.json("wfledger status")["runs"] if run["total"]]
    assert len(runs) == 1
    subjects = git(terminal.root, "log", "--format=%s", f"wf/{found['rounds'][0]['run']}")
    assert len(subjects.splitlines()) == 3


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-015")
def test_nothing_starts_unread(tmp_path: Path, rehearse: Rehearse) -> None:
    server = rehearse(plan(WRITE_A), verdict())
    terminal = open_scripted(tmp_path, server)
    pursue(terminal, GOAL.removesuffix(" --yes"), status=2)
    assert server.requests == []


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-013")
def test_one_process_at_a_time_works_on_a_goal(tmp_path: Path, rehearse: Rehearse) -> None:
    terminal = open_scripted(tmp_path, rehearse(plan(WRITE_A), FAILURES["400"]))
    found = pursue(terminal, status=10)
    line = f"wfledger goal --continue {found['goal']} --yes"
    with Place(terminal.workspace, found["goal"]).alone():
        pursue(terminal, line, status=75)
    for name in ("../goals", "nosuch"):
        pursue(terminal, f"wfledger goal --continue {name} --yes", status=2)
    assert len(list((terminal.root / ".git/wfledger/goals").iterdir())) == 1


@pytest.mark.long
def test_question_of_a_worker_waits_for_its_answer_and_the_round_goes_on(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    ask = '{"status": "blocked", "open_questions": ["which?"]}'
    first = f"echo '{ask}' > $WFLEDGER_RESULT_FILE"
    script = f"if test $WFLEDGER_ATTEMPT = 1; then {first}; else echo one > a; fi; exit 0"
    server = rehearse(plan(task("a", script, "a")), verdict())
    terminal = open_scripted(tmp_path, server)
    found = pursue(terminal, status=10)
    (one,) = found["rounds"]
    assert found["needs"][0]["code"] == "question"
    terminal(f"wfledger answer {one['run']}.a 'this one'")
    again = pursue(terminal, f"wfledger goal --continue {found['goal']} --yes")
    assert (again["stop"], len(again["rounds"])) == ("reached", 1)


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-010")
def test_model_that_gives_no_plan_is_a_matter_for_a_person(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(FAILURES["401"], plan(WRITE_A), verdict())
    terminal = open_scripted(tmp_path, server)
    found = pursue(terminal, status=10)
    assert "there is no plan" in found["reason"]
    again = f"wfledger goal --continue {found['goal']} --yes"
    assert "wfledger provider close here" in pursue(terminal, again, status=10)["reason"]
    terminal("wfledger provider close here")
    assert pursue(terminal, again)["stop"] == "reached"


@pytest.mark.long
def test_plan_that_cannot_be_drafted_is_left_to_a_person(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(*[plan(task("a", "echo one > a", "../a"))] * 4, verdict())
    terminal = open_scripted(tmp_path, server)
    found = pursue(terminal, status=10)
    assert "round 1 needs a hand" in found["reason"]
    file = terminal.root / f".git/wfledger/goals/{found['goal']}/round-1.yaml"
    file.write_text(file.read_text().replace("../a", "a"))
    again = pursue(terminal, f"wfledger goal --continue {found['goal']} --yes")
    assert again["stop"] == "reached"


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-010")
def test_money_that_attempts_use_stops_a_goal_and_more_goes_on(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    said = '{"usage": {"cost_usd": 0.5, "input": 1, "output": 1}}'
    dear = task("a", f"echo one > a; echo '{said}' > $WFLEDGER_RESULT_FILE; exit 0", "a")
    terminal = open_scripted(tmp_path, rehearse(plan(dear, WRITE_B), verdict()))
    found = pursue(terminal, f"{GOAL} --max-usd 0.5 --workers 1", status=6)
    assert (found["stop"], found["known_usd"]) == ("budget", pytest.approx(0.62))
    again = pursue(terminal, f"wfledger goal --continue {found['goal']} --max-usd 5 --yes")
    assert (again["stop"], len(again["rounds"])) == ("reached", 1)
    assert files_at(terminal.root, f"wf/{again['rounds'][-1]['run']}")["b"] == "two"


@pytest.mark.long
def test_goal_of_a_worker_that_may_start_nothing_asks_no_model(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(plan(WRITE_A))
    terminal = open_scripted(tmp_path, server)
    elsewhere = {"WFLEDGER_TASK": "r1.a", "WFLEDGER_TOKEN": "t", "WFLEDGER_DEPTH": "0",
                 "WFLEDGER_DIR": str(tmp_path)}  # fmt: skip
    refused = terminal.json(GOAL, env=ENV | elsewhere, status=7)
    assert "depth is 0" in refused["message"]
    assert server.requests == []
