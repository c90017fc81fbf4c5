import json
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
from wfledger.core.routes import ModelPolicy
from wfledger.core.usage import Budget
from wfledger.plans.checking import check
from wfledger.plans.nodes.model import walk
from wfledger.plans.nodes.narrowing import Allowed, Around, read_around
from wfledger.plans.nodes.rules import Resolved, resolve
from wfledger.plans.nodes.shapes import read_spec
from wfledger.plans.problems import Findings


def resolved(document: Document, *, lenient: bool = False) -> Resolved:
    findings = Findings(lenient=lenient)
    doc = read_spec(document, findings)
    assert doc is not None
    found = resolve(doc, findings)
    assert findings.errors == []
    assert found is not None
    return found


def allowed(document: Document, *, lenient: bool = False) -> dict[str, Allowed]:
    """Return what the leaves and reduces of a document may do, by their ids."""
    found = resolved(document, lenient=lenient)
    return {one.id: granted for one, granted in found.narrowed.allowed.items()}


@pytest.mark.requirement("WFL-NODE-030")
def test_permissions_of_what_is_around_a_leaf_hold_for_it() -> None:
    document = spec(
        parallel("p",
            chain("s", leaf("reader"), writer("w", "src/a")),
            permissions={"file_scope": ["src"], "allowed_tools": ["read_file", "edit_file"]}),
        leaf("free"),
        permissions={"allow_network": False},
    )  # fmt: skip
    found = allowed(document)
    assert found["reader"].tools == ("read",)
    assert found["w"].tools == ("read", "edit")
    assert found["w"].write == ("src/a",)
    assert found["free"].tools is None
    assert {one.access.network for one in found.values()} == {False}


@pytest.mark.requirement("WFL-NODE-030")
def test_a_writer_without_a_scope_has_that_of_its_permissions_and_else_that_around_it() -> None:
    document = spec(
        chain("s",
            leaf("own", mode="read_write", permissions={"file_scope": ["src/a"]}),
            node("branch_set", "g", children=[leaf("inner", mode="read_write")],
                 permissions={"file_scope": ["src/b"]}),
            leaf("outer", mode="read_write")),
        permissions={"file_scope": ["src"]},
    )  # fmt: skip
    found = allowed(document)
    assert {name: one.write for name, one in found.items()} == {
        "own": ("src/a",), "inner": ("src/b",), "outer": ("src",),
    }  # fmt: skip


CONTRADICTIONS: list[tuple[str, Document, tuple[str, ...]]] = [
    ("reader-allows-writing", leaf("a", permissions={"allow_write": True}), ()),
    ("writer-forbids-writing", writer("a", "src", permissions={"allow_write": False}), ()),
    ("writer-inside-no-writing", parallel("p", writer("a", "src"),
                                          permissions={"allow_write": False}), ()),
    ("reader-with-tools-that-write",
     leaf("a", permissions={"allowed_tools": ["read_file", "write_file"]}), ()),
    ("reviewer-that-writes", writer("a", "src", agent_type="review"), ("src",)),
    ("scope-beyond-permissions",
     writer("a", "src", "docs", permissions={"file_scope": ["src"]}), ("src",)),
    ("scope-beyond-what-is-around",
     parallel("p", writer("a", "src", "docs"), permissions={"file_scope": ["src"]}), ("src",)),
    ("tools-denied-and-allowed",
     leaf("a", permissions={"deny_all_tools": True, "allowed_tools": ["read_file"]}), ()),
]  # fmt: skip


@pytest.mark.requirement("WFL-NODE-031")
@pytest.mark.requirement("WFL-NODE-011")
@pytest.mark.parametrize(
    ("document", "write"), [case[1:] for case in CONTRADICTIONS],
    ids=[case[0] for case in CONTRADICTIONS],
)  # fmt: skip
def test_a_contradiction_is_refused_and_in_lenient_the_narrower_holds(
    document: Document, write: tuple[str, ...]
) -> None:
    assert kinds(spec(document)) == ["contradictory_authority"]
    assert "contradictory_authority" in warned(spec(document), lenient=True)
    found = allowed(spec(document), lenient=True)["a"]
    assert found.write == write
    assert not {"edit", "write"} & set(found.tools or ())


def test_what_a_group_asks_for_beyond_the_plan_is_told_at_the_group() -> None:
    inner = parallel("p", leaf("a"), permissions={"allow_network": True, "allowed_tools": ["x"]})
    document = spec(inner, permissions={"allow_network": False, "allowed_tools": ["read_file"]})
    assert kinds(document) == ["contradictory_authority"] * 2


@pytest.mark.requirement("WFL-NODE-032")
def test_of_budgets_the_least_holds() -> None:
    document = spec(
        parallel("p",
            leaf("more", budget={"max_steps": 90, "timeout_secs": 5}),
            leaf("none"), reduce("fold", "before"),
            budget={"max_steps": 30, "timeout_secs": 60, "usd": 2}),
        leaf("before", budget={"max_tokens": 10**6}),
        budget={"max_tokens": 1000, "max_steps": 50},
    )  # fmt: skip
    found = allowed(document)
    assert found["more"].budget == Budget(usd=2, steps=30)
    assert found["more"].time_s == 5
    assert found["none"].budget == found["fold"].budget == Budget(usd=2, steps=30)
    assert found["none"].time_s == 60
    assert found["before"].budget == Budget(tokens=1000)


def test_wall_time_is_the_least_of_all_that_is_said_of_it() -> None:
    document = spec(
        leaf("a", timeout="2m"), leaf("b", limits={"wall_s": 30}), leaf("c"),
        parallel("p", leaf("d", timeout="2m"), budget={"timeout_secs": 10}),
        budget={"timeout_secs": 90},
    )  # fmt: skip
    times = {name: one.time_s for name, one in allowed(document).items()}
    assert times == {"a": 90, "b": 30, "c": None, "d": 10}


@pytest.mark.requirement("WFL-NODE-032")
def test_more_than_the_ledger_counts_is_taken_for_the_most_it_counts() -> None:
    document = spec(leaf("a", budget={"max_tokens": 2**63, "timeout_secs": 2**63}))
    assert warned(document) == ["shortened", "shortened"]
    found = allowed(document)["a"]
    assert found.budget is not None
    assert found.time_s == 366 * 86_400


@pytest.mark.requirement("WFL-NODE-011")
def test_limits_of_zero_are_left_out_in_lenient() -> None:
    document = spec(leaf("a", budget={"max_steps": 0, "max_tokens": 5}), budget={"max_tokens": 0})
    assert allowed(document, lenient=True)["a"].budget == Budget(tokens=5)


@pytest.mark.requirement("WFL-NODE-033")
def test_a_model_policy_is_handed_down_where_a_node_names_no_model() -> None:
    document = spec(
        leaf("a"),
        parallel("p",
            leaf("b", model_policy={"model": "small"}), leaf("c", model="other/big"), leaf("d"),
            {"kind": "leaf", "spec": {"id": "e", "command": "make"}},
            model_policy={"model": "mid", "fallback_models": ["spare"]}),
        model_policy={"provider": "house", "model": "top"},
    )  # fmt: skip
    found = {name: one.model for name, one in allowed(document).items()}
    assert found == {
        "a": ModelPolicy(provider="house", model="top"),
        "b": ModelPolicy(provider="house", model="small"),
        "c": ModelPolicy(model="other/big"),
        "d": ModelPolicy(provider="house", model="mid", fallback_models=("spare",)),
        "e": None,
    }


def test_the_role_that_runs_a_leaf_is_its_profile_then_its_worker_then_that_of_the_plan() -> None:
    document = spec(
        leaf("a", profile="fast", worker="claude"), leaf("b", worker="claude"), leaf("c"),
        {"kind": "leaf", "spec": {"id": "d", "command": "make"}}, worker="codex",
    )  # fmt: skip
    roles = {name: one.role for name, one in allowed(document).items()}
    assert roles == {"a": "fast", "b": "claude", "c": "codex", "d": None}


def test_checks_of_the_plan_are_for_leaves_that_write_and_have_none() -> None:
    document = spec(
        leaf("a"), writer("b", "src"), writer("c", "docs", verify="other"),
        writer("d", "x", verify=[]), verify="pytest", on_failure="abort",
    )  # fmt: skip
    found = allowed(document)
    commands = {name: [check.command for check in one.verify] for name, one in found.items()}
    assert commands == {"a": [], "b": ["pytest"], "c": ["other"], "d": []}
    assert {one.on_failure for one in found.values()} == {"abort"}


@pytest.mark.requirement("WFL-NODE-038")
def test_what_no_network_surrounds_and_what_that_starts_has_none() -> None:
    closed = {"allow_network": False}
    inner = leaf("y", best_of=2, judge={"command": "true"})
    asks = node("cond", "c", condition={"command": "true"}, then_nodes=[leaf("x"), inner], else_nodes=[])
    checked = check(spec(parallel("p", leaf("a"), asks, permissions=closed), leaf("b")))
    assert checked.plan is not None, checked.errors
    every = {task.node: task.spec.network for task in checked.plan.every}
    assert {name for name, network in every.items() if network is None} == {"b"}
    assert {"a", "c", "c.asks", "c.then.x", "c.then.y.try1"} <= set(every)


@pytest.mark.requirement("WFL-NODE-034")
@pytest.mark.requirement("WFL-NODE-037")
def test_what_is_accepted_and_not_enforced_is_told() -> None:
    def told(document: Document) -> list[str]:
        return [kind for kind in warned(document) if kind == "not_enforced"]

    assert told(spec(leaf("a", permissions={"allowed_tools": ["web_search", "read_file"]})))
    assert told(spec(leaf("a", budget={"max_parallel": 2})))
    assert told(spec(leaf("a", permissions={"allow_network": False})))
    assert told(spec(leaf("a", model_policy={"provider": "house"})))
    assert len(told(spec(parallel("p", leaf("a"), budget={"max_steps": 3, "max_parallel": 2})))) == 2
    assert told(spec(leaf("a"), promotion_policy={"require_teacher_review": True}))
    assert told(spec(leaf("a"), promotion_policy={"strategy": "best_score"}))
    for said in (
        {"model_policy": {"model": "m"}}, {"permissions": {"deny_all_tools": True}},
        {"permissions": {"allowed_tools": ["read_file"]}},
    ):
        assert told(spec({"kind": "leaf", "spec": {"id": "a", "command": "true", **said}}))
    other = {"provider": "house"}
    assert told(spec(leaf("a"), model_policy=other))
    assert told(spec(leaf("a"), model_policy={"fallback_models": ["house/x"]}))
    assert told(spec(parallel("p", leaf("a"), model_policy=other)))
    assert not told(spec(leaf("a", model_policy={"model": "m"}), model_policy=other))
    assert not told(spec(leaf("a", budget={"max_steps": 3}), budget={"max_parallel": 2}))


def test_a_reduce_has_no_more_tools_than_what_is_around_it_allows() -> None:
    tools = {"allowed_tools": ["read_file", "write_file", "grep_files"]}
    document = spec(
        leaf("x"), parallel("p", reduce("r", "x"), reduce("s", "x", tools=["read"]), permissions=tools)
    )
    found = allowed(document)
    assert (found["r"].tools, found["s"].tools) == (("read", "search"), ("read",))
    assert kinds(spec(leaf("x"), reduce("r", "x", tools=["write"]))) == ["contradictory_fields"]


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (writer("a", "src", isolation="shared"), "treated_as_worktree"),
        (leaf("a", isolation="worktree"), "treated_as_shared"),
    ],
    ids=["writer", "reader"],
)
def test_where_a_leaf_is_isolated_otherwise_than_it_says_that_is_told(
    document: Document, kind: str
) -> None:
    assert warned(spec(document)) == [kind]


def test_what_is_around_a_body_is_written_and_read_again() -> None:
    document: dict[str, Any] = spec(
        parallel("p", loop("l", leaf("a")), budget={"usd": 3, "max_steps": 7},
                 permissions={"allowed_tools": ["read_file"], "file_scope": ["src"]}),
        permissions={"allow_write": False, "allow_network": False}, worker="codex",
        model_policy={"model": "m", "fallback_models": ["n"]}, verify=["pytest"],
        budget={"timeout_secs": 60}, on_failure="hold",
    )  # fmt: skip
    found = resolved(document)
    around = next(kept for one, kept in found.narrowed.around.items() if one.id == "l")
    assert around != Around()
    assert read_around(json.loads(json.dumps(around.written()))) == around
    # Judged by itself, what is inside may do what it may as part of the whole.
    findings = Findings()
    body = read_spec({"goal": "g", "nodes": [leaf("a")]}, findings)
    assert body is not None
    alone = resolve(body, findings, around=around)
    assert alone is not None
    inside = next(one for one in walk(found.doc.nodes) if one.id == "a")
    assert alone.narrowed.allowed[body.nodes[0]] == found.narrowed.allowed[inside]
