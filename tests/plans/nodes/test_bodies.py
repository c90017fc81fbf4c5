"""What controllers begin: the same rules as for planned nodes, ids from names alone."""

from typing import Any

import pytest

from tests.plans.nodes.test_compiling import compiled
from tests.plans.nodes.trees import Document, chain, leaf, loop, node, parallel, spec, writer
from wfledger.core.control import Control
from wfledger.core.documents import TaskSpec
from wfledger.errors import PlanError
from wfledger.plans.checking import check
from wfledger.plans.compiling import renamed
from wfledger.plans.nodes.bodies import Unfolded, unfold


def submitted(name: str, *nodes: Document, **fields: Any) -> Control:
    """Return the control of a node as it stands in the ledger."""
    plan = compiled(*nodes, **fields)
    ids = {task.node: f"r.{task.node}" for task in plan.tasks}
    spec = next(task.spec for task in plan.tasks if task.node == name)
    found = renamed(spec, ids).control
    assert found is not None
    return found


def item(template: Document, value: Any, **fields: Any) -> Unfolded:
    source = node("expand", "e", source="results.src", max_children=9, template=template)
    control = submitted("e", leaf("src"), source, **fields)
    return unfold(
        control, owner="r.e", step="0", body=control.body, values={"item": value, "index": 0}
    )


def refused(template: Document, value: Any, **fields: Any) -> list[str]:
    with pytest.raises(PlanError) as caught:
        item(template, value, **fields)
    return [one["kind"] for one in caught.value.facts["errors"]]


def by_id(found: Unfolded) -> dict[str, TaskSpec]:
    return dict(found.tasks)


@pytest.mark.requirement("WFL-NODE-055")
def test_round_is_a_chain_with_ids_of_names() -> None:
    control = submitted("l", leaf("src"), loop(
        "l", leaf("a", prompt="round {{round}}"), leaf("b", depends_on_results=["a", "src"])
    ))  # fmt: skip
    found = unfold(control, owner="r.l", step="2", body=control.body, values={"round": 2})
    specs = by_id(found)
    assert list(specs) == ["r.l.2.a", "r.l.2.b"]
    assert specs["r.l.2.a"].prompt == "round 2"
    assert specs["r.l.2.b"].after == specs["r.l.2.b"].inputs == ("r.l.2.a", "r.src")
    assert found.exits == ("r.l.2.b",)
    assert found.nodes == {"a": "r.l.2.a", "b": "r.l.2.b"}
    assert {spec.parent for spec in specs.values()} == {"r.l"}
    assert unfold(control, owner="r.l", step="2", body=control.body, values={"round": 2}) == found


@pytest.mark.requirement("WFL-NODE-055")
def test_arms_and_long_names_have_ids_that_fit() -> None:
    name = "n" * 48
    control = submitted("c", node(
        "cond", "c", condition="true", then_nodes=[leaf("yes")], else_nodes=[leaf(name)]
    ))  # fmt: skip
    then = unfold(control, owner="r.c", step="then", body=control.body, values={})
    other = unfold(control, owner="r.c", step="else", body=control.otherwise, values={})
    assert then.exits == ("r.c.then.yes",)
    assert len(other.exits[0]) <= 64
    deep = unfold(control, owner="r." + "o" * 60, step="else", body=control.otherwise, values={})
    assert len(deep.exits[0]) <= 64


@pytest.mark.requirement("WFL-NODE-050")
def test_inner_controller_keeps_the_values_around_it_and_fills_once() -> None:
    inner = loop("l", leaf("x", prompt="{{item}} {{round}}"), condition="round > 1")
    found = item(chain("s", leaf("first"), inner), "{{round}} $(x)")
    control = by_id(found)["r.e.0.l"].control
    assert control is not None
    assert found.nodes["x"] == "r.e.0.l"
    step = unfold(control, owner="r.e.0.l", step="1", body=control.body, values={"round": 1})
    assert step.tasks[0][1].prompt == "{{round}} $(x) 1"


@pytest.mark.requirement("WFL-NODE-050")
def test_innermost_expand_gives_its_own_item() -> None:
    inner = node("expand", "f", source="[1]", max_children=2, template=leaf("x", prompt="{{item}}"))
    found = item(inner, "'; outer '")
    control = by_id(found)["r.e.0.f"].control
    assert control is not None
    step = unfold(
        control, owner="r.e.0.f", step="0", body=control.body, values={"item": "mine", "index": 0}
    )
    assert step.tasks[0][1].prompt == "mine"


@pytest.mark.requirement("WFL-NODE-053")
@pytest.mark.parametrize(
    "value",
    ["../x", "/etc", "*", "a/*", "", ".", "./a", "a//b", "a/../b", "x\ny", ".git/x", "?", "!a",
     ".wfledger/x", "a/", "**", None, ["a"], {"a": 1}, True, 1.5],
)  # fmt: skip
def test_value_never_widens_a_scope(value: Any) -> None:
    for pattern in ("{{item}}", "src/{{item}}"):
        kinds = refused(writer("w", pattern), value)
        assert set(kinds) <= {"invalid_scope", "missing_value"}


@pytest.mark.requirement("WFL-NODE-053")
@pytest.mark.parametrize("value", ["a", "a/b.py", 7, "é", "a b"])
def test_plain_path_is_a_scope(value: Any) -> None:
    found = item(writer("w", "src/{{item}}"), value)
    assert found.tasks[0][1].write == (f"src/{value}",)


@pytest.mark.requirement("WFL-NODE-055")
def test_what_surrounds_a_body_bounds_what_is_begun() -> None:
    around = {"permissions": {"allow_write": True, "file_scope": ["src/**"]}}
    assert item(writer("w", "src/{{item}}"), "a", **around).tasks[0][1].write == ("src/a",)
    control = submitted("e", leaf("src"), node(
        "expand", "e", source="results.src", max_children=9, template=writer("w", "src/a")
    ), **around)  # fmt: skip
    edited = {"kind": "leaf", "spec": {
        "id": "w", "prompt": "p", "mode": "read_write", "file_scope": ["secret"]
    }}  # fmt: skip
    with pytest.raises(PlanError) as caught:
        unfold(control, owner="r.e", step="0", body=[edited], values={"item": 1, "index": 0})
    assert caught.value.facts["errors"][0]["kind"] == "contradictory_authority"


@pytest.mark.requirement("WFL-NODE-055")
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ([leaf("a"), leaf("a")], "duplicate_node_id"),
        ([leaf("a", depends_on_results=["ghost"])], "unknown_node_reference"),
        ([leaf("a", colour=1)], "unknown_field"),
        ([leaf("a", prompt=" ")], "empty_leaf_prompt"),
        ([loop("l", leaf("x")), leaf("l.1.x")], "clashing_id"),
        ([{"kind": "leaf", "spec": 5}], "parse_error"),
        ([{"kind": "dance", "spec": {"id": "a"}}], "parse_error"),
        (["x"], "parse_error"),
        ([{}], "parse_error"),
        ([parallel("p", writer("a", "x"), writer("b", "x"))], "overlapping_parallel_write_scope"),
    ],
)
def test_body_is_judged_by_the_rules_of_plans(body: list[Any], kind: str) -> None:
    control = submitted("l", loop("l", leaf("a")))
    with pytest.raises(PlanError) as caught:
        unfold(control, owner="r.l", step="1", body=body, values={"round": 1})
    assert caught.value.facts["errors"][0]["kind"] == kind


@pytest.mark.requirement("WFL-NODE-054")
def test_hostile_values_start_nothing() -> None:
    assert refused(leaf("t", prompt="{{item}}"), "x\0y") == ["parse_error"]
    assert refused(leaf("t", prompt="{{item}}"), "\ud800") == ["parse_error"]
    assert refused(leaf("t", prompt="{{item}}"), "x" * 1_000_000) == ["value_too_long"]
    assert "too_large" in refused(leaf("t", prompt="{{item}}" * 3), "x" * 60_000)
    deep: Any = "x"
    for _ in range(50):
        deep = {"a": deep}
    assert item(leaf("t", prompt="{{item}}"), deep).tasks


def test_lenient_plan_begins_its_bodies_leniently() -> None:
    document = spec(loop("l", leaf("a", colour=1)))
    plan = check(document, lenient=True).plan
    assert plan is not None
    control = plan.tasks[0].spec.control
    assert control is not None
    assert unfold(control, owner="r.l", step="1", body=control.body, values={"round": 1}).tasks
