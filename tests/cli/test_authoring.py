"""`init`, `check` and `plan`."""

import json
from pathlib import Path

import pytest

from tests.support.cli import contents, plan, wf, wf_json
from tests.support.processes import run_cli
from tests.support.repos import commit, git
from wfledger.plans.checking import check_text


def test_init_says_what_it_made(repo: Path) -> None:
    commit(repo, {"uv.lock": ""})
    done = wf(repo, "init")
    assert done.status == 0
    assert str(repo / ".wfledger/fleet.toml") in done.out
    assert "found uv.lock" in done.out
    assert "# setup = " in (repo / ".wfledger/fleet.toml").read_text()


def test_init_proposes_nothing_where_nothing_is_found(repo: Path) -> None:
    assert wf_json(repo, "init")["proposed_for"] == []


def test_second_init_changes_nothing(repo: Path) -> None:
    first = wf_json(repo, "init")
    before = contents(repo)
    second = wf_json(repo, "init")
    assert contents(repo) == before
    assert (first["fresh"], second["fresh"]) == (True, False)
    assert first["ledger"] == second["ledger"]


def test_init_leaves_checkout_and_branches_alone(repo: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    wf(repo, "init")
    assert git(repo, "status", "--porcelain") == ""
    assert git(repo, "rev-parse", "HEAD") == head
    assert git(repo, "-C", ".wfledger", "status", "--porcelain") == ""


def test_example_is_a_plan_and_is_never_overwritten(repo: Path) -> None:
    assert wf(repo, "init", "--example").status == 0
    text = (repo / "quick.yaml").read_text()
    assert check_text(text, "quick.yaml").ok
    (repo / "quick.yaml").write_text("mine")
    assert wf(repo, "init", "--example").status == 2
    assert (repo / "quick.yaml").read_text() == "mine"


def test_check_needs_no_ledger(tmp_path: Path) -> None:
    path = plan(tmp_path, {"a": {"command": "true"}})
    assert wf_json(tmp_path, "check", path) == {"ok": True, "errors": [], "warnings": []}


@pytest.mark.requirement("WFL-CLI-001")
@pytest.mark.requirement("WFL-CLI-002")
def test_check_lists_all_errors_with_kind_and_place(tmp_path: Path) -> None:
    path = plan(tmp_path, {"a": {"command": "true", "after": ["b"]}, "c": {"command": "true", "after": ["d"]}})
    found = wf_json(tmp_path, "check", path, status=7)
    assert found["ok"] is False
    assert len(found["errors"]) >= 2
    assert all(set(error) == {"kind", "message", "pointer", "line", "column"} for error in found["errors"])
    done = wf(tmp_path, "check", path)
    assert done.status == 7
    assert done.out == ""
    assert all(error["message"] in done.err for error in found["errors"])


def test_file_is_named_as_seen_from_the_directory_given(tmp_path: Path) -> None:
    plan(tmp_path, {"a": {"command": "true"}})
    done = run_cli("-C", tmp_path, "check", "plan.json", cwd=tmp_path.parent)
    assert done.status == 0, done.err


def test_check_reads_standard_input(tmp_path: Path) -> None:
    text = json.dumps({"goal": "g", "tasks": [{"id": "a", "command": "true"}]})
    assert wf(tmp_path, "check", "-", input=text).status == 0


def test_check_of_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert wf(tmp_path, "check", tmp_path / "absent.yaml").status == 2


def test_lenient_makes_a_warning_of_an_unknown_field(tmp_path: Path) -> None:
    path = plan(tmp_path, {"a": {"command": "true", "colour": "red"}})
    assert wf(tmp_path, "check", path).status == 7
    assert wf_json(tmp_path, "check", path, "--lenient")["warnings"] != []


def test_plan_draws_depth_width_and_collisions(repo: Path) -> None:
    wf(repo, "init")
    tasks = {
        "a": {"command": "true", "write": ["src"]},
        "b": {"command": "true", "write": ["src/app.py"]},
        "c": {"prompt": "look", "after": ["a"]},
    }
    path = plan(repo, tasks)
    found = wf_json(repo, "plan", path)
    assert (found["tasks"], found["agents"], found["depth"], found["width"]) == (3, 1, 2, 2)
    assert found["critical_path"] == ["a", "c"]
    assert [one["witness"] for one in found["collisions"]] == ["src/app.py"]
    assert found["target"] == "main"
    assert "a and b both may write src/app.py" in wf(repo, "plan", path).out


@pytest.mark.requirement("WFL-CLI-004")
def test_plan_changes_nothing(repo: Path) -> None:
    wf(repo, "init")
    path = plan(repo, {"a": {"command": "true", "write": ["x"]}})
    before = contents(repo)
    assert wf(repo, "plan", path).status == 0
    assert contents(repo) == before


def test_plan_needs_no_repository(tmp_path: Path) -> None:
    path = plan(tmp_path, {"a": {"command": "true"}})
    assert wf_json(tmp_path, "plan", path)["target"] is None


def test_plan_names_unlanded_runs_in_its_way(repo: Path) -> None:
    wf(repo, "init")
    path = plan(repo, {"a": {"command": "echo 1 > x", "write": ["x"]}})
    run_id = wf_json(repo, "run", "--yes", path)["run"]
    found = wf_json(repo, "plan", path)
    assert found["neighbours"] == [{"run": run_id, "name": "", "paths": ["x"]}]
    assert f"wfledger land {run_id}" in wf(repo, "plan", path).out


def test_expansion_is_a_plan_of_phases_that_expands_to_itself(tmp_path: Path) -> None:
    path = plan(tmp_path, {"a": {"command": "true"}, "b": {"command": "true", "after": ["a"]}})
    first = wf(tmp_path, "plan", path, "--expand").out
    assert [phase["tasks"][0]["id"] for phase in json.loads(first)["phases"]] == ["a", "b"]
    path.write_text(first)
    assert wf(tmp_path, "plan", path, "--expand").out == first


def test_invalid_plan_has_status_7_for_plan_and_run(repo: Path) -> None:
    wf(repo, "init")
    path = plan(repo, {"a": {"command": "true", "after": ["a"]}})
    for verb in ("plan", "run"):
        found = wf_json(repo, verb, path, status=7)
        assert (found["error"], len(found["errors"])) == ("invalid_plan", 1)
