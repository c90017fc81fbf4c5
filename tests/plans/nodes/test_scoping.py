from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plans.nodes.trees import (
    Document,
    chain,
    kinds,
    leaf,
    loop,
    node,
    parallel,
    spec,
    warned,
    writer,
)
from wfledger.core import scopes
from wfledger.plans.checking import check

MEETS = "overlapping_parallel_write_scope"
SCOPES = st.lists(
    st.sampled_from(["src", "src/a", "src/*.py", "docs/**", "docs/x", "*", "lib/a/*", "lib"]),
    min_size=1, max_size=2, unique=True,
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> Document:
    names = iter(range(100))
    inner = st.deferred(
        lambda: st.one_of(
            SCOPES.map(lambda scope: writer(f"w{next(names)}", *scope)),
            st.lists(inner, min_size=1, max_size=3).map(lambda c: chain(f"s{next(names)}", *c)),
            st.lists(inner, min_size=1, max_size=3).map(lambda c: parallel(f"p{next(names)}", *c)),
        )
    )
    return draw(inner)


def writers(tree: Document) -> list[Document]:
    if tree["kind"] == "leaf":
        return [tree]
    return [one for child in tree["spec"]["children"] for one in writers(child)]


def expected(tree: Document) -> int:
    """Count the pairs of children that meet, in each parallel branch, pair by pair."""
    children: list[Document] = tree["spec"].get("children", [])
    count = sum(expected(child) for child in children)
    if not tree["spec"].get("parallel"):
        return count
    return count + sum(
        any(
            meet(one, two) for one in writers(children[left]) for two in writers(children[right])
        )
        for left in range(len(children)) for right in range(left + 1, len(children))
    )  # fmt: skip


def meet(one: Document, two: Document) -> bool:
    found = [[scopes.parse(text) for text in side["spec"]["file_scope"]] for side in (one, two)]
    return scopes.collide(*found) is not None


@pytest.mark.long
@pytest.mark.requirement("WFL-NODE-036")
@settings(max_examples=40)
@given(tree=documents())
def test_each_pair_of_children_that_meets_is_told_once(tree: Document) -> None:
    errors = check(spec(tree)).errors
    assert {problem.kind for problem in errors} <= {MEETS}
    assert len(errors) == expected(tree)


@pytest.mark.requirement("WFL-NODE-036")
def test_overlap_names_the_leaves_the_branch_and_a_path_that_both_write() -> None:
    document = spec(
        parallel("p", chain("s", writer("a", "docs"), writer("b", "src/**/x.py")),
                 loop("l", writer("c", "src/a/*"))),
    )  # fmt: skip
    (problem,) = check(document).errors
    for name in ("`b`", "`c`", "`p`", "`src/a/x.py`"):
        assert name in problem.message
    assert problem.pointer == "/nodes/0/spec/children/1/spec/children/0/spec/file_scope"


@pytest.mark.requirement("WFL-NODE-036")
@pytest.mark.parametrize("strategy", ["first_success", "best_score", "teacher_selected"])
def test_of_rivals_one_lands_so_that_they_may_write_the_same(strategy: str) -> None:
    def made(*candidates: str, more: Sequence[Document] = (), picks: bool = True) -> Document:
        rivals = [writer("a", "src"), writer("b", "src"), *more]
        policy = {"strategy": strategy if picks else "all"}
        review = node(
            "teacher_review", "t", candidates=list(candidates), promotion_policy=policy
        )
        return spec(parallel("p", *rivals), review)

    assert kinds(made("a", "b")) == []
    inherited = made("a", "b")
    inherited["promotion_policy"] = inherited["nodes"][1]["spec"].pop("promotion_policy")
    assert kinds(inherited) == []
    inherited["nodes"][1]["spec"]["promotion_policy"] = {}
    assert kinds(inherited) == [MEETS]
    assert kinds(made("p")) == []
    assert kinds(made("a", "b", picks=False)) == [MEETS]
    assert kinds(made("a")) == [MEETS]
    assert kinds(made("a", "b", more=[writer("c", "src")])) == [MEETS, MEETS]


@pytest.mark.requirement("WFL-NODE-035")
def test_writers_without_a_scope_are_refused_where_something_else_writes() -> None:
    lone = leaf("a", mode="read_write")
    assert kinds(spec(lone)) == []
    assert warned(spec(lone)) == ["missing_write_scope"]
    assert kinds(spec(lone, writer("b", "src"))) == ["missing_write_scope"]
    assert kinds(spec(parallel("p", chain("s", lone)))) == ["missing_parallel_write_scope"]
    template = node("expand", "e", source="results.x", max_children=2, template=lone)
    assert kinds(spec(leaf("x"), template)) == ["missing_write_scope"]
    for document in (spec(lone, writer("b", "src")), spec(parallel("p", lone)), spec(template)):
        checked = check(document, lenient=True)
        assert checked.errors == ()
        assert "missing_write_scope" in [problem.kind for problem in checked.warnings]


@pytest.mark.long
def test_thousands_of_writers_are_compared_without_trying_every_pair() -> None:
    found = [writer(f"w{number}", f"src/m{number}/**") for number in range(4_000)]
    chains = [chain(f"s{part}", *found[part::2]) for part in range(2)]
    assert kinds(spec(parallel("p", *chains))) == []
