"""Where gates stand among the tasks of a plan."""

import pytest

from tests.plans.nodes.test_compiling import compiled, control, specs
from tests.plans.nodes.trees import Document, chain, kinds, leaf, loop, node, spec, warned


def gate(**fields: object) -> Document:
    return {
        "id": "g", "role": "scout", "on": "role_complete", "gate": "verify", "on_fail": "retry",
        "blocks_role": "builder", **fields,
    }  # fmt: skip


@pytest.mark.requirement("WFL-NODE-047")
def test_gate_comes_after_its_role_and_before_the_role_that_it_blocks() -> None:
    plan = compiled(
        leaf("one", role="scout"), leaf("two", role="scout"), leaf("other"),
        leaf("build", role="builder"), gates=[gate(max_retries=3)],
    )  # fmt: skip
    found = specs(plan)
    assert found["g"].after == ("one", "two")
    assert found["build"].after == found["build"].inputs == ("g",)
    assert found["other"].after == ()
    terms = control(plan, "g")
    assert (terms.members, terms.bound, len(terms.body)) == (("one", "two"), 3, 2)
    assert found["g"].on_failure == "hold"


@pytest.mark.requirement("WFL-NODE-047")
def test_gate_at_the_start_of_a_role_waits_for_what_the_role_waits_for() -> None:
    plan = compiled(
        leaf("before"), leaf("go", role="scout", depends_on_results=["before"]),
        gates=[gate(on="role_start", blocks_role=None, gate="approve", on_fail="block")],
    )  # fmt: skip
    assert specs(plan)["g"].after == ("before",)
    assert specs(plan)["go"].after == ("before", "g")


@pytest.mark.requirement("WFL-NODE-047")
def test_node_that_comes_before_the_gate_is_not_held_back() -> None:
    first = leaf("first", role="builder")
    document = spec(chain("s", first, leaf("look", role="scout")), gates=[gate()])
    assert "not_enforced" in warned(document)
    with_later = compiled(*document["nodes"], leaf("last", role="builder"), gates=[gate()])
    assert specs(with_later)["first"].after == ()
    assert specs(with_later)["last"].after == ("g",)


@pytest.mark.requirement("WFL-NODE-047")
def test_controller_has_the_roles_of_what_is_inside() -> None:
    plan = compiled(
        loop("l", leaf("look", role="scout")), loop("m", leaf("build", role="builder")),
        gates=[gate(on_fail="block")],
    )  # fmt: skip
    assert specs(plan)["g"].after == ("l",)
    assert specs(plan)["m"].after == ("g",)


@pytest.mark.requirement("WFL-NODE-047")
def test_gates_that_hold_each_other_back_make_no_circle() -> None:
    plan = compiled(
        leaf("a", role="scout"), leaf("b", role="builder"),
        gates=[gate(), gate(id="h", role="builder", blocks_role="scout")],
    )  # fmt: skip
    done: set[str] = set()
    for task in plan.tasks:
        assert done.issuperset(task.spec.after)
        done.add(task.node)


@pytest.mark.requirement("WFL-NODE-047")
def test_nodes_of_one_role_in_unlike_surroundings_are_not_tried_again() -> None:
    narrow = node(
        "branch_set", "b", children=[leaf("one", role="scout")], budget={"max_tokens": 5}
    )
    document = spec(narrow, leaf("two", role="scout"), leaf("x", role="builder"), gates=[gate()])
    assert kinds(document) == ["unsupported_gate"]


def test_gate_with_the_id_of_a_node_has_a_name_of_its_own() -> None:
    plan = compiled(
        leaf("g", role="scout"), leaf("build", role="builder"), gates=[gate(on_fail="block")]
    )
    assert len({task.node for task in plan.tasks}) == 3


@pytest.mark.requirement("WFL-NODE-047")
def test_gate_of_a_role_that_nobody_plays_is_not_open() -> None:
    plan = compiled(leaf("build", role="builder"), gates=[gate()])
    assert specs(plan)["build"].after == ("g",)
    assert control(plan, "g").members == ()
    free = compiled(leaf("build", role="builder"), gates=[gate(blocks_role=None)])
    assert "g" not in specs(free)
