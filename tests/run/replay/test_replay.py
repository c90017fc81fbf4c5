"""What controllers have decided is decided again from the records alone (spec 93, 4)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import contents, wf, wf_json
from tests.support.engines import note, noted
from tests.support.workspaces import open_workspace

Node = dict[str, Any]


def leaf(folder: Path, name: str, result: Mapping[str, Any] | None = None, **more: Any) -> Node:
    command = more.pop("command", note(folder, name))
    if result is not None:
        command += f"; echo '{json.dumps(result)}' > $WFLEDGER_RESULT_FILE"
    return {"kind": "leaf", "spec": {"id": name, "command": command, **more}}


def node(kind: str, name: str, **spec: Any) -> Node:
    return {"kind": kind, "spec": {"id": name, **spec}}


def nodes(folder: Path, *, items: tuple[str, ...] = ("x", "y"), rounds: int = 2) -> list[Node]:
    """Return one node of each kind that decides."""
    return [
        leaf(folder, "found", {"outputs": {"items": items}}),
        node("branch_set", "all", parallel=True, children=[
            leaf(folder, "one", {"findings": [{"title": "same"}]}),
            leaf(folder, "two", {"findings": [{"title": "same"}, {"title": "more"}]}),
        ]),
        node("reduce", "sum", inputs=["one", "two"], merge=True),
        node("expand", "each", source="found", max_children=5, template=leaf(
            folder, "scan", command=note(folder, "scan {{item}}"))),
        node("loop_until", "loop", condition=f"round >= {rounds}", max_iterations=4,
             children=[leaf(folder, "fix")]),
        node("cond", "if", condition="results.one.status == 'succeeded'",
             then_nodes=[leaf(folder, "yes")], else_nodes=[leaf(folder, "no")]),
        leaf(folder, "last", depends_on_results=["sum", "each", "loop", "if"]),
    ]  # fmt: skip


def written(folder: Path, found: list[Node]) -> Path:
    path = folder / "plan.json"
    path.write_text(json.dumps({"goal": "a goal", "nodes": found}))
    return path


def done(repo: Path, path: Path, *args: str) -> str:
    run = wf_json(repo, "run", path, "--yes", *args)
    assert run["verdict"] == "succeeded", run
    return str(run["run"])


def differences(repo: Path, run: str, *args: str | Path, status: int = 1) -> dict[str, list[str]]:
    """Return what diverges, by task without its run."""
    told = wf_json(repo, "replay", run, *args, status=status)
    assert told["diverged"] == bool(status)
    found: dict[str, list[str]] = {}
    for one in told["divergences"]:
        assert one["status"] == "replay_diverged"
        found.setdefault(one["task"].partition(".")[2], []).append(one["message"])
    return found


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-012")
@pytest.mark.requirement("WFL-REUSE-030")
@pytest.mark.requirement("WFL-REUSE-031")
@pytest.mark.requirement("WFL-REUSE-032")
def test_decisions_come_out_the_same_unless_plan_or_records_changed(
    repo: Path, tmp_path: Path
) -> None:
    wf(repo, "init")
    path = written(tmp_path, nodes(tmp_path))
    run = done(repo, path)
    ledger = open_workspace(repo).ledger
    before = contents(ledger.layout.root)
    assert differences(repo, run, status=0) == {}
    assert differences(repo, run, "--plan", path, status=0) == {}
    other = nodes(tmp_path, rounds=3)
    other[1]["spec"]["children"][1]["spec"]["command"] += " # again"
    other[5]["spec"]["condition"] = "results.one.status == 'failed'"
    found = differences(repo, run, "--plan", written(tmp_path, other))
    assert found.keys() == {"two", "last", "loop", "if"}
    assert "the command changed" in found["two"][0]
    assert f"there is no record of {run}.loop.3.fix" in found["loop"][0]
    assert contents(ledger.layout.root) == before
    _damage(ledger.layout.root / ledger.layout.result(f"{run}.found", 1), items=["x", "z"])
    (ledger.layout.root / ledger.layout.result(f"{run}.two", 1)).unlink()
    found = differences(repo, run)
    assert found["two"] == ["the record of its result is missing"]
    assert {"all", "sum", "each"} <= found.keys()
    assert not {"loop", "if"} & found.keys()


def _damage(path: Path, **outputs: Any) -> None:
    data = json.loads(path.read_bytes())
    path.write_text(json.dumps({**data, "outputs": outputs}))


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-003")
@pytest.mark.requirement("WFL-REUSE-012")
def test_controllers_decide_anew_and_what_they_start_is_taken_from_before(
    repo: Path, tmp_path: Path
) -> None:
    wf(repo, "init")
    done(repo, written(tmp_path, nodes(tmp_path)))
    (tmp_path / "noted").unlink()
    path = written(tmp_path, nodes(tmp_path, items=("new", "x", "y")))
    run = done(repo, path, "--reuse", "last")
    assert sorted(noted(tmp_path)) == ["found", "last", "scan new"]
    assert wf(repo, "replay", run).status == 0
    moved = wf_json(repo, "show", f"{run}.each.1.scan")["result"]["reused"]["task"]
    assert moved.endswith(".each.0.scan")


@pytest.mark.requirement("WFL-REUSE-042")
def test_replay_asks_nobody(repo: Path, tmp_path: Path) -> None:
    wf(repo, "init")
    refused = wf(repo, "replay", "r1", "--live", "--json")
    assert json.loads(refused.out)["error"] == "live_replay_unavailable"
    trace = tmp_path / "trace.json"
    trace.write_text('{"trace_id": "t"}')
    assert "--plan WORKFLOW" in wf(repo, "replay", "--trace", trace).err
    path = written(tmp_path, [leaf(tmp_path, "a", prompt=None)])
    found = wf_json(repo, "replay", "--trace", trace, "--plan", path, status=1)
    assert (found["status"], found["missing"]) == ("replay_diverged", ["a"])
