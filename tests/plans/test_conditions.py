"""Expressions: which are any, what is said of the others, and which nodes they name."""

import pytest

from wfledger.plans.conditions import DEPTH, EvaluationError, evaluate, names, problem
from wfledger.plans.expressions import LENGTH


@pytest.mark.requirement("WFL-EXPR-002")
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('results.tests.status == "succeeded"', {"tests"}),
        ('results["my-node"].outputs.n > 1', {"my-node"}),
        ("results[r'a'].verdict", {"a"}),
        ("tests", {"tests"}),
        ("tests.outputs.n > 1 && !lint.missing.exists(m, m == other)", {"tests", "lint", "other"}),
        ("round > 2 && item.x == index && run.usd < 1.0", set()),
        ("has(results.a.outputs.n) && size(b.findings) == 0", {"a", "b"}),
        # A macro's variable is bound in its arguments, and nowhere else.
        ("a.items.map(x, x.y && z) && x", {"a", "z", "x"}),
        ("x.map(x, x.y)", {"x"}),
        ("a.exists(x, b.all(y, x == y)) || y", {"a", "b", "y"}),
        ("a.items.filter(i, i > 1).map(j, j + i)", {"a", "i"}),
        ("a.map(results, results.x)", {"a"}),
        # Neither texts nor comments nor fields nor numbers are names.
        ("'x == y' == \"// z\" // && c.d\n && q", {"q"}),
        ("'''it's x''' == r'\\' || b'w' == p", {"p"}),
        ("a.b.c[0].d", {"a"}),
        ("{'k': b}['k'] == 1e5 + 0xffu + .5e1 + 1u", {"b"}),
        ("type(a) == int && true in [null]", {"a"}),
        # Names of types and functions are nodes where a type or a function makes no sense.
        ("list", {"list"}),
        ("map.outputs.items.size() > 1 || size", {"map", "size"}),
    ],
)  # fmt: skip
def test_nodes_that_an_expression_names_are_known_before_it_is_worked_out(
    text: str, named: set[str]
) -> None:
    assert problem(text) is None
    assert names(text) == named


@pytest.mark.requirement("WFL-EXPR-003")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is blank"),
        ("all tests pass", 'such as `results.tests.status == "succeeded"`'),
        ("a and b", "`and` is written `&&`"),
        ("not a", "`not` is written `!`"),
        ("a = 1", "what is equal is written `==`"),
        ("results.`my-node`", 'written `results["NODE"]`'),
        ("results[x].status", "reads `results` by something other than a name"),
        ("results['a' + 'b'].status", "reads `results` by something other than a name"),
        ("size(results) > 1", "reads `results` by something other than a name"),
        ("results.map(k, k)", "reads `results` by something other than a name"),
        ("'a' in results", "reads `results` by something other than a name"),
        ('results["a\\"b"]', "write its id as it is"),
        ("results[b'a']", "write its id as it is"),
        ("open('/etc/passwd')", "calls `open`, which is no function"),
        ("a.run('rm')", "calls `run`, which is no function"),
        ("all(a, b, c)", "calls `all`, which is no function"),
        ("a.__class__()", "calls `__class__`"),
        ("Foo{a: 1}", "makes a `Foo`"),
        (".a == 1", "begins a name with a dot"),
        ("true && .a", "begins a name with a dot"),
        ("\ud800", "half of a character"),
        ("a" * (LENGTH + 1), f"at most {LENGTH} are read"),
        ("(" * (DEPTH + 1) + "1" + ")" * (DEPTH + 1), "nested more than"),
        ("true ? 1 : " * (DEPTH + 1) + "1", "nested more than"),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused_with_help(text: str, said: str) -> None:
    reason = problem(text)
    assert reason is not None
    assert said in reason


@pytest.mark.requirement("WFL-EXPR-003")
@pytest.mark.parametrize(
    "text",
    ["(" * DEPTH + "1" + ")" * DEPTH, "a" + ".b" * 990, "1" + "+1" * 990, "!" * 1990 + "true"],
)
def test_longest_and_deepest_expressions_that_are_taken_are_read(text: str) -> None:
    assert problem(text) is None


@pytest.mark.requirement("WFL-EXPR-013")
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("nobody.status == 1", "unresolved"),
        ("results.nobody.status == 1", "unresolved"),
        ("a.outputs.zero", "unresolved"),
        ("a.outputs.n / 0", "expression"),
        ("a.outputs.n + 1.5", "expression"),
        ("a.none.x", "expression"),
        ("9223372036854775807 + 1", "expression"),
        ("double('inf')", "expression"),
        ("timestamp('2026-01-01T00:00:00Z')", "expression"),
        ("{1: 2}", "expression"),
    ],
)
def test_what_cannot_be_worked_out_has_a_kind_and_no_value(text: str, kind: str) -> None:
    assert problem(text) is None
    record = {"outputs": {"n": 1}, "none": None}
    with pytest.raises(EvaluationError) as caught:
        evaluate(text, {"a": record, "results": {"a": record}})
    assert caught.value.kind == kind


@pytest.mark.requirement("WFL-EXPR-012")
def test_what_decides_already_needs_nothing_else() -> None:
    assert evaluate("round > 1 || nobody", {"round": 2}) is True
    assert evaluate("round > 2 && nobody", {"round": 2}) is False
    assert evaluate("has(results.a) && results.a.x", {"results": {}}) is False
