"""Plans of nodes on the command line: how much they may start, what they look like."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plans.nodes.trees import Document, chain, leaf, loop, node, parallel, spec, writer
from tests.support.cli import wf, wf_json
from tests.support.repos import git
from wfledger.cli.main import VERBS

#: One of each kind of node, of command workers.
EVERY = spec(
    node("leaf", "list", command="ls"),
    node("expand", "each", source="results.list", max_children=3, template=chain(
        "steps", writer("fix", "src/{{item}}", prompt="mend {{item}}"),
        node("leaf", "look", command=["test", "-e", "{{item}}"], depends_on_results=["fix"]),
    )),
    loop("again", node("leaf", "run", command="true"), condition={"command": "true"}),
    node("cond", "if", condition='results.again.status == "succeeded"',
         then_nodes=[writer("yes", "doc")], else_nodes=[writer("no", "doc")]),
    parallel("both", writer("a", "x"), writer("b", "x")),
    node("teacher_review", "pick", candidates=["both"],
         promotion_policy={"strategy": "first_success"}),
    node("reduce", "sum", inputs=["each", "if", "pick"], merge=True, prompt=""),
)  # fmt: skip


def written(folder: Path, document: Document) -> Path:
    path = folder / "plan.json"
    path.write_text(json.dumps(document))
    return path


def errors(found: dict[str, Any]) -> list[str]:
    return [problem["kind"] for problem in found["errors"]]


@pytest.mark.requirement("WFL-NODE-071")
def test_plan_that_starts_too_much_is_refused_and_checked_with_a_warning(tmp_path: Path) -> None:
    many = node("expand", "e", source="[1]", max_children=1001, template=leaf("a"))
    path = written(tmp_path, spec(many, loop("l", leaf("b"), max_iterations=None)))
    assert errors(wf_json(tmp_path, "plan", path, status=7)) == [
        "unbounded_loop", "too_many_agents"
    ]  # fmt: skip
    checked = wf_json(tmp_path, "check", path)
    assert checked["ok"]
    assert {"unbounded_loop", "too_many_agents"} <= {one["kind"] for one in checked["warnings"]}


@pytest.mark.long
@pytest.mark.requirement("WFL-NODE-071")
def test_run_refuses_and_submits_nothing_until_told_how_much(repo: Path) -> None:
    wf(repo, "init")
    tree = node("leaf", "deep", command="true")
    for level in range(5):
        tree = parallel(f"b{level}", tree)
    path = written(repo, spec(tree))
    assert errors(wf_json(repo, "run", path, "--yes", "--detach", status=7)) == [
        "recursion_too_deep"
    ]  # fmt: skip
    assert wf_json(repo, "status")["runs"] == []
    done = wf_json(repo, "run", path, "--yes", "--detach", "--max-depth", "6")
    assert len(done["tasks"]) == 6


@pytest.mark.requirement("WFL-NODE-070")
@pytest.mark.requirement("WFL-NODE-081")
def test_picture_says_what_is_started_and_leaves_controllers_out(tmp_path: Path) -> None:
    found = wf_json(tmp_path, "plan", written(tmp_path, EVERY))
    assert found["launch"] == {"total": 13, "depth": 2}
    assert found["critical_path"] == ["list", "fix", "look"]
    assert found["steps"][0] == ["list", "a", "b", "run"]
    assert found["collisions"] == []
    assert found["writers"] == 5
    assert not any("serial" in hint for hint in found["hints"])
    said = wf(tmp_path, "plan", written(tmp_path, EVERY)).out
    assert "starts at most 13 agents, 2 levels deep" in said


@pytest.mark.requirement("WFL-NODE-081")
def test_picture_shows_what_meets_inside_of_controllers(tmp_path: Path) -> None:
    document = spec(
        writer("one", "src"), loop("l", writer("two", "src/a")),
        node("cond", "c", condition="true", then_nodes=[writer("yes", "src/b")],
             else_nodes=[writer("no", "src/b")]),
    )  # fmt: skip
    found = wf_json(tmp_path, "plan", written(tmp_path, document))
    pairs = {frozenset((one["left"], one["right"])) for one in found["collisions"]}
    assert pairs == {frozenset(("one", name)) for name in ("two", "yes", "no")}


@pytest.mark.requirement("WFL-NODE-080")
def test_expanded_plan_expands_to_itself_and_starts_the_same(tmp_path: Path) -> None:
    gates = [{"gate": "verify", "id": "g", "on_fail": "block", "on": "role_complete", "role": "x"}]
    given = written(tmp_path, {"gates": gates, **EVERY, "description": None})
    first = wf(tmp_path, "plan", given, "--expand").out
    path = tmp_path / "expanded.json"
    path.write_text(first)
    assert wf(tmp_path, "plan", path, "--expand").out == first
    assert list(json.loads(first)) == ["goal", "nodes", "gates"]
    assert next(iter(json.loads(first)["gates"][0])) == "id"
    before, after = (wf_json(tmp_path, "graph", one) for one in (given, path))
    assert before == after


@pytest.mark.requirement("WFL-NODE-082")
def test_tree_shows_what_stands_in_what(tmp_path: Path) -> None:
    lines = wf(tmp_path, "graph", written(tmp_path, EVERY)).out.splitlines()
    each = lines.index("├─ each [expand] results.list, at most 3 <- list")
    assert lines[each + 1 : each + 4] == [
        "│  └─ steps [sequence]", "│     ├─ fix [agent]", "│     └─ look [command] <- fix",
    ]  # fmt: skip
    assert "│  ├─ then: yes [agent]" in lines
    assert lines[-1] == "└─ sum [reduce] <- each, if, pick"


@pytest.mark.requirement("WFL-NODE-082")
def test_graph_as_json_names_parts_and_arrows_that_are_there(tmp_path: Path) -> None:
    found = wf_json(tmp_path, "graph", written(tmp_path, EVERY))
    nodes = {one["id"]: one for one in found["nodes"]}
    assert nodes["each.fix"]["holder"] == "each.steps"
    assert nodes["each.fix"]["starter"] == "each"
    assert {"from": "each", "to": "sum"} in found["edges"]
    assert {"from": "a", "to": "both"} not in found["edges"]
    assert all({edge["from"], edge["to"]} <= nodes.keys() for edge in found["edges"])


@pytest.mark.requirement("WFL-NODE-082")
@pytest.mark.parametrize("form", ["tree", "mermaid", "dot"])
def test_hostile_names_stay_in_their_label(tmp_path: Path, form: str) -> None:
    name = 'x"];\nend\n\x1b[31m] --> y{{`<script>'
    done = wf(tmp_path, "graph", written(tmp_path, spec(leaf(name))), "--format", form)
    assert done.status == 0
    assert "\x1b" not in done.out
    assert "end" not in [line.strip() for line in done.out.splitlines()]
    if form == "mermaid":
        line = done.out.splitlines()[1]
        assert line.count('"') == 2
        assert line.endswith('"]')
        assert "<" not in line
    if form == "dot":
        assert done.out.count("{") == done.out.count("}") + name.count("{")


@pytest.mark.requirement("WFL-NODE-082")
def test_phases_are_drawn_around_their_tasks(tmp_path: Path) -> None:
    phases = [
        {"name": "one", "tasks": [{"id": "a", "command": "true"}]},
        {"name": "two", "depends_on": ["one"], "tasks": [{"id": "b", "command": "true"}]},
    ]
    path = written(tmp_path, {"goal": "g", "phases": phases})
    assert wf(tmp_path, "graph", path).out.splitlines() == [
        "├─ one [phase]", "│  └─ a [command]", "└─ two [phase]", "   └─ b [command] <- a",
    ]  # fmt: skip
    dot = wf(tmp_path, "graph", path, "--format", "dot").out
    assert dot.count("{") == dot.count("}")


@pytest.mark.long
@pytest.mark.requirement("WFL-NODE-082")
@pytest.mark.requirement("WFL-NODE-055")
def test_run_is_drawn_with_what_it_has_begun_and_where_that_stands(repo: Path) -> None:
    wf(repo, "init")
    put = node("leaf", "put", command="echo {{item}} > out-{{index}}", mode="read_write",
               file_scope=["out-{{index}}"])  # fmt: skip
    document = spec(node("expand", "each", source='["a b", "$(x)", "c"]', max_children=2,
                         template=put))  # fmt: skip
    done = wf_json(repo, "run", written(repo, document), "--yes")
    assert done["verdict"] == "succeeded"
    assert wf(repo, "graph", done["run"]).out.splitlines() == [
        '└─ each [expand] ["a b", "$(x)", "c"], at most 2  done',
        "   ├─ 0.put [command]  done", "   └─ 1.put [command]  done",
    ]  # fmt: skip
    assert git(repo, "show", f"wf/{done['run']}:out-1") == "$(x)"
    mermaid = wf(repo, "graph", done["run"], "--format", "mermaid").out
    assert "style n0 fill:#c8e6c9" in mermaid


@pytest.mark.requirement("WFL-NODE-082")
def test_graph_of_nothing_says_what_there_is(repo: Path) -> None:
    wf(repo, "init")
    done = wf(repo, "graph", "nowhere")
    assert done.status == 2
    assert "neither a file nor a run" in done.err
    assert "graph" in VERBS
