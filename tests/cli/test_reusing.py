"""`plan --diff` says what would run again and why; `run --reuse` refuses what it cannot mean."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import plan, wf, wf_json


def detached(repo: Path, folder: Path, tasks: dict[str, dict[str, Any]]) -> str:
    wf(repo, "init")
    return str(wf_json(repo, "run", plan(folder, tasks), "--yes", "--detach")["run"])


@pytest.mark.requirement("WFL-REUSE-020")
def test_diff_names_each_reason_and_the_command_that_reuses(repo: Path, tmp_path: Path) -> None:
    tasks: dict[str, dict[str, Any]] = {
        "a": {"command": "true"}, "b": {"command": "true", "write": ["b"], "after": ["a"]},
        "c": {"command": "true", "after": ["a"]},
    }  # fmt: skip
    run = detached(repo, tmp_path, tasks)
    tasks["b"] |= {"command": "false", "write": ["c"]}
    tasks["c"]["after"] = ["b"]
    tasks["d"] = {"command": "true"}
    path = plan(tmp_path, tasks)
    found = wf_json(repo, "plan", path, "--diff", run)["diff"]
    assert (found["runs"], found["reused"], found["again"]) == ([run], 0, 4)
    reasons = {
        line["task"]: [(why["kind"], why["message"]) for why in line["reasons"]]
        for line in found["tasks"]
    }
    assert reasons == {
        "a": [("not_done", f"{run}.a is waiting")],
        "b": [("changed", "the command changed"), ("changed", "the write scope changed"),
              ("dependency", "a runs again")],
        "c": [("inputs", "it is handed other results"), ("dependency", "b runs again")],
        "d": [("new", "there was no task of that name")],
    }  # fmt: skip
    said = wf(repo, "plan", path, "--diff", run).out
    assert "d runs again: there was no task of that name" in said
    assert "4 tasks would run again" in said


@pytest.mark.requirement("WFL-REUSE-015")
def test_reuse_of_what_is_no_run_of_a_plan_is_refused(repo: Path, tmp_path: Path) -> None:
    wf(repo, "init")
    path = plan(tmp_path, {"a": {"command": "true"}})
    never = wf(repo, "run", path, "--yes", "--reuse", "last")
    assert (never.status, "there is no earlier run" in never.err) == (2, True)
    wf(repo, "add", "single", "--", "true")
    standing = wf_json(repo, "status")["runs"][0]["id"]
    refused = wf(repo, "run", path, "--yes", "--reuse", standing)
    assert (refused.status, "only a plan's run is reused" in refused.err) == (2, True)
    run = wf_json(repo, "run", path, "--yes", "--detach")["run"]
    lost = wf(repo, "run", path, "--yes", "--reuse", run, "--base", "nowhere")
    assert (lost.status, "nowhere names no commit" in lost.err) == (2, True)
    assert wf(repo, "plan", path, "--base", "main").status == 2
    again = wf(repo, "run", run, "--reuse", run)
    assert (again.status, "are for new runs" in again.err) == (2, True)
