"""How much a plan would start: counted as the original counts it."""

import pytest

from tests.plans.nodes.trees import Document, chain, leaf, loop, node, parallel, reduce, spec
from wfledger.plans.checking import check
from wfledger.plans.nodes.launch import Launch
from wfledger.plans.picture import draw


def expand(name: str, count: int | None, template: Document | None) -> Document:
    return node("expand", name, source="results.src", max_children=count, template=template)


def launch(*nodes: Document) -> Launch:
    checked = check(spec(leaf("src"), *nodes), lenient=True)
    assert checked.plan is not None, checked.errors
    assert checked.plan.launch is not None
    return checked.plan.launch


def nested(levels: int) -> Document:
    found = leaf("deep")
    for level in range(levels):
        found = parallel(f"b{level}", found)
    return found


@pytest.mark.requirement("WFL-NODE-070")
@pytest.mark.parametrize(
    ("nodes", "total", "depth"),
    [
        ([], 1, 1),
        ([chain("s", leaf("a"), chain("t", leaf("b")))], 3, 1),
        ([nested(3)], 2, 4),
        ([reduce("r", "src"), node("teacher_review", "t", candidates=["src"])], 1, 1),
        ([loop("l", leaf("a"), leaf("b"), max_iterations=5)], 11, 1),
        ([loop("l", leaf("a"), max_iterations=0)], 2, 1),
        ([node("cond", "c", condition="true", then_nodes=[leaf("a")],
               else_nodes=[leaf("b"), leaf("d")])], 4, 1),
        ([expand("e", 7, chain("t", leaf("a"), leaf("b")))], 15, 1),
        ([expand("e", 0, parallel("t", leaf("a")))], 1, 2),
        ([loop("l", expand("e", 3, loop("m", leaf("a"), max_iterations=4)))], 25, 1),
        ([leaf("x", best_of=4, mode="read_write", file_scope=["a"])], 5, 1),
        ([parallel("empty")], 1, 1),
    ],
)  # fmt: skip
def test_total_and_depth(nodes: list[Document], total: int, depth: int) -> None:
    found = launch(*nodes)
    assert found.as_json() == {"total": total, "depth": depth}


@pytest.mark.requirement("WFL-NODE-070")
def test_counting_has_an_end() -> None:
    tree = leaf("a")
    for level in range(12):
        tree = loop(f"l{level}", tree, max_iterations=2**32 - 1)
    assert launch(tree).total == 2**64 - 1


@pytest.mark.requirement("WFL-NODE-071")
def test_what_has_no_end_is_named_first_and_as_declared() -> None:
    nodes = (
        nested(6), expand("e", None, None), expand("f", 2000, None), expand("g", 1, None),
        loop("l", expand("h", 2000, leaf("a")), max_iterations=None),
    )  # fmt: skip
    assert [problem.kind for problem in launch(*nodes).problems()] == [
        "unbounded_expand", "missing_expand_template", "missing_expand_template",
        "unbounded_loop", "too_many_agents", "recursion_too_deep",
    ]  # fmt: skip


@pytest.mark.requirement("WFL-NODE-071")
def test_limits_are_reached_and_not_passed() -> None:
    assert launch(expand("e", 999, leaf("a")), nested(4)).problems(1001, 5) == ()
    kinds = [one.kind for one in launch(expand("e", 1000, leaf("a"))).problems()]
    assert kinds == ["too_many_agents"]
    assert [one.kind for one in launch(nested(5)).problems()] == ["recursion_too_deep"]
    assert launch(nested(5)).problems(max_depth=6) == ()


def test_agents_are_counted_with_rounds_and_items_and_commands_are_none() -> None:
    asked = {"kind": "leaf", "spec": {"id": "a", "prompt": "p", "best_of": 2}}
    done = {"kind": "leaf", "spec": {"id": "b", "command": "true"}}
    loop = {"id": "l", "condition": "1 < 2", "max_iterations": 3, "children": [asked, done]}
    said = {"kind": "reduce", "spec": {"id": "r", "inputs": ["l"], "prompt": "p"}}
    plan = check({"goal": "g", "nodes": [{"kind": "loop_until", "spec": loop}, said]}).plan
    assert plan is not None
    assert draw(plan).agents == 7
