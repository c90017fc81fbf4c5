"""What a tree of nodes becomes: tasks, controllers, and who waits for whom."""

from typing import Any

import pytest

from tests.plans.nodes.trees import (
    Document,
    chain,
    kinds,
    leaf,
    loop,
    node,
    parallel,
    reduce,
    spec,
    warned,
    writer,
)
from wfledger.core.control import Control
from wfledger.core.documents import TaskSpec
from wfledger.plans.checking import check
from wfledger.plans.compiling import Plan


def compiled(*nodes: Document, **fields: Any) -> Plan:
    checked = check(spec(*nodes, **fields))
    assert checked.plan is not None, checked.errors
    return checked.plan


def specs(plan: Plan) -> dict[str, TaskSpec]:
    return {task.node: task.spec for task in plan.tasks}


def control(plan: Plan, name: str) -> Control:
    found = specs(plan)[name].control
    assert found is not None
    return found


@pytest.mark.requirement("WFL-NODE-040")
@pytest.mark.requirement("WFL-NODE-041")
def test_chains_wait_and_groups_hold() -> None:
    plan = compiled(
        leaf("first"),
        chain("steps", leaf("one"), parallel("two", leaf("left"), leaf("right")), leaf("three")),
        reduce("sum", "steps", "first"),
    )
    found = specs(plan)
    assert {name: spec.after for name, spec in found.items()} == {
        "first": (), "one": (), "left": ("one",), "right": ("one",), "two": ("left", "right"),
        "three": ("two",), "steps": ("one", "two", "three"), "sum": ("steps", "first"),
    }  # fmt: skip
    assert found["sum"].inputs == ("steps", "first")
    assert found["sum"].reduces
    assert found["sum"].write == ()
    assert control(plan, "two").members == ("left", "right")
    assert control(plan, "steps").kind == "sequence"
    assert found["one"].on_failure == found["steps"].on_failure == "skip_continue"


@pytest.mark.requirement("WFL-NODE-041")
def test_tasks_stand_after_what_they_wait_for_whatever_the_order_declared() -> None:
    plan = compiled(leaf("late", depends_on_results=["early"]), leaf("early"))
    assert [task.node for task in plan.tasks] == ["early", "late"]
    assert specs(plan)["late"].inputs == ("early",)


@pytest.mark.requirement("WFL-NODE-043")
def test_controller_stands_for_what_it_holds_and_knows_what_is_outside() -> None:
    plan = compiled(
        leaf("list"),
        loop(
            "outer", leaf("a", depends_on_results=["list"]), loop("inner", leaf("b")),
            condition='results.a.status == "succeeded" && results.list.changed',
        ),
        leaf("reader", depends_on_results=["b", "a"]),
    )  # fmt: skip
    found = specs(plan)
    assert found["reader"].after == found["reader"].inputs == ("outer",)
    assert found["outer"].after == ("list",)
    assert control(plan, "outer").outer == {"list": "list"}
    assert [one["spec"]["id"] for one in control(plan, "outer").body] == ["a", "inner"]
    assert "a" not in found


@pytest.mark.long
@pytest.mark.requirement("WFL-NODE-044")
def test_wide_group_is_held_by_groups_in_between() -> None:
    plan = compiled(parallel("all", *(leaf(f"n{number}") for number in range(1200))))
    assert control(plan, "all").members == ("all.part1", "all.part2", "all.part3")
    assert len(control(plan, "all.part3").members) == 200
    held = [m for part in (1, 2, 3) for m in control(plan, f"all.part{part}").members]
    assert held == [f"n{number}" for number in range(1200)]


@pytest.mark.long
@pytest.mark.requirement("WFL-NODE-044")
def test_too_many_edges_are_refused() -> None:
    names = [f"n{number}" for number in range(4097)]
    assert kinds(spec(*map(leaf, names), reduce("sum", *names))) == ["too_many_edges"]


PICK = {"strategy": "best_score"}


@pytest.mark.requirement("WFL-NODE-045")
def test_candidates_are_held_back_and_the_review_has_their_scope() -> None:
    plan = compiled(
        parallel("both", writer("a", "src"), chain("b", leaf("look"), writer("w", "src", "doc"))),
        node("teacher_review", "pick", candidates=["both"], promotion_policy=PICK),
    )
    found = specs(plan)
    assert control(plan, "pick").members == ("a", "w")
    assert found["a"].candidate_of == found["w"].candidate_of == "pick"
    assert found["look"].candidate_of is None
    assert set(found["pick"].write) == {"src", "doc"}


@pytest.mark.requirement("WFL-NODE-045")
def test_review_that_takes_all_holds_nothing_back() -> None:
    plan = compiled(writer("a", "src"), node("teacher_review", "see", candidates=["a"]))
    assert specs(plan)["a"].candidate_of is None
    assert specs(plan)["see"].write == ()


@pytest.mark.requirement("WFL-NODE-045")
def test_candidate_that_lands_all_the_same_is_said() -> None:
    two = chain("two", writer("a", "x"), writer("b", "y"))
    review = node("teacher_review", "pick", candidates=["two"], promotion_policy=PICK)
    assert "not_enforced" in warned(spec(two, review))


@pytest.mark.requirement("WFL-NODE-045")
def test_best_of_becomes_tries_and_a_choice() -> None:
    plan = compiled(
        leaf("before"),
        writer("best", "src", best_of=3, judge={"command": "./judge"},
               depends_on_results=["before"]),
        leaf("after", depends_on_results=["best"]),
    )  # fmt: skip
    found = specs(plan)
    tries = ("best.try1", "best.try2", "best.try3")
    assert control(plan, "best").members == found["best"].after == tries
    assert all(found[one].after == ("before",) for one in tries)
    assert {found[one].candidate_of for one in tries} == {"best"}
    assert found["after"].inputs == ("best",)


@pytest.mark.requirement("WFL-NODE-046")
@pytest.mark.parametrize("other", ["l.1.a", "l.x"])
def test_name_that_a_started_task_could_get_is_refused(other: str) -> None:
    assert "clashing_id" in kinds(spec(loop("l", leaf("a")), leaf(other)))
    assert "clashing_id" in kinds(spec(loop("outer", loop("l", leaf("a")), leaf(other))))
    assert kinds(spec(leaf("l"), leaf(other))) == []


@pytest.mark.requirement("WFL-NODE-048")
def test_body_that_no_task_can_keep_is_refused() -> None:
    body = [leaf(f"n{number}", prompt="x" * 1000) for number in range(200)]
    assert kinds(spec(loop("l", *body))) == ["too_large"]


@pytest.mark.requirement("WFL-NODE-048")
def test_task_that_no_document_can_hold_is_refused_with_its_plan() -> None:
    assert kinds(spec(leaf("n", prompt="x" * 250_000))) == ["too_large"]
    names = [f"{number:04}{'n' * 50}" for number in range(2500)]
    assert kinds(spec(*map(leaf, names), reduce("r", *names))) == ["too_large"]


@pytest.mark.requirement("WFL-NODE-056")
def test_everything_that_may_be_begun_is_known_with_its_widest_scope() -> None:
    plan = compiled(
        leaf("list"),
        node("expand", "each", source="results.list", max_children=2, template=chain(
            "steps",
            writer("fix", "src/{{item}}/a.py"),
            node("cond", "check", condition={"command": "test -e x"},
                 then_nodes=[leaf("yes")], else_nodes=[leaf("no")]),
        )),
    )  # fmt: skip
    later = {task.node: task.spec for task in plan.later}
    assert set(later) == {
        "each.steps", "each.fix", "each.check", "each.check.asks", "each.check.then.yes",
        "each.check.else.no",
    }  # fmt: skip
    assert later["each.fix"].write == ("src/**",)
    assert later["each.check.then.yes"].parent == "each.check"
    assert {task.node for task in plan.tasks} == {"list", "each"}


def test_circle_is_broken_in_lenient_and_refused_in_strict() -> None:
    document = spec(leaf("a", depends_on_results=["b"]), leaf("b", depends_on_results=["a"]))
    assert kinds(document) == ["dependency_cycle"]
    checked = check(document, lenient=True)
    assert checked.plan is not None
    assert sum(len(task.spec.after) for task in checked.plan.tasks) < 2


@pytest.mark.parametrize(
    "document",
    [
        spec(leaf("a", depends_on_results=["a"])),
        spec(chain("s", leaf("a", depends_on_results=["s"]))),
        spec(loop("l", leaf("a", depends_on_results=["l"]))),
        spec(reduce("r", "r")),
        spec(node("teacher_review", "t", candidates=["t"])),
        spec(loop("l", leaf("a"), condition="results.l.verdict")),
    ],
)
def test_self_reference_is_an_error_kind_or_a_warning_and_never_a_circle(
    document: Document,
) -> None:
    checked = check(document)
    assert checked.errors or checked.warnings
    if checked.plan is not None:
        done: set[str] = set()
        for task in checked.plan.tasks:
            assert done.issuperset(task.spec.after)
            done.add(task.node)


def test_plan_has_the_limits_of_its_document() -> None:
    plan = compiled(
        leaf("a"), budget={"max_tokens": 500, "timeout_secs": 60, "max_parallel": 2}, id="named"
    )
    assert plan.budget is not None
    assert (plan.budget.tokens, plan.time_s, plan.max_concurrent) == (500, 60, 2)
    assert plan.name == "named"
