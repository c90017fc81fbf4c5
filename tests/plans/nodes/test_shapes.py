import pytest

from tests.plans.nodes.trees import Document, chain, kinds, leaf, loop, node, pointers, reduce, spec
from wfledger.core.control import Condition
from wfledger.core.routes import ModelPolicy
from wfledger.plans.checking import check
from wfledger.plans.nodes.model import Cond, Group, Leaf, Reduce, Review, SpecDoc, kind_of, walk
from wfledger.plans.nodes.shapes import read_spec
from wfledger.plans.problems import Findings


def read(document: Document) -> SpecDoc:
    findings = Findings()
    doc = read_spec(document, findings)
    assert doc is not None
    assert findings.parse == []
    return doc


@pytest.mark.requirement("WFL-NODE-001")
def test_errors_of_type_are_all_told_at_their_places_and_stand_before_rules() -> None:
    document = spec(
        leaf("", mode="write"),
        {"kind": "leaf"},
        {"kind": "phase", "spec": {}},
        chain("s", leaf("b", budget={"max_steps": "3"}), {"agent": {"id": "x"}}),
        node("expand", "e", source="b", template={"kind": "leaf", "spec": {"id": "t"}}),
        node("cond", "c", then_nodes=None),
    )
    checked = check(document)
    assert pointers(checked) == [
        "/nodes/0/spec/mode", "/nodes/1/spec", "/nodes/2/kind",
        "/nodes/3/spec/children/0/spec/budget/max_steps", "/nodes/3/spec/children/1",
        "/nodes/4/spec/template/spec/prompt", "/nodes/5/spec/then_nodes",
        "/nodes/5/spec/condition", "/nodes/0/spec/id",
    ]  # fmt: skip
    assert [problem.kind for problem in checked.errors] == ["parse_error"] * 8 + ["empty_node_id"]
    assert '{"kind": "leaf", "spec": …}' in checked.errors[4].message


def test_defaults_are_those_of_the_original() -> None:
    doc = read({
        "goal": "g",
        "nodes": [
            leaf("a"), node("branch_set", "b"), node("cond", "c", condition="x"), reduce("r"),
            node("teacher_review", "t"),
        ],
    })  # fmt: skip
    a, b, c, r, t = doc.nodes
    assert isinstance(a, Leaf)
    assert isinstance(b, Group)
    assert isinstance(c, Cond)
    assert isinstance(r, Reduce)
    assert isinstance(t, Review)
    assert (a.mode, a.isolation, a.agent_type, a.file_scope) == ("read_only", "auto", "general", ())
    assert not b.parallel
    assert c.condition == Condition(expression="x")
    assert t.policy(t.promotion).strategy == "all"
    assert t.promotion.promotion_gate.min_score_delta == 1
    assert doc.on_failure == "skip_continue"
    assert [kind_of(one) for one in walk(doc.nodes)] == [
        "leaf", "branch_set", "cond", "reduce", "teacher_review",
    ]  # fmt: skip


@pytest.mark.requirement("WFL-NODE-020")
def test_additive_fields_are_read_beside_those_of_the_original() -> None:
    doc = read(spec(
        leaf("a", role=" Scout ", profile="fast", worker="claude", verify="pytest",
             budget={"max_steps": 3, "usd": 0.5, "time": "2m"}, model="anthropic/x",
             best_of=2, judge={"prompt": "which?", "role": "judge", "judges": 3}),
        reduce("r", "a", prompt="", command=["merge"], role="editor"),
        loop("l", leaf("b"), condition={"command": "make test", "timeout_s": "1m"}, budget={"usd": 2}),
        node("teacher_review", "t", candidates=["a"], judges=2, prompt="good?"),
        name="n", concurrency=7, gate="make", on_failure="hold", verify="pytest", worker="codex",
    ))  # fmt: skip
    a, r, again, t = doc.nodes
    assert isinstance(a, Leaf)
    assert (a.plays, a.profile, a.terms.role) == ("scout", "fast", "claude")
    assert (a.budget.steps, a.budget.usd, a.budget.time_s) == (3, 0.5, 120.0)
    assert a.policy == ModelPolicy(model="anthropic/x")
    assert a.judge is not None
    assert (a.best_of, a.judge.prompt, a.judge.count) == (2, "which?", 3)
    assert isinstance(r, Reduce)
    assert not r.is_neutral
    assert r.plays == "editor"
    assert getattr(again, "condition", None) == Condition(command="make test", timeout_s=60.0)
    assert isinstance(t, Review)
    assert (t.judge.count, t.judge.prompt) == (2, "good?")
    assert (doc.concurrency, doc.on_failure, doc.role, len(doc.verify)) == (7, "hold", "codex", 1)


@pytest.mark.requirement("WFL-NODE-022")
@pytest.mark.parametrize(
    "fields",
    [
        {"budget": {"max_steps": 3, "steps": 4}},
        {"model": "x", "model_policy": {"model": "y"}},
        {"tools": ["read"], "permissions": {"allowed_tools": ["read_file"]}},
        {"command": "make"},
        {"judge": {"prompt": "which?"}},
        {"best_of": 2, "judge": {"prompt": "which?", "command": "score"}},
        {"timeout": "1m", "budget": {"timeout_secs": 60}},
    ],
    ids="-".join,
)
def test_two_ways_to_say_one_thing_are_refused(fields: Document) -> None:
    assert kinds(spec(leaf("a", **fields))) == ["contradictory_fields"]
    assert kinds(spec(leaf("a", **fields)), lenient=True) == ["contradictory_fields"]


def test_a_command_may_play_a_part_and_runs_under_no_profile() -> None:
    command = {"kind": "leaf", "spec": {"id": "a", "command": "make", "role": "verifier"}}
    assert kinds(spec(command)) == []
    command["spec"]["profile"] = "fast"  # type: ignore[index]
    assert kinds(spec(command)) == ["contradictory_fields"]


@pytest.mark.requirement("WFL-NODE-020")
def test_reduce_needs_a_prompt_a_command_or_to_be_told_to_merge() -> None:
    def made(**fields: object) -> Document:
        return spec(leaf("a"), node("reduce", "r", inputs=["a"], **fields))

    assert kinds(made()) == ["parse_error"]
    assert kinds(made(prompt="")) == ["empty_field"]
    for fields in ({"merge": True}, {"command": "x"}, {"prompt": "", "command": "x"}):
        assert kinds(made(**fields)) == []
    assert kinds(made(prompt="p", merge=True)) == ["contradictory_fields"]
    assert kinds(made(command="x", merge=True)) == ["contradictory_fields"]


@pytest.mark.requirement("WFL-NODE-002")
def test_the_deepest_tree_is_read_and_a_deeper_one_refused() -> None:
    tree = leaf("z")
    for number in range(200):
        tree = chain(f"s{number}", tree)
    assert kinds(spec(tree)) == []
    assert kinds(spec(chain("top", tree))) == ["nested_too_deep"]
    for number in range(3000):
        tree = chain(f"t{number}", tree)
    assert kinds(spec(tree)) == ["nested_too_deep"]
