import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plans.documents import Document, config, phase, short, task
from wfledger.core.documents import Check
from wfledger.core.routes import ModelPolicy
from wfledger.core.usage import Budget
from wfledger.errors import PlanError
from wfledger.plans import expand
from wfledger.plans.checking import check, check_text
from wfledger.plans.short import desugar

QUICK = """\
goal: Port the config layer to pydantic 2
worker: claude                 # a role of fleet.toml, for all tasks or one
verify: pytest -q              # before anything lands
timeout: 20m
tasks:
  - id: models
    prompt: Port src/app/models and its tests to pydantic 2.
    write: [src/app/models, tests/models]
  - id: api
    prompt: Port src/app/api to the new models.
    write: [src/app/api, tests/api]
    after: [models]
  - id: docs
    command: python tools/gen_docs.py
    write: [docs/config.md]
    after: [models]
  - id: review
    prompt: Review the merged result.
    after: [api, docs]
"""


@pytest.mark.requirement("WFL-PLAN-040")
def test_short_form_compiles_with_its_defaults() -> None:
    checked = check_text(QUICK, "quick.yaml")
    assert checked.plan is not None
    assert checked.warnings == ()
    models, api, docs, review = (item.spec for item in checked.plan.tasks)
    pytest_check = (Check(kind="command", command="pytest -q"),)
    assert checked.plan.max_concurrent is None
    assert (models.role, models.after, models.write) == (
        "claude", (), ("src/app/models", "tests/models"),
    )  # fmt: skip
    assert models.verify == api.verify == docs.verify == pytest_check
    assert (docs.command, docs.role) == ("python tools/gen_docs.py", None)
    assert (review.write, review.verify, review.role) == ((), (), "claude")
    assert review.after == review.inputs == ("api", "docs")
    assert {spec.on_failure for spec in (models, api, docs, review)} == {"hold"}
    assert {spec.limits.wall_s for spec in (models, api, docs, review)} == {1200}


@pytest.mark.requirement("WFL-PLAN-040")
def test_task_overrides_every_default() -> None:
    document = short(
        {
            "id": "a", "prompt": "p", "write": ["x"], "worker": "kimi", "verify": [],
            "limits": {"wall_s": 5}, "retry": 7, "on_failure": "abort",
        },
        {"id": "m", "manual": True},
        task("b", after=["a"], inputs=[]),
        worker="claude", verify="make", timeout=60, retry=2, on_failure="skip_continue",
        max_concurrent=300,
    )  # fmt: skip
    plan = check(document).plan
    assert plan is not None
    specs = {item.given: item.spec for item in plan.tasks}
    assert (specs["a"].role, specs["a"].verify, specs["a"].limits.wall_s) == ("kimi", (), 5)
    assert (specs["a"].retry.max_attempts, specs["a"].on_failure) == (7, "abort")
    assert (specs["m"].role, specs["m"].limits.wall_s) == (None, None)
    assert (specs["b"].retry.max_attempts, specs["b"].on_failure) == (2, "skip_continue")
    assert (specs["b"].after, specs["b"].inputs) == (("a",), ())
    assert plan.max_concurrent == 300


@pytest.mark.requirement("WFL-PLAN-042")
def test_errors_point_into_the_short_form() -> None:
    document = short(
        task(" ", after=["ghost", " "]),
        task("a", write=["/x"], after=["b"]),
        task("b", after=["a"]),
        task("b", inputs=["nobody"], colour=1),
        goal=" ",
    )
    found = [(problem.kind, problem.pointer) for problem in check(document).errors]
    assert found == [
        ("empty_field", "/goal"),
        ("empty_field", "/tasks/0/id"),
        ("duplicate_task", "/tasks/3/id"),
        ("unknown_field", "/tasks/3/colour"),
        ("invalid_scope", "/tasks/1/write/0"),
        ("invalid_task_dependency", "/tasks/0/after/0"),
        ("invalid_task_dependency", "/tasks/0/after/1"),
        ("dependency_cycle", "/tasks/1/after"),
        ("invalid_task_result_dependency", "/tasks/3/inputs/0"),
    ]


def test_input_may_come_from_further_back() -> None:
    tasks = [task("a"), task("b", after=["a"]), task("c", after=["b"], inputs=["a"])]
    plan = check(short(*tasks)).plan
    assert plan is not None
    assert plan.tasks[2].spec.after == ("b", "a")
    assert plan.tasks[2].spec.inputs == ("a",)


@pytest.mark.requirement("WFL-PLAN-041")
def test_budget_of_a_run_and_of_tasks_is_kept() -> None:
    own = {"budget": {"tokens": 1000, "steps": 7, "time": "2m"}}
    plan = check(short(task("a"), task("b", **own), budget={"usd": 1, "time": "1h"})).plan
    assert plan is not None
    assert (plan.budget, plan.time_s) == (Budget(usd=1), 3600)
    one, two = (each.spec for each in plan.tasks)
    assert (one.budget, one.limits.wall_s) == (None, None)
    assert (two.budget, two.limits.wall_s) == (Budget(tokens=1000, steps=7), 120)


@pytest.mark.requirement("WFL-PLAN-025")
@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ("glm-5.2", ModelPolicy(model="glm-5.2")),
        ("zhipu/glm-5.2", ModelPolicy(model="zhipu/glm-5.2")),
        (
            {"provider": "zhipu", "model": "glm-5.2", "fallbacks": ["openai/gpt-x"]},
            ModelPolicy(provider="zhipu", model="glm-5.2", fallback_models=("openai/gpt-x",)),
        ),
    ],
)
def test_model_tools_and_what_a_model_must_do_are_kept_and_spelt_out(
    given: Any, policy: ModelPolicy
) -> None:
    document = short(task("a", model=given, requires=["tool_calls"], tools=[]))
    for plan in (check(document).plan, check(desugar(document)).plan):
        assert plan is not None
        spec = plan.tasks[0].spec
        assert (spec.model, spec.requires, spec.tools) == (policy, ("tool_calls",), ())


@pytest.mark.requirement("WFL-PLAN-021", "WFL-AUTH-004")
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"command": "true", "model": "m"}, "contradictory_fields"),
        ({"command": "true", "tools": ["read"]}, "contradictory_fields"),
        ({"prompt": "p", "tools": ["edit"]}, "contradictory_fields"),
        ({"prompt": "p", "tools": ["read"], "write": ["a"]}, "contradictory_fields"),
        ({"prompt": "p", "timeout": 5, "budget": {"time": 5}}, "contradictory_fields"),
        ({"prompt": "p", "tools": ["fly"]}, "parse_error"),
        ({"prompt": "p", "requires": ["magic"]}, "parse_error"),
        ({"prompt": "p", "model": {"provider": "x"}}, "parse_error"),
        ({"prompt": "p", "model": "a b"}, "invalid_name"),
        ({"prompt": "p", "budget": {"usd": 0}}, "invalid_bound"),
        ({"prompt": "p", "budget": {"usd": "many"}}, "parse_error"),
        ({"prompt": "p", "budget": {}}, "empty_field"),
        ({"prompt": "p", "budget": {"euros": 1}}, "unknown_field"),
    ],
)
def test_what_cannot_be_meant_of_models_and_money_is_refused(fields: Document, kind: str) -> None:
    (problem,) = check(short({"id": "a", **fields})).errors
    assert problem.kind == kind


def test_fields_of_the_phases_shape_are_translated_in_the_message() -> None:
    document = short(task("a", file_scope=["x"], depends_on=["b"], timeout_secs=3))
    messages = " ".join(problem.message for problem in check(document).errors)
    for meant in ("`write`", "`after`", "`timeout`"):
        assert meant in messages


def test_desugaring_an_invalid_document_names_every_error() -> None:
    with pytest.raises(PlanError) as caught:
        desugar(short(task("a", after=["b"]), goal=""))
    assert [error["kind"] for error in caught.value.facts["errors"]] == [
        "empty_field", "invalid_task_dependency",
    ]  # fmt: skip


@st.composite
def short_documents(draw: st.DrawFn) -> Document:
    ids = draw(
        st.lists(
            st.sampled_from(["a", "b", "C d", "x.y", "é", "long" * 20]), min_size=1, unique=True
        )
    )
    tasks = [_task(draw, name, ids[:place]) for place, name in enumerate(ids)]
    retry = st.integers(1, 9) | st.fixed_dictionaries(
        {},
        optional={"max_attempts": st.integers(1, 5), "backoff_s": st.sampled_from([1, 0.5, "2m"])},
    )
    top = st.fixed_dictionaries({}, optional={
        "name": st.just("n"), "description": st.just("d"), "worker": st.just("claude"),
        "verify": _VERIFY, "timeout": _SECONDS, "retry": retry, "max_concurrent": st.integers(1, 300),
        "on_failure": st.sampled_from(["hold", "abort", "skip_continue"]),
    })  # fmt: skip
    return {"goal": "g", "tasks": draw(st.permutations(tasks)), **draw(top)}


_SECONDS: st.SearchStrategy[Any] = st.sampled_from([5, 1.5, "20m", "1h30m", 3600])
_VERIFY: st.SearchStrategy[Any] = st.sampled_from([
    "make", ["a", {"command": ["b", "c"], "timeout_s": "5m"}], {"expect": 3}, [],
])  # fmt: skip


def _task(draw: st.DrawFn, name: str, before: list[str]) -> Document:
    work: Document = draw(
        st.sampled_from(
            [{"prompt": "p"}, {"command": "c"}, {"command": ["c", ""]}, {"manual": True}]
        )
    )
    after = draw(st.lists(st.sampled_from(before), max_size=3)) if before else []
    optional: dict[str, st.SearchStrategy[Any]] = {
        "write": st.lists(st.sampled_from(["src", "./a", "**/x.py"]), max_size=2),
        "inputs": st.lists(st.sampled_from(after), max_size=2) if after else st.just([]),
        "verify": _VERIFY, "timeout": _SECONDS, "title": st.just("T"), "priority": st.integers(-3, 3),
        "needs": st.just(["gpu"]), "contracts": st.just(["c", "c"]), "env": st.just(["A"]),
        "allow_no_change": st.booleans(), "on_failure": st.sampled_from(["hold", "abort"]),
        "limits": st.sampled_from([{}, {"idle_s": 5}, {"output_bytes": 4096, "silence_s": "1m"}]),
        "agent_type": st.just("review"),
    }  # fmt: skip
    fields: Document = draw(st.fixed_dictionaries({}, optional=optional))
    return {"id": name, **work, "after": after, **fields}


@pytest.mark.long
@given(short_documents())
@pytest.mark.requirement("WFL-PLAN-043")
def test_expansion_checks_compiles_alike_and_expands_to_itself(document: Document) -> None:
    checked = check(document)
    assert checked.plan is not None, checked.errors
    text = expand.expand_text(json.dumps(document), "plan.json")
    again = check_text(text, "plan.json")
    assert again.plan is not None, again.errors
    assert replace(again.plan, warnings=()) == replace(checked.plan, warnings=())
    assert expand.expand_text(text, "plan.json") == text


@pytest.mark.requirement("WFL-PLAN-043")
def test_expansion_is_the_same_bytes_whatever_the_order_of_fields() -> None:
    one = short(task("a", write=["x"], priority=1), worker="w")
    other = {"worker": "w", "tasks": [{"priority": 1, "write": ["x"], **task("a")}], "goal": "ship"}
    assert expand.expand_text(json.dumps(one), "p.json") == expand.expand_text(
        json.dumps(other), "p.json"
    )


@pytest.mark.requirement("WFL-PLAN-043")
def test_expansion_shows_the_phases_document() -> None:
    text = expand.expand_text("goal: g\ntasks:\n- {id: é, prompt: p, write: [src]}\n", "p.yaml")
    assert (
        text
        == """\
{
  "goal": "g",
  "concurrency": "unlimited",
  "phases": [
    {
      "name": "é",
      "on_failure": "hold",
      "tasks": [
        {
          "id": "é",
          "prompt": "p",
          "mode": "read_write",
          "isolation": "worktree",
          "file_scope": [
            "src"
          ]
        }
      ]
    }
  ]
}
"""
    )


def test_expansion_of_phases_leaves_out_what_lenient_ignored() -> None:
    document = config(phase("p", task("a", colour=1), description=None))
    with pytest.raises(PlanError):
        expand.expand_text(json.dumps(document), "p.json")
    text = expand.expand_text(json.dumps(document), "p.json", lenient=True)
    assert "colour" not in text
    assert check_text(text, "p.json").ok
