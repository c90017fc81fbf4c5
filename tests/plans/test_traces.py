"""Traces of the original are replayed by its own hash of what goes into a leaf (spec 93, 5)."""

import json
from typing import Any

import pytest

from wfledger.errors import InvalidDocumentError
from wfledger.plans.traces import Execution, input_hash, read_trace, replay_trace

SUM = {
    "id": "sum", "prompt": 'line1\n"q" \u0007 é \u007f/', "agent_type": "review",
    "mode": "read_write", "isolation": "worktree", "file_scope": ["src/**"],
    "depends_on_results": ["b", "a"], "budget": {"max_steps": 3},
    "model_policy": {"provider": "p", "fallback_models": ["x"]},
}  # fmt: skip


@pytest.mark.requirement("WFL-REUSE-040")
@pytest.mark.parametrize(("workflow", "leaf", "inputs", "digest"), [
    ((None, "g"), {"id": "scan", "prompt": "p"}, {},
     "f250e3b72731a4787d0c698e384cee4d31167ac7133d1706ee2417f6981df43a"),
    (("wf", "g é"), SUM, {"b": None, "a": "one"},
     "f916bb6a67e696063b39c8fee00c40d9ed70bc8d488e8bae7e03ec31c7f58d62"),
], ids=["defaults", "everything"])  # fmt: skip
def test_input_hash_is_the_original_s(
    workflow: tuple[str | None, str], leaf: dict[str, Any], inputs: dict[str, str | None],
    digest: str,
) -> None:  # fmt: skip
    assert input_hash(*workflow, leaf, inputs) == digest
    later = {**leaf, "role": "reviewer", "permissions": {"deny_all_tools": True}}
    assert input_hash(*workflow, later, inputs) == digest


def leaf(name: str, *before: str, **more: Any) -> dict[str, Any]:
    spec = {"id": name, "prompt": f"do {name}", "depends_on_results": list(before), **more}
    return {"kind": "leaf", "spec": spec}


def node(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "spec": {"id": name, **more}}


def recorded(spec: dict[str, Any], output: str | None = None, *, status: str = "succeeded",
             trace: str = "t", **inputs: str | None) -> dict[str, Any]:  # fmt: skip
    hashed = input_hash(None, "g", spec["spec"], inputs)
    result = {"status": status, "output": output}
    return {"trace_id": trace, "leaf_id": spec["spec"]["id"], "input_hash": hashed,
            "result": result}  # fmt: skip


def decided(kind: str, name: str, *chosen: str, **more: Any) -> dict[str, Any]:
    result = {"node_id": name, "kind": kind, "status": "succeeded",
              "selected_children": list(chosen)}  # fmt: skip
    return {"trace_id": "t", "node_id": name, "kind": kind, "result": result, **more}


def replayed(
    nodes: list[dict[str, Any]], leaves: list[dict[str, Any]], controls: list[dict[str, Any]]
) -> Execution:
    trace = {"trace_id": "t", "leaf_records": leaves, "control_records": controls}
    return replay_trace({"goal": "g", "nodes": nodes}, read_trace(json.dumps(trace).encode()))


def statuses(found: Execution) -> list[tuple[str, str]]:
    return [(one["leaf_id"], one["status"]) for one in found.leaf_results]


A, B = leaf("a"), leaf("b", "a")


@pytest.mark.requirement("WFL-REUSE-041")
def test_results_are_found_by_what_goes_into_a_leaf() -> None:
    found = replayed([A, B], [recorded(A, "one"), recorded(B, "two", a="one")], [])
    assert (found.status, found.diverged) == ("succeeded", False)
    assert [one["output"] for one in found.leaf_results] == ["one", "two"]
    again = [recorded(A, "old"), recorded(A, "one"), recorded(B, "two", a="one")]
    assert not replayed([A, B], again, []).diverged
    foreign = [recorded(A, "one", trace="u"), recorded(B, "two", a="one")]
    assert replayed([A, B], foreign, []).missing == ["a", "b"]


@pytest.mark.requirement("WFL-REUSE-041")
@pytest.mark.requirement("WFL-REUSE-042")
def test_leaf_that_changed_diverges_with_what_depends_on_it_and_the_rest_goes_on() -> None:
    other, last = leaf("a", max_steps=1) | {}, leaf("c")
    other["spec"]["prompt"] = "do a differently"
    records = [recorded(A, "one"), recorded(B, "two", a="one"), recorded(last, status="failed")]
    found = replayed([other, B, last], records, [])
    assert statuses(found) == [
        ("a", "replay_diverged"), ("b", "replay_diverged"), ("c", "failed"),
    ]  # fmt: skip
    assert found.status == "replay_diverged"


@pytest.mark.requirement("WFL-REUSE-041")
def test_conditions_loops_and_expansions_run_what_is_recorded() -> None:
    nodes = [
        node("cond", "if", condition="x", then_nodes=[A], else_nodes=[leaf("c")]),
        node("loop_until", "loop", condition="x", children=[leaf("d"), leaf("e")]),
        node("expand", "each", source="x"),
        node("branch_set", "all", children=[{"agent": {"id": "f", "prompt": "do f"}}]),
        node("reduce", "sum", inputs=["f"]),
    ]  # fmt: skip
    leaves = [recorded(leaf(name), name) for name in "acdefg"]
    controls = [
        decided("cond", "if", "c"), decided("loop_until", "loop", "e"),
        decided("expand", "each", "g", generated_nodes=[leaf("g")]),
        decided("branch_set", "all", "f"), decided("reduce", "sum", "f"),
    ]  # fmt: skip
    found = replayed(nodes, leaves, controls)
    assert [name for name, _ in statuses(found)] == ["c", "e", "g", "f"]
    assert (found.diverged, found.status) == (False, "succeeded")
    without = replayed(nodes, leaves, [])
    assert [name for name, _ in statuses(without)] == ["d", "e", "f"]
    assert without.missing == ["if", "loop", "each", "all", "sum"]


@pytest.mark.requirement("WFL-REUSE-041")
@pytest.mark.parametrize("raw", [
    b"[]", b"{}", b'{"trace_id": 1}', b'{"trace_id": "t", "leaf_records": {}}',
    b'{"trace_id": "t", "control_records": [1]}', b'{"trace_id": "t"',
], ids=repr)  # fmt: skip
def test_what_is_no_trace_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDocumentError):
        read_trace(raw)


@pytest.mark.requirement("WFL-REUSE-041")
def test_trees_without_bottom_are_refused() -> None:
    deep = leaf("a")
    for number in range(400):
        deep = node("sequence", f"s{number}", children=[deep])
    for nodes in ([deep], "nodes", [{"a": 1, "b": 2}], ["leaf"]):
        with pytest.raises(InvalidDocumentError):
            replay_trace({"goal": "g", "nodes": nodes}, read_trace(b'{"trace_id": "t"}'))
