"""Checks, deliverables and the gate of a plan: what is accepted, refused where, and written out."""

import json
from typing import Any

import pytest

from tests.plans.documents import Document, config, phase, short, task, writer
from wfledger.core.documents import Check, Gate
from wfledger.plans.checking import check, check_text
from wfledger.plans.expand import expand_text

CHECKS: list[Any] = [
    "make test",
    {"kind": "exit_code", "expect": 3},
    {"path": "out/*.txt"},
    {"path": "out/a.txt", "pattern": r"total \d+", "timeout_s": "2s"},
    {"path": "out/a.json", "expression": "$.users[?(@.admin==true)].name", "equals": "Sue"},
    {"kind": "json_path", "path": "out/a.json", "expression": ".a.b"},
    {"kind": "manual", "prompt": "look at the figures"},
    {"kind": "task", "command": ["pytest", "-q"], "timeout_s": 60},
    {"prompt": "Review it.", "role": "critic"},
]
READ = (
    Check(kind="command", command="make test"),
    Check(kind="exit_code", expect=3),
    Check(kind="file_exists", path="out/*.txt"),
    Check(kind="regex", path="out/a.txt", pattern=r"total \d+", timeout_s=2),
    Check(
        kind="json_path", path="out/a.json", expression="$.users[?(@.admin==true)].name",
        equals="Sue",
    ),
    Check(kind="json_path", path="out/a.json", expression=".a.b"),
    Check(kind="manual", prompt="look at the figures"),
    Check(kind="task", command=("pytest", "-q"), timeout_s=60),
    Check(kind="task", prompt="Review it.", role="critic"),
)  # fmt: skip


@pytest.mark.requirement("WFL-PLAN-020")
def test_both_shapes_read_the_same_checks() -> None:
    for document in (
        short({"id": "a", "prompt": "p", "write": ["out"], "verify": CHECKS}),
        config(phase("one", writer("a", "out", verify=CHECKS))),
    ):
        checked = check(document)
        assert checked.plan is not None, checked.errors
        assert checked.plan.tasks[0].spec.verify == READ


@pytest.mark.requirement("WFL-PLAN-043")
def test_checks_deliverables_and_gate_expand_to_themselves() -> None:
    document = short(
        {"id": "a", "prompt": "p", "write": ["out"], "verify": CHECKS, "deliverables": ["out/*.txt"]},
        gate={"command": "make", "timeout_s": "5m"},
    )  # fmt: skip
    plan = check(document).plan
    text = expand_text(json.dumps(document), "plan.json")
    again = check_text(text, "plan.json").plan
    assert plan is not None
    assert again is not None
    assert (again.tasks[0].spec, again.gate) == (plan.tasks[0].spec, plan.gate)
    assert plan.tasks[0].spec.deliverables == ("out/*.txt",)
    assert expand_text(text, "plan.json") == text


@pytest.mark.requirement("WFL-PLAN-044")
@pytest.mark.parametrize(
    ("given", "gate"),
    [
        ("make test", Gate(command="make test")),
        (["make", "test"], Gate(command=("make", "test"))),
        ({"command": "make", "timeout_s": "2m"}, Gate(command="make", timeout_s=120)),
    ],
)
def test_gate_of_a_plan_is_a_command(given: Any, gate: Gate) -> None:
    for document in (short(task("a"), gate=given), config(phase("one", task("a")), gate=given)):
        plan = check(document).plan
        assert plan is not None
        assert plan.gate == gate


ODD: list[tuple[Any, str, str, str]] = [
    ({"path": "a", "pattern": "("}, "invalid_pattern", "/pattern", "does not compile"),
    ({"path": "a", "pattern": "a" * 2001}, "invalid_pattern", "/pattern", "at most 2000"),
    ({"path": "a", "expression": "$.["}, "invalid_expression", "/expression", "no JSON path"),
    ({"path": "a", "expression": "a.b"}, "invalid_expression", "/expression", "begins neither"),
    ({"path": "../a"}, "invalid_path", "/path", "no path in the repository"),
    ({"path": "/etc/passwd"}, "invalid_path", "/path", "no path in the repository"),
    ({"path": "*.txt", "pattern": "a"}, "contradictory_fields", "", "looks into one file"),
    ({"kind": "regex", "path": "a"}, "contradictory_fields", "", "lacks `pattern`"),
    ({"kind": "file_exists"}, "contradictory_fields", "", "lacks `path`"),
    ({"kind": "manual", "path": "a"}, "contradictory_fields", "", "which has no `path`"),
    ({"kind": "command", "command": "x", "expect": 1}, "contradictory_fields", "", "no `expect`"),
    ({"kind": "task"}, "contradictory_fields", "", "one of them"),
    ({"kind": "task", "command": "x", "prompt": "y"}, "contradictory_fields", "", "one of them"),
    ({"kind": "task", "command": "x", "role": "y"}, "contradictory_fields", "", "runs prompts only"),
    ({"kind": "manual", "prompt": " "}, "empty_field", "/prompt", "is blank"),
    ({"path": "a", "expression": "$.a", "equals": None}, "parse_error", "/equals", "other than null"),
    ({"kind": "judge"}, "parse_error", "/kind", "must be one of"),
    (3, "parse_error", "", "must be a text"),
]


@pytest.mark.requirement("WFL-PLAN-023")
@pytest.mark.parametrize(("odd", "kind", "where", "said"), ODD)
def test_odd_check_is_refused_where_it_stands(odd: Any, kind: str, where: str, said: str) -> None:
    document = short({"id": "a", "prompt": "p", "write": ["a"], "verify": ["true", odd]})
    (problem,) = check(document).errors
    assert (problem.kind, problem.pointer) == (kind, f"/tasks/0/verify/1{where}")
    assert said in problem.message


@pytest.mark.requirement("WFL-PLAN-024")
@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"write": ["out"], "deliverables": ["out/a", "out/*.md", "out"]}, []),
        ({"write": ["out/*.md"], "deliverables": ["out"]}, []),
        ({"write": ["out"], "deliverables": ["out/a", "doc/a"]}, ["/tasks/0/deliverables/1"]),
        ({"write": ["out"], "deliverables": ["*.md"]}, ["/tasks/0/deliverables/0"]),
        ({"deliverables": ["README.md"]}, []),
    ],
)
def test_deliverable_out_of_the_scope_is_refused(fields: Document, errors: list[str]) -> None:
    found = check(short({"id": "a", "prompt": "p", **fields})).errors
    assert [problem.pointer for problem in found] == errors
    assert {problem.kind for problem in found} <= {"uncovered_deliverable"}
    phases = check(config(phase("p", {
        "id": "a", "prompt": "p", "file_scope": fields.get("write", []), "mode": "read_write"
        if "write" in fields else "read_only", "deliverables": fields["deliverables"],
    })))  # fmt: skip
    assert len(phases.errors) == len(errors)


@pytest.mark.requirement("WFL-PLAN-044")
@pytest.mark.parametrize(
    ("gate", "kind", "where"),
    [
        (3, "parse_error", "/gate"), ("", "empty_field", "/gate"),
        ({"timeout_s": 3}, "parse_error", "/gate/command"),
        ({"command": "x", "retries": 3}, "unknown_field", "/gate/retries"),
    ],
)  # fmt: skip
def test_odd_gate_is_refused_where_it_stands(gate: Any, kind: str, where: str) -> None:
    (problem,) = check(short(task("a"), gate=gate)).errors
    assert (problem.kind, problem.pointer) == (kind, where)
