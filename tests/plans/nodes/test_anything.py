"""Any value at all is judged without a crash, and every problem stands where it says."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plans.test_checking import resolves
from wfledger.plans.checking import check
from wfledger.plans.nodes.model import NODE_KINDS
from wfledger.plans.nodes.shapes import GATE, SHAPES, SPEC

FIELDS = sorted({name for shape in (*SHAPES.values(), SPEC, GATE) for name in shape})
INNER = [
    "max_steps", "steps", "max_parallel", "usd", "time", "allow_write", "allowed_tools", "provider",
    "fallback_models", "strategy", "promotion_gate", "on", "blocks_role", "kind", "spec", "x",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 300), st.floats(allow_nan=False),
    st.sampled_from(["a", "b", "", " ", "src", "read_write", "all", "results.a.x == 1", "a b",
                     "1m", "read_file", "role_complete", "verify", "block", "best_score"]),
)  # fmt: skip
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(FIELDS + INNER), inner, max_size=5),
    ),
    max_leaves=12,
)


def node_of(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    fields = st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6)
    named = st.builds(
        lambda name, rest: {"id": name, "prompt": "p", "condition": "a", "source": "a", **rest},
        st.sampled_from("abc"), fields,
    )  # fmt: skip
    sure = st.builds(_of_kind, st.sampled_from(NODE_KINDS), named)
    return st.one_of(sure, st.builds(lambda kind, spec: {"kind": kind, "spec": spec}, inner, named))


def _of_kind(kind: str, spec: dict[str, object]) -> object:
    """Return a node with those of the fields that its kind has."""
    return {"kind": kind, "spec": {name: spec[name] for name in spec if name in SHAPES[kind]}}


NODES = st.recursive(
    JUNK, lambda inner: st.one_of(node_of(inner), st.lists(node_of(inner), max_size=3)),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.long
@settings(max_examples=40)
@given(
    nodes=st.lists(node_of(st.one_of(JUNK, NODES)), max_size=3),
    rest=st.dictionaries(st.sampled_from(sorted(SPEC)), JUNK, max_size=3), lenient=st.booleans(),
)  # fmt: skip
def test_any_tree_is_judged_without_a_crash_and_with_true_pointers(
    nodes: list[object], rest: dict[str, object], lenient: bool
) -> None:
    document = {"goal": "g", **rest, "nodes": nodes}
    checked = check(document, lenient=lenient)
    assert checked.ok == (checked.plan is not None)
    json.dumps(checked.as_json()).encode()
    for problem in (*checked.errors, *checked.warnings):
        assert resolves(document, problem.pointer), problem
