import json
from pathlib import Path
from typing import Any

import pytest

from tests.plans.documents import config, phase, short, task
from wfledger.plans.checking import Checked, check_text
from wfledger.plans.compiling import CompiledTask
from wfledger.plans.frontends.fleet import is_fleet

FILES = Path(__file__).parent / "files"


def fleet(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "name": "A", "instructions": "do it", **fields}


def checked(document: Any, *, lenient: bool = False) -> Checked:
    return check_text(json.dumps(document), "batch.json", lenient=lenient).placed()


def kinds(document: Any, *, lenient: bool = False) -> list[str]:
    return [error.kind for error in checked(document, lenient=lenient).errors]


def compiled(document: Any) -> CompiledTask:
    plan = checked(document).plan
    assert plan is not None
    return plan.tasks[0]


@pytest.mark.requirement("WFL-FRONT-030")
@pytest.mark.parametrize("document", [{"tasks": [fleet()]}, [fleet()], fleet()])
def test_each_of_the_three_shapes_becomes_a_run(document: Any) -> None:
    plan = checked(document).plan
    assert plan is not None
    assert (plan.goal, [one.given for one in plan.tasks]) == ("batch", ["a"])
    assert plan.tasks[0].spec.on_failure == "skip_continue"


@pytest.mark.requirement("WFL-FRONT-030")
@pytest.mark.parametrize(
    "document",
    [short(task("a")), config(phase("p", task("a"))), {"goal": "g", "nodes": []}, [], {}, "x", [1],
     {"goal": "g", "tasks": [{"id": "a", "command": "x", "metadata": {}}]}],
)  # fmt: skip
def test_plans_of_other_shapes_are_not_taken_for_fleets(document: Any) -> None:
    assert not is_fleet(document)


@pytest.mark.requirement("WFL-FRONT-031")
def test_fields_of_a_task_become_ours() -> None:
    found = compiled(
        fleet(
            objective="it is done", context=["be short"], input_files=["src/a.py"],
            worker={"role": "builder", "capabilities": ["rust"], "model": "p/m"},
            workspace={"writable_paths": ["docs", ".codewhale/fleet"], "required_files": ["a"],
                       "environment": {"required": ["PATH", "CC"], "allowlist": ["LANG", "CI"]}},
            budget={"max_tokens": 10, "max_tool_calls": 3, "max_seconds": 60},
            timeout_seconds=90, expected_artifacts=["log", "docs/x.md"],
            retry_policy={"max_attempts": 2, "initial_backoff_seconds": 1},
            metadata={"priority": 4, "class": "slow", "coordination_contracts": ["api"]},
        )
    ).spec  # fmt: skip
    assert found.prompt == (
        "A\n\nObjective: it is done\n\ndo it\n\nContext:\n- be short\n\nFiles to read:\n- src/a.py"
    )
    assert (found.title, found.agent_type, found.plays) == ("A", "implementer", "builder")
    assert found.needs == ("rust",)
    assert (found.write, found.allow_no_change) == (("docs",), True)
    assert found.deliverables == ("docs/x.md",)
    assert found.env == ("CC", "CI")
    assert (found.limits.wall_s, found.retry.max_attempts, found.retry.backoff_s) == (60, 2, 1)
    assert found.budget is not None
    assert (found.budget.tokens, found.budget.steps) == (10, 3)
    assert (found.priority, found.class_, found.contracts) == (-4, "slow", ("api",))
    assert found.model is not None
    assert [check.kind for check in found.verify] == ["file_exists"]


@pytest.mark.requirement("WFL-FRONT-031")
@pytest.mark.parametrize(
    ("scorer", "expected"),
    [
        ({"kind": "exit_code"}, {"kind": "exit_code"}),
        ({"kind": "file_exists", "path": "a"}, {"kind": "file_exists", "path": "a"}),
        (
            {"kind": "regex_match", "path": "a", "pattern": "x+"},
            {"kind": "regex", "path": "a", "pattern": "x+"},
        ),
        (
            {"kind": "json_path", "path": "a", "expression": ".a.b"},
            {"kind": "json_path", "path": "a", "expression": ".a.b"},
        ),
        (
            {"kind": "command", "command": "make", "args": ["x y"]},
            {"kind": "command", "command": ("make", "x y")},
        ),
        ({"kind": "code_whale_verifier_prompt", "prompt": "p"}, {"kind": "task", "prompt": "p"}),
        ({"kind": "manual"}, {"kind": "manual"}),
    ],
)
def test_scorers_become_checks(scorer: Any, expected: dict[str, Any]) -> None:
    (check,) = compiled(fleet(scorer=scorer)).spec.verify
    assert {name: getattr(check, name) for name in expected} == expected


@pytest.mark.requirement("WFL-FRONT-031")
def test_workers_say_how_many_tasks_run_at_once() -> None:
    local = {"name": "w", "host": {"kind": "local"}}
    workers = [{"id": "w", **local}, {"id": "v", "max_concurrent_tasks": 3, **local}]
    plan = checked({"name": "n", "workers": workers, "tasks": [fleet()]}).plan
    assert plan is not None
    assert (plan.max_concurrent, plan.goal) == (4, "n")


@pytest.mark.requirement("WFL-FRONT-032")
def test_errors_stand_in_the_order_of_the_original() -> None:
    wrong = {"tags": ["x", " ", "x"], "workspace": {"environment": {"required": [" "]}}}
    document = {
        "labels": {}, "tasks": [
            fleet(id=" ", name="", instructions=" ", objective="", **wrong), fleet(id="b"),
            fleet(id="b", scorer={"kind": "file_exists", "path": "../x"}),
        ],
    }  # fmt: skip
    found = [(error.kind, error.pointer) for error in checked(document).errors]
    assert found == [
        ("empty_field", "/tasks/0/id"), ("empty_field", "/tasks/0/name"),
        ("empty_field", "/tasks/0/instructions"), ("empty_field", "/tasks/0/objective"),
        ("empty_field", "/tasks/0/tags/1"), ("duplicate_tag", "/tasks/0/tags/2"),
        ("empty_field", "/tasks/0/workspace/environment/required/0"),
        ("duplicate_task", "/tasks/2/id"), ("invalid_path", "/tasks/2/scorer/path"),
    ]  # fmt: skip


@pytest.mark.requirement("WFL-FRONT-032")
@pytest.mark.parametrize(
    ("document", "strict", "lenient"),
    [
        ({"labels": {"a": "b"}, "tasks": []}, "empty_workflow", "empty_workflow"),
        (fleet(id="a b"), "invalid_name", None),
        (fleet(name="a\nb"), "invalid_name", None),
        (fleet(worker={"role": "builder"}), "missing_write_scope", None),
        (
            fleet(worker={"tool_profile": "read-only"}, workspace={"writable_paths": ["a"]}),
            "contradictory_authority", None,
        ),
        (fleet(colour=1), "unknown_field", None),
        (fleet(timeout_seconds=0), "invalid_bound", None),
        (fleet(budget={"max_tokens": 0}), "invalid_bound", None),
        ({"id": "a", "instructions": "x"}, "parse_error", "parse_error"),
        (fleet(scorer={"kind": "regex_match", "path": "a"}), "parse_error", "parse_error"),
        (fleet(tags="x"), "parse_error", "parse_error"),
    ],
)  # fmt: skip
def test_verdicts(document: Any, strict: str, lenient: str | None) -> None:
    assert kinds(document)[0] == strict
    assert kinds(document, lenient=True)[:1] == ([] if lenient is None else [lenient])


@pytest.mark.requirement("WFL-FRONT-033")
@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"security_policy": {"max_trust_level": "local"}, "tasks": [fleet()]}, "/security_policy"),
        (fleet(alert_policy={"events": ["stale"]}), "/alert_policy"),
        (fleet(workspace={"root": "/srv"}), "/workspace/root"),
        (fleet(workspace={"remote_root": "/srv"}), "/workspace/remote_root"),
        (fleet(worker={"host": "ssh"}), "/worker/host"),
        (fleet(secrets=["KEY"]), "/secrets"),
        (
            fleet(workspace={"environment": {"allowlist": ["GH_TOKEN"]}}),
            "/workspace/environment/allowlist/0",
        ),
        (fleet(retry_policy={"backoff_multiplier": 3}), "/retry_policy/backoff_multiplier"),
        (
            [fleet(expected_artifacts=[{"kind": "report", "path": "a", "checksum": "sha256:0"}])],
            "/0/expected_artifacts/0/checksum",
        ),
        (
            {"workers": [{"id": "w", "name": "w", "host": {"kind": "ssh", "host": "h"}}],
             "tasks": [fleet()]},
            "/workers/0/host",
        ),
        (
            {"workers": [{"id": "w", "name": "w", "host": {"kind": "local"},
                          "trust_level": "operator"}], "tasks": [fleet()]},
            "/workers/0/trust_level",
        ),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_refused_and_in_lenient_said(
    document: Any, pointer: str
) -> None:
    found = checked(document).errors
    assert [(one.kind, one.pointer) for one in found] == [("unsupported_field", pointer)]
    forgiven = checked(document, lenient=True)
    assert forgiven.plan is not None
    assert ("unsupported_field", pointer) in [(w.kind, w.pointer) for w in forgiven.warnings]


@pytest.mark.requirement("WFL-FRONT-033")
def test_lost_hints_are_said() -> None:
    document = fleet(
        tags=["x"], worker={"tools": ["rg"], "loadout": "fast", "role": "smith"},
        metadata={"owner": "me"}, expected_artifacts=["report"],
    )  # fmt: skip
    found = checked(document)
    assert found.ok
    assert {one.kind for one in found.warnings} == {"not_enforced"}
    assert {one.pointer for one in found.warnings} == {
        "/tags", "/worker/tools", "/worker/loadout", "/metadata/owner",
        "/expected_artifacts/0",
    }  # fmt: skip


def test_published_shape_is_a_plan() -> None:
    found = check_text((FILES / "smoke.toml").read_bytes(), "smoke.toml").placed()
    assert found.ok, found.errors
    assert all(one.line for one in found.warnings)
