import json

import pytest

from tests.plans.documents import Document, config, phase, short, task, writer
from wfledger.core import scopes
from wfledger.plans import picture
from wfledger.plans.checking import check
from wfledger.plans.picture import Picture

pytestmark = pytest.mark.requirement("WFL-PLAN-050")


def drawn(document: Document) -> Picture:
    checked = check(document)
    assert checked.plan is not None, checked.errors
    return picture.draw(checked.plan)


def test_picture_shows_depth_width_and_one_longest_chain() -> None:
    found = drawn(
        short(
            task("a"),
            task("b", after=["a"], write=["b"]),
            {"id": "c", "command": "x", "after": ["a"]},
            {"id": "d", "manual": True, "after": ["c", "b"]},
            task("alone"),
        )
    )
    assert (found.tasks, found.agents, found.writers) == (5, 3, 1)
    assert (found.depth, found.width) == (3, 2)
    assert found.steps == (("a", "alone"), ("b", "c"), ("d",))
    assert found.critical_path in {("a", "b", "d"), ("a", "c", "d")}
    json.dumps(found.as_json())


def test_writers_without_a_path_between_them_collide_with_a_witness() -> None:
    found = drawn(
        short(
            task("a", write=["src/**/x.py"]),
            task("b", write=["docs", "src/a"]),
            task("c", write=["src/a/x.py"], after=["a"]),
            task("d", write=["other"]),
        )
    )
    assert {(one.left, one.right) for one in found.collisions} == {("a", "b"), ("b", "c")}
    assert found.collision_count == 2
    for one in found.collisions:
        for pattern in (one.left_pattern, one.right_pattern):
            assert scopes.matches(scopes.parse(pattern), one.witness)


def test_path_over_other_tasks_is_a_path() -> None:
    chain = [task("a", write=["x"]), task("b", after=["a"]), task("c", after=["b"], write=["x"])]
    assert drawn(short(*chain)).collisions == ()


def test_collisions_are_all_counted_and_some_listed() -> None:
    found = drawn(short(*(task(f"t{n}", write=["src"]) for n in range(200))))
    assert found.collision_count == 200 * 199 // 2
    assert len(found.collisions) == picture.LISTED


def test_hints_name_a_serial_plan_and_a_bound_below_the_width() -> None:
    serial = config(phase("p", writer("a", "a"), writer("b", "b")))
    assert any("serial" in hint for hint in drawn(serial).hints)
    narrow = config(phase("p", *(task(f"t{n}") for n in range(5)), parallel=True), max_concurrent=2)
    assert any("allows 2" in hint for hint in drawn(narrow).hints)
    assert drawn(short(task("a"))).hints == ()
