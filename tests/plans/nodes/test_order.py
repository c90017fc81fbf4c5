"""The first error is the original's, whatever else is wrong: random trees against an oracle."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plans.nodes import original
from tests.plans.nodes.trees import Document, kinds, leaf, loop, node, pointers, spec, writer
from wfledger.plans.checking import check

ORIGINAL = {
    "empty_node_id", "duplicate_node_id", "empty_leaf_prompt", "invalid_leaf_role",
    "invalid_leaf_profile", "unknown_node_reference",
}  # fmt: skip
#: Mostly sound, so that an error is often the only one.
IDS = st.sampled_from([*(f"n{number}" for number in range(40)), "", " \u2003"])
NAMES = st.lists(st.sampled_from([*(f"n{number}" for number in range(40)), "ghost"]), max_size=2)


@st.composite
def leaves(draw: st.DrawFn) -> Document:
    fields: dict[str, Any] = {"depends_on_results": draw(NAMES)}
    if draw(st.integers(0, 9)) == 0:
        fields["prompt"] = draw(st.sampled_from(["", "\t", "\u00a0"]))
    if draw(st.integers(0, 4)) == 0:
        fields["role"] = draw(st.sampled_from(["dev", " dev ", "a b", "", "it's", "x=y", None]))
    if draw(st.integers(0, 4)) == 0:
        fields["profile"] = draw(st.sampled_from(["fast", " fast", "", "`", None]))
    if draw(st.integers(0, 9)) == 0:
        fields["colour"] = "blue"
    return leaf(draw(IDS), **fields)


@st.composite
def holders(draw: st.DrawFn, inner: st.SearchStrategy[list[Document]]) -> Document:
    kind = draw(st.sampled_from(["branch_set", "sequence", "loop_until", "cond"]))
    if kind == "cond":
        arms = {"then_nodes": draw(inner), "else_nodes": draw(inner)}
        return node("cond", draw(IDS), condition="ready", **arms)
    fields: dict[str, Any] = {"children": draw(inner)}
    if kind == "loop_until":
        fields["condition"] = "ready"
    if kind == "branch_set":
        fields["parallel"] = draw(st.booleans())
    return node(kind, draw(IDS), **fields)


LAST = st.one_of(
    leaves(),
    st.builds(lambda name, names: node("reduce", name, prompt="p", inputs=names), IDS, NAMES),
    st.builds(lambda name, names: node("teacher_review", name, candidates=names), IDS, NAMES),
)
TREES = st.recursive(
    LAST, lambda inner: holders(st.lists(inner, max_size=3)), max_leaves=8
)  # fmt: skip


@pytest.mark.long
@pytest.mark.requirement("WFL-NODE-010")
@given(nodes=st.lists(TREES, max_size=4))
def test_first_error_of_a_random_tree_is_that_of_the_original(nodes: list[Document]) -> None:
    expected = original.verdict({"goal": "g", "nodes": nodes})
    lenient = kinds(spec(*nodes), lenient=True)
    assert (lenient[0] if lenient else "ok") == expected
    strict = [kind for kind in kinds(spec(*nodes)) if kind in ORIGINAL]
    assert (strict[0] if strict else "ok") == expected


@pytest.mark.long
@given(nodes=st.lists(TREES, min_size=1, max_size=4), data=st.data())
def test_what_cannot_be_read_stands_first(nodes: list[Document], data: st.DataObject) -> None:
    document = spec(*nodes)
    places = [one for one in _specs(nodes) if one]
    data.draw(st.sampled_from(places))["id"] = data.draw(st.sampled_from([None, 3, ["x"], {}]))
    assert kinds(document)[0] == kinds(document, lenient=True)[0] == "parse_error"


def _specs(nodes: list[Document]) -> list[Document]:
    found = []
    for one in nodes:
        inner = one["spec"]
        found.append(inner)
        for name in ("children", "then_nodes", "else_nodes"):
            found += _specs(inner.get(name, []))
    return found


@pytest.mark.requirement("WFL-NODE-010")
def test_all_errors_are_told_at_once_in_the_order_of_their_walks() -> None:
    document = spec(
        leaf("a", prompt="", role="x y", profile="=", colour=1, depends_on_results=["ghost", "a"]),
        node("branch_set", "p", parallel=True, children=[
            writer("w", "src"), writer("v", "src/x"), leaf("u", mode="read_write"),
        ]),
        node("sequence", "s", children=[]),
        leaf("a", permissions={"allow_write": True}, budget={"max_steps": 0}),
        leaf("m", depends_on_results=["n"]), leaf("n", depends_on_results=["m"]),
        loop("l", leaf("b"), condition="all is well"),
        goal=" ", extra=1,
    )  # fmt: skip
    checked = check(document)
    assert list(zip((one.kind for one in checked.errors), pointers(checked), strict=True)) == [
        ("empty_field", "/goal"),
        ("unknown_field", "/extra"),
        ("empty_leaf_prompt", "/nodes/0/spec/prompt"),
        ("invalid_leaf_role", "/nodes/0/spec/role"),
        ("invalid_leaf_profile", "/nodes/0/spec/profile"),
        ("unknown_field", "/nodes/0/spec/colour"),
        ("empty_branch", "/nodes/2/spec/children"),
        ("duplicate_node_id", "/nodes/3/spec/id"),
        ("contradictory_authority", "/nodes/3/spec/permissions/allow_write"),
        ("invalid_bound", "/nodes/3/spec/budget/max_steps"),
        ("invalid_expression", "/nodes/6/spec/condition"),
        ("unknown_node_reference", "/nodes/0/spec/depends_on_results/0"),
        ("unavailable_result", "/nodes/0/spec/depends_on_results/1"),
        ("missing_parallel_write_scope", "/nodes/1/spec/children/2/spec/file_scope"),
        ("overlapping_parallel_write_scope", "/nodes/1/spec/children/1/spec/file_scope"),
        ("dependency_cycle", "/nodes/5/spec/depends_on_results/0"),
    ]


@pytest.mark.requirement("WFL-NODE-011")
def test_what_only_strict_refuses_is_told_in_lenient_as_well() -> None:
    document = spec(
        leaf("a", colour=1, depends_on_results=["a"], permissions={"allow_write": True},
             budget={"max_steps": 0}),
        node("sequence", "s", children=[]),
        leaf("m", depends_on_results=["n"]), leaf("n", depends_on_results=["m"]),
        goal=" ",
    )  # fmt: skip
    checked = check(document, lenient=True)
    assert checked.errors == ()
    assert [problem.kind for problem in checked.warnings][:7] == [
        "empty_field", "unknown_field", "contradictory_authority", "invalid_bound", "empty_branch",
        "unavailable_result", "dependency_cycle",
    ]  # fmt: skip
    assert checked.plan is not None
    after = {task.given: task.spec.after for task in checked.plan.tasks}
    assert after["a"] == after["m"] == ()
    assert after["n"] == ("m",)


@pytest.mark.requirement("WFL-NODE-012")
def test_templates_are_judged_like_the_rest_in_strict_and_only_warned_of_in_lenient() -> None:
    inner = node("sequence", "t", children=[
        leaf("a", prompt=""), leaf("", depends_on_results=["ghost"]),
        leaf("x", depends_on_results=["y"]), leaf("y"),
    ])  # fmt: skip
    document = spec(leaf("a"), node("expand", "e", source="a", max_children=2, template=inner))
    found = [
        "duplicate_node_id", "empty_leaf_prompt", "empty_node_id", "unknown_node_reference",
        "unavailable_result",
    ]  # fmt: skip
    assert kinds(document) == found
    lenient = check(document, lenient=True)
    assert lenient.errors == ()
    assert [problem.kind for problem in lenient.warnings if problem.kind in found] == found


def test_a_template_is_named_from_outside_by_its_expand() -> None:
    document = spec(
        node("expand", "e", source="results.s.outputs.items", max_children=2,
             template=node("sequence", "t", children=[leaf("one"), leaf("two")])),
        leaf("s"), leaf("b", depends_on_results=["two"]),
    )  # fmt: skip
    (problem,) = check(document).errors
    assert problem.kind == "unknown_node_reference"
    assert "name `e` instead" in problem.message


def test_a_misspelt_reference_is_told_what_was_meant() -> None:
    (problem,) = check(spec(leaf("analyse"), leaf("b", depends_on_results=["analyze"]))).errors
    assert "did you mean `analyse`?" in problem.message
