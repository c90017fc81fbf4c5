"""Which results can be there: cases, and random trees that are played through by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plans.nodes.trees import Document, chain, kinds, leaf, loop, node, parallel, spec, warned
from wfledger.plans.checking import check


class Played:
    """Plays a tree through: what begins waits for what it names, what ends for what is inside."""

    def __init__(self, roots: list[Document]) -> None:
        self.nodes: dict[str, Document] = {}
        self.parent: dict[str, str | None] = {}
        self.before: dict[str, str | None] = {}
        self._add(roots, None, chained=False)
        self.begun: set[str] = set()
        self.ended: set[str] = set()
        changed = True
        while changed:
            changed = any(self._step(name) for name in self.nodes)

    @property
    def is_over(self) -> bool:
        return len(self.ended) == len(self.nodes)

    def _add(self, nodes: list[Document], parent: str | None, *, chained: bool) -> None:
        before = None
        for one in nodes:
            name = one["spec"]["id"]
            self.nodes[name], self.parent[name] = one, parent
            self.before[name] = before if chained else None
            before = name
            for arm in self.arms(one):
                at_once = one["kind"] == "branch_set" and one["spec"].get("parallel", False)
                self._add(arm, name, chained=not at_once)

    @staticmethod
    def arms(one: Document) -> list[list[Document]]:
        fields = ("children", "then_nodes", "else_nodes")
        return [one["spec"][field] for field in fields if field in one["spec"]]

    def around(self, name: str) -> list[str]:
        found = [name]
        while (parent := self.parent[found[-1]]) is not None:
            found.append(parent)
        return found

    def named(self, name: str) -> list[str]:
        """Return what must have ended before a node begins."""
        one = self.nodes[name]
        wanted = list(one["spec"].get("depends_on_results", []))
        if one["kind"] not in {"loop_until", "cond"}:
            return wanted
        condition = one["spec"]["condition"]
        asked = condition.split('"')[1] if '"' in condition else None
        if asked and not (one["kind"] == "loop_until" and name in self.around(asked)[1:]):
            wanted.append(asked)
        inside = [other for other in self.nodes if name in self.around(other)[1:]]
        for other in inside:
            wanted += [far for far in self.named(other) if name not in self.around(far)]
        return wanted

    def _step(self, name: str) -> bool:
        if name not in self.begun:
            parent, before = self.parent[name], self.before[name]
            ready = (parent is None or parent in self.begun) and (
                before is None or before in self.ended
            )
            if ready and set(self.named(name)) <= self.ended:
                self.begun.add(name)
                return True
        elif name not in self.ended:
            inside = [other for other, parent in self.parent.items() if parent == name]
            if set(inside) <= self.ended:
                self.ended.add(name)
                return True
        return False

    def is_risky(self) -> bool:
        """Whether a node names one that runs at the same time, or in the other arm."""
        return any(self._beside(name, to) for name in self.nodes for to in self.named(name))

    def _beside(self, name: str, to: str) -> bool:
        left, right = self.around(name)[::-1], self.around(to)[::-1]
        shared = 0
        while shared < min(len(left), len(right)) and left[shared] == right[shared]:
            shared += 1
        if shared == 0 or shared == len(left) or shared == len(right):
            return False
        holder = self.nodes[left[shared - 1]]
        if holder["kind"] == "cond":
            arms = [{one["spec"]["id"] for one in arm} for arm in self.arms(holder)]
            return not any({left[shared], right[shared]} <= arm for arm in arms)
        return bool(holder["spec"].get("parallel", False))


@st.composite
def documents(draw: st.DrawFn) -> list[Document]:
    """Draw a tree of up to nine nodes with distinct ids and references among all of them."""
    count = draw(st.integers(2, 9))
    names = [f"n{number}" for number in range(count)]
    roots: list[Document] = []
    lists: list[list[Document]] = [roots]
    for name in names:
        kind = draw(st.sampled_from(["leaf", "leaf", "chain", "parallel", "loop", "cond"]))
        wanted = draw(st.lists(st.sampled_from(names), max_size=2))
        asked = f'results["{wanted[0]}"].status == "x"' if wanted else "ready"
        made: dict[str, Any] = {
            "leaf": lambda n=name, w=wanted: leaf(n, depends_on_results=w),
            "chain": lambda n=name: chain(n),
            "parallel": lambda n=name: parallel(n),
            "loop": lambda n=name, a=asked: loop(n, condition=a),
            "cond": lambda n=name, a=asked: node(
                "cond", n, condition=a, then_nodes=[], else_nodes=[]
            ),
        }  # fmt: skip
        one = made[kind]()
        lists[draw(st.integers(0, len(lists) - 1))].append(one)
        lists += Played.arms(one)
    return roots


@pytest.mark.long
@pytest.mark.requirement("WFL-NODE-025")
@pytest.mark.requirement("WFL-NODE-026")
@given(roots=documents())
def test_what_is_accepted_runs_to_its_end_and_what_would_stand_still_is_refused(
    roots: list[Document],
) -> None:
    found = {"unavailable_result", "dependency_cycle"} & set(kinds(spec(*roots)))
    played = Played(roots)
    if not played.is_over:
        assert found
    elif found:
        assert played.is_risky()


@pytest.mark.long
@pytest.mark.requirement("WFL-NODE-011")
@given(roots=documents())
def test_lenient_leaves_out_what_would_stand_still(
    roots: list[Document],
) -> None:
    checked = check(spec(*roots), lenient=True)
    assert checked.errors == ()
    assert checked.plan is not None
    seen: set[str] = set()
    for task in checked.plan.tasks:
        assert set(task.spec.after) <= seen
        seen.add(task.node)


@pytest.mark.requirement("WFL-NODE-026")
def test_a_circle_names_those_in_it_and_where_it_closes() -> None:
    document = spec(
        chain("s", leaf("a", depends_on_results=["d"]), leaf("b")),
        chain("t", leaf("c", depends_on_results=["b"]), leaf("d")),
    )  # fmt: skip
    (problem,) = check(document).errors
    assert problem.kind == "dependency_cycle"
    assert "`a`" in problem.message
    assert "`c`" in problem.message
    assert problem.pointer == "/nodes/1/spec/children/0/spec/depends_on_results/0"


@pytest.mark.requirement("WFL-NODE-011")
@pytest.mark.requirement("WFL-NODE-026")
def test_a_circle_through_a_condition_is_a_warning_in_lenient_like_any_other() -> None:
    document = spec(
        loop("l", leaf("a"), condition="results.b.status == 'succeeded'"),
        leaf("b", depends_on_results=["l"]),
    )
    assert kinds(document) == ["dependency_cycle"]
    checked = check(document, lenient=True)
    assert {"dependency_cycle", "dropped_edge"} <= {one.kind for one in checked.warnings}
    assert checked.plan is not None
    assert [task.spec.after for task in checked.plan.tasks] == [(), ("b",)]


@pytest.mark.requirement("WFL-NODE-027")
@pytest.mark.parametrize("condition", ["ready", "l", "a.b.c == 1", "nobody"])
def test_a_name_that_can_have_no_result_is_asked_of_a_person(condition: str) -> None:
    document = spec(loop("l", leaf("x"), condition=condition))
    assert kinds(document) == []
    assert "unresolved_name" in warned(document)


@pytest.mark.requirement("WFL-NODE-027")
def test_a_question_waits_for_what_it_names() -> None:
    document = spec(
        node("cond", "c", condition="results.a.changed", then_nodes=[leaf("x")]),
        node("expand", "e", source="a", max_children=2, template=leaf("t")),
        leaf("a"),
    )
    checked = check(document)
    assert checked.errors == checked.warnings == ()
    assert checked.plan is not None
    after = {task.given: task.spec.after for task in checked.plan.tasks}
    assert after == {"a": (), "c": ("a",), "e": ("a",)}


@pytest.mark.requirement("WFL-NODE-021")
def test_what_is_no_expression_is_refused_with_what_would_be_one() -> None:
    document = spec(loop("l", leaf("x"), condition="all tests are green"))
    for lenient in (False, True):
        (problem,) = check(document, lenient=lenient).errors
        assert problem.kind == "invalid_expression"
        assert problem.pointer == "/nodes/0/spec/condition"
        assert "`command`" in problem.message


@pytest.mark.requirement("WFL-NODE-025")
def test_lenient_waits_for_a_node_beside_it_in_a_parallel_branch_and_says_so() -> None:
    document = spec(parallel("b", leaf("y", depends_on_results=["x"]), leaf("x")))
    assert [one.kind for one in check(document).errors] == ["unavailable_result"]
    checked = check(document, lenient=True)
    assert [one.kind for one in checked.warnings] == ["added_edge"]
    assert checked.plan is not None
    waits = {task.node: task.spec.after for task in checked.plan.tasks}
    assert waits["y"] == ("x",)
