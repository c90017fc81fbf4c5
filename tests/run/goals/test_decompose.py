"""`decompose`: a plan from a goal, drafted by a scripted model over real HTTP."""

from pathlib import Path

import pytest

from tests.run.goals.scripted import KEY, MODEL, open_scripted, plan, said, task
from tests.support.rehearsals import Rehearse, rehearse
from wfledger.plans.checking import check_text
from wfledger.run.rehearsal.script import FAILURES, Answer

__all__ = ["rehearse"]

GOOD = plan(task("a", "Do a.\nThen more.", "src/a"), task("b", "Do b.", "src/b"))
ENV = {"HERE_KEY": KEY}
DECOMPOSE = "wfledger decompose 'Port it all' --verify 'make test' --model here/m1"


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-001")
@pytest.mark.requirement("WFL-GOAL-002")
def test_draft_is_a_plan_in_a_file_and_nothing_is_started(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(GOOD)
    files = {"README.md": "# The thing\n", "src/a/x.py": ""}
    terminal = open_scripted(tmp_path, server, files=files)
    (terminal.root / ".env").write_text("PASSWORD=hunter2-hunter2\n")
    found = terminal.json(DECOMPOSE, env=ENV)
    assert (found["file"], found["tasks"]) == ("plan.yaml", ["a", "b"])
    assert found["usage"]["cost_usd"] == pytest.approx(0.12)
    checked = check_text((terminal.root / "plan.yaml").read_bytes(), "plan.yaml")
    assert checked.plan is not None
    assert [one.spec.prompt for one in checked.plan.tasks] == ["Do a.\nThen more.", "Do b."]
    assert {one.spec.verify[0].command for one in checked.plan.tasks} == {"make test"}
    assert terminal.json("wfledger status")["runs"] == []
    (asked,) = said(server)
    assert "src/a/x.py (0 bytes)" in asked
    assert "# The thing" in asked
    assert "hunter2" not in asked
    assert ".env" not in asked
    assert KEY not in (terminal.root / "plan.yaml").read_text()


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-003")
def test_what_is_wrong_is_sent_back_and_mended(tmp_path: Path, rehearse: Rehearse) -> None:
    server = rehearse(
        Answer("Sure, here is a plan."),
        plan(task("a", "x", "src"), task("b", "y", "src/b")),
        plan({"id": "a", "prompt": "x", "command": "rm -rf /"}),
        GOOD,
    )
    found = open_scripted(tmp_path, server).json(DECOMPOSE, env=ENV)
    assert found["usage"]["requests"] == 4
    complaints = said(server)
    assert "calling submit_plan once" in complaints[1]
    assert "both write src/b" in complaints[2]
    assert "/tasks/0/command: is not for drafts" in complaints[3]


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-003")
def test_draft_that_stays_wrong_is_kept_beside_with_its_errors(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(*[plan(task("a", "x", "../out"), task("b", "y", "b"))] * 5)
    terminal = open_scripted(tmp_path, server)
    refused = terminal.json(DECOMPOSE, env=ENV, status=7)
    assert len(server.requests) == 4
    kept = (terminal.root / "plan.rejected.yaml").read_text()
    assert "../out" in kept
    assert refused["errors"][0].split("\n")[0] in kept
    assert not (terminal.root / "plan.yaml").exists()


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-004")
def test_goal_for_one_agent_is_refused_with_the_command_for_that(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    chain = plan(task("a", "x", "a"), task("b", "y", "b", after=("a",)))
    terminal = open_scripted(tmp_path, rehearse(chain, chain, plan(task("one", "x", "a"))))
    refused = terminal.json(DECOMPOSE, env=ENV, status=1)
    assert refused["usage"]["requests"] == 2
    assert refused["hint"].startswith("wfledger add")
    assert terminal.json(f"{DECOMPOSE} --serial", env=ENV)["tasks"] == ["one"]


@pytest.mark.long
def test_file_that_is_there_is_not_replaced_and_nobody_is_asked(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(GOOD)
    terminal = open_scripted(tmp_path, server)
    (terminal.root / "plan.yaml").write_text("mine")
    terminal(DECOMPOSE, env=ENV, status=2)
    assert (terminal.root / "plan.yaml").read_text() == "mine"
    assert server.requests == []
    terminal(f"{DECOMPOSE} --force", env=ENV)
    assert (terminal.root / "plan.yaml").read_text() != "mine"


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-003")
def test_model_that_hands_no_plan_in_is_named_and_no_file_is_left(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(*[Answer("I would rather not.")] * 5)
    terminal = open_scripted(tmp_path, server)
    refused = terminal.json(DECOMPOSE, env=ENV, status=1)
    assert len(server.requests) == 4
    assert f"{MODEL} handed no plan in" in refused["message"]
    assert list(terminal.root.glob("plan*")) == []


@pytest.mark.long
@pytest.mark.parametrize("failure", ["401", "429-quota", "400"])
def test_model_that_refuses_is_asked_once_and_named(
    tmp_path: Path, rehearse: Rehearse, failure: str
) -> None:
    server = rehearse(*[FAILURES[failure]] * 2)
    terminal = open_scripted(tmp_path, server)
    refused = terminal.json(DECOMPOSE, env=ENV, status=1)
    assert (refused["error"], refused["model"]) == ("no_answer", MODEL)
    again = terminal.json(DECOMPOSE, env=ENV, status=1)
    # The breaker keeps the second one from the provider, where it is the provider's own trouble.
    is_own = failure != "400"
    assert len(server.requests) == (1 if is_own else 2)
    assert ("provider close here" in str(again["hint"])) is is_own


@pytest.mark.long
def test_overloaded_model_is_asked_again(tmp_path: Path, rehearse: Rehearse) -> None:
    server = rehearse(FAILURES["500"], GOOD)
    assert open_scripted(tmp_path, server).json(DECOMPOSE, env=ENV)["tasks"] == ["a", "b"]
    assert len(server.requests) == 2


@pytest.mark.long
def test_it_is_said_who_cannot_be_asked_and_why(tmp_path: Path, rehearse: Rehearse) -> None:
    terminal = open_scripted(tmp_path, rehearse())
    assert "HERE_KEY" in terminal.json(DECOMPOSE, status=1)["message"]
    terminal(f"{DECOMPOSE} --model nowhere/x", status=2, env=ENV)
    unsaid = DECOMPOSE.removesuffix("--model here/m1")
    assert "--model" in terminal.json(unsaid, status=2, env=ENV)["hint"]
    other = '[role.other]\nargv = ["true", "{prompt}"]\n'
    fleet = terminal.root / ".wfledger/fleet.toml"
    fleet.write_text(fleet.read_text().replace('role = "agent"', "") + other)
    refused = terminal.json(DECOMPOSE, status=2, env=ENV)
    assert "agent, other" in refused["message"]


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-002")
def test_secrets_do_not_reach_a_request(tmp_path: Path, rehearse: Rehearse) -> None:
    server = rehearse(GOOD)
    files = {"README.md": f"Our key is {KEY} and the other one tiny-canary-secret.\n"}
    terminal = open_scripted(tmp_path, server, files=files)
    terminal(DECOMPOSE, env=ENV | {"OTHER_SECRET": "tiny-canary-secret"})
    assert "[redacted]" in said(server)[0]
    assert KEY not in said(server)[0]
    everything = "".join(
        path.read_text("utf-8", "replace")
        for path in terminal.root.rglob("*") if path.is_file() and "README" not in path.name
    )  # fmt: skip
    assert KEY not in everything


@pytest.mark.long
@pytest.mark.requirement("WFL-GOAL-002")
def test_key_goes_to_no_server_that_a_worker_has_named(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(GOOD)
    terminal = open_scripted(tmp_path, server)
    planted = f'sed -i "s#^base_url.*#base_url = \\"{server.chat_url}/x\\"#" $WFLEDGER_DIR/fleet.toml'
    terminal.run({"id": "a", "command": planted}, status=10)
    terminal(DECOMPOSE, env=ENV, status=8)
    assert server.requests == []
