from pathlib import Path
from typing import Any

import pytest

from wfledger.plans.checking import Checked, check_text
from wfledger.plans.frontends import starlark

FILES = Path(__file__).parent / "files"


def evaluated(text: str) -> Any:
    found = starlark.evaluate(text, "plan.star", lambda: False)
    assert found.problem is None, found.problem
    return found.document


def problem(text: str) -> Any:
    return starlark.evaluate(text, "plan.star", lambda: False).problem


def checked(text: str) -> Checked:
    def evaluate(text: str, source: str) -> Any:
        return starlark.evaluate(text, source, lambda: False)

    return check_text(text, "plan.star", evaluate=evaluate).placed()


def nodes(text: str) -> list[Any]:
    return list(evaluated(f'workflow("g", [{text}])')["nodes"])


@pytest.mark.requirement("WFL-FRONT-021")
def test_helpers_make_the_nodes_of_the_original() -> None:
    (leaf,) = nodes('agent("a", "p", "implement", "read_write", "worktree", ["src"], ["b"])')
    assert leaf == {
        "kind": "leaf",
        "spec": {
            "id": "a", "prompt": "p", "agent_type": "implementer", "mode": "read_write",
            "isolation": "worktree", "file_scope": ["src"], "depends_on_results": ["b"],
        },
    }  # fmt: skip
    made = nodes(
        'branch("b", []), sequence("s", []), reduce("r", "p", ["a"]), tournament("t", ["a"]), '
        'teacher_review("v"), loop_until("l", "x", [], 2), when("w", "x", []), '
        'expand("e", "x", 3, template=agent("i", "p"))'
    )
    assert [node["kind"] for node in made] == [
        "branch_set", "sequence", "reduce", "teacher_review", "teacher_review", "loop_until",
        "cond", "expand",
    ]  # fmt: skip
    assert made[0]["spec"]["parallel"] is True
    assert made[5]["spec"]["max_iterations"] == 2
    assert made[7]["spec"]["template"]["kind"] == "leaf"


@pytest.mark.requirement("WFL-FRONT-021")
@pytest.mark.parametrize(
    ("call", "kind", "word"),
    [
        ('test("t", "pytest -q")', "verifier", "pytest -q"),
        ('search("t", "where is x")', "tool_agent", "where is x"),
        ('shell("t", "ls", ["src"])', "tool_agent", "ls"),
    ],
)
def test_programs_are_asked_for_in_a_prompt(call: str, kind: str, word: str) -> None:
    (leaf,) = nodes(call)
    assert leaf["spec"]["agent_type"] == kind
    assert word in leaf["spec"]["prompt"]
    assert "command" not in leaf["spec"]
    assert "mode" not in leaf["spec"]


@pytest.mark.requirement("WFL-FRONT-021")
def test_further_fields_of_a_node_are_taken_by_name_and_none_is_absent() -> None:
    (leaf,) = nodes('agent("a", command="make", budget={"max_steps": 3}, isolation=None)')
    assert leaf["spec"] == {"id": "a", "command": "make", "budget": {"max_steps": 3}}
    (error,) = checked('workflow("g", [\n  agent("a", "p", colour=1)])').errors
    assert (error.kind, error.line) == ("unknown_field", 2)


@pytest.mark.requirement("WFL-FRONT-021")
def test_node_stands_for_its_name_and_the_last_workflow_counts() -> None:
    text = """
a = agent("a", "p")
workflow("first", [])
workflow(goal="second", nodes=[branch("b", [a]), reduce("r", "p", inputs=[a])], id="w")
"""
    document = evaluated(text)
    assert (document["goal"], document["id"]) == ("second", "w")
    assert document["nodes"][1]["spec"]["inputs"] == ["a"]


@pytest.mark.requirement("WFL-FRONT-020")
@pytest.mark.parametrize(
    "needle",
    ['load("a", "b")', "import x", "class X", "while True", "async f", "await f", "open(x)"],
)
def test_what_is_not_supported_counts_in_code_and_not_in_prose(needle: str) -> None:
    found = problem(f'x = 1\n{needle}\nworkflow("g", [])')
    assert (found.kind, found.line) == ("unsupported_construct", 2)
    assert evaluated(f"# {needle}\nworkflow('''{needle}''', [])")


@pytest.mark.requirement("WFL-FRONT-022")
def test_what_models_write_instead_of_the_helpers_is_repaired_once() -> None:
    text = 'workflow("g", [ctx.parallel("b", [agent("a", "p")]), ctx.teacher.review("t", ["a"])])'
    found = starlark.evaluate(text, "plan.star", lambda: False)
    assert found.repaired
    assert [node["kind"] for node in found.document["nodes"]] == ["branch_set", "teacher_review"]
    assert [one.kind for one in checked(text).warnings] == ["repaired"]
    assert problem('workflow("g", [ctx.agent("a", "p")])').kind == "starlark_error"


@pytest.mark.requirement("WFL-FRONT-023")
@pytest.mark.parametrize(
    ("text", "kind", "place"),
    [
        ("x = ", "starlark_error", (1, 5)),
        ("\nnobody()", "starlark_error", (2, 1)),
        ('agent("a")\nagent()', "starlark_error", (2, 1)),
        ('agent("a", id="b")', "starlark_error", (1, 1)),
        ('branch("b", ["a"])', "starlark_error", (1, 1)),
        ("print(1)", "starlark_error", (1, 1)),
        ("x = json", "starlark_error", (1, 5)),
        ("def f():\n  return f()\nf()", "evaluation_limit", (2, 10)),
        ("x = 1", "missing_workflow", (1, 1)),
    ],
)
def test_errors_of_a_text_have_a_place(text: str, kind: str, place: Any) -> None:
    found = problem(text)
    assert (found.kind, (found.line, found.column)) == (kind, place)


def test_document_is_bounded() -> None:
    deep = """
def deep():
    x = agent("a", "p")
    for i in range(300):
        x = sequence("s%d" % i, [x])
    return x
workflow("g", [deep()])
"""
    assert "nested deeper" in problem(deep).message


def test_evaluation_ends_when_it_is_told_to() -> None:
    text = "def f():\n  for i in range(1000000000):\n    pass\nf()"
    assert starlark.evaluate(text, "p.star", lambda: True).problem.kind == "evaluation_limit"


@pytest.mark.parametrize("name", ["tournament.star", "loop.star"])
def test_published_shapes_are_plans(name: str) -> None:
    found = checked((FILES / name).read_text("utf-8"))
    assert found.ok, found.errors
