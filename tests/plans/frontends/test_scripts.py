"""Scripts that are run with what was delivered to them: the same each time, and nothing else."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.processes import run
from wfledger.plans.frontends.scripts import (
    Delivery,
    Past,
    Played,
    Script,
    parse_problem,
    play,
)

pytest.importorskip("quickjs")


def played(
    text: str, *deliveries: Delivery, args: Any = None, total: int | None = None,
    known: Sequence[str] = (),
) -> Played:  # fmt: skip
    return play(Script(text, args, total), Past(deliveries, known))


def ended(call: int, summary: str = "", *, tokens: int = 0, **outputs: Any) -> Delivery:
    """Return a delivery of a result."""
    result = {"id": f"r1.s.{call}", "summary": summary, "outputs": outputs}
    return Delivery(call, tokens, result)


def failed(call: int, kind: str = "agent", message: str = "no") -> Delivery:
    return Delivery(call, 0, None, kind, message)


def asked(found: Played) -> list[str]:
    """Return the prompts of the calls that may begin."""
    return [one.asked.task["prompt"] for one in found.begins]


@pytest.mark.requirement("WFL-FRONT-053")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("export default async function (args) { return args.k + 1 }", 2),
        ("const f = async () => 1;\nexport default f", 1),
        ("export default {a: 1}", None),
        ("return args", {"k": 1}),
        ("return await (async () => undefined)()", None),
        ("return [typeof process, typeof require, typeof setTimeout, typeof console]",
         ["undefined"] * 4),
        ("return [budget.total, budget.spent(), budget.remaining() === Infinity]", [None, 0, True]),
    ],
)  # fmt: skip
def test_scripts_return_a_value(text: str, value: Any) -> None:
    found = played(text, args={"k": 1})
    assert (found.state, found.value) == ("returned", value)


@pytest.mark.requirement("WFL-FRONT-055")
@pytest.mark.parametrize(
    "text",
    [
        "Date.now()", "new Date()", "Date()", "Date.parse('2020')", "new Date.prototype.constructor()",
        "Math.random()", "__date_clock()", "performance.now()", "new SharedArrayBuffer(1)",
        "Atomics.add", "await import('os')", "setTimeout(() => 1)", "fetch('http://x')",
    ],
)  # fmt: skip
def test_clocks_chance_and_the_world_are_not_there(text: str) -> None:
    found = played(f"return {text}")
    assert (found.state, found.value) == ("threw", None)


@pytest.mark.requirement("WFL-FRONT-054")
def test_results_come_one_at_a_time_and_in_their_order() -> None:
    text = """
    const order = [];
    const go = async (n) => { const r = await task("p" + n); order.push(n + r); return r };
    const found = await Promise.all([1, 2, 3].map(go));
    return { found, order }
    """
    first = played(text)
    assert (first.state, asked(first)) == ("waits", ["p1", "p2", "p3"])
    last = played(text, ended(3, "c"), ended(1, "a"), ended(2, "b"), known=first.digests)
    assert last.value == {"found": ["a", "b", "c"], "order": ["3c", "1a", "2b"]}


@pytest.mark.requirement("WFL-FRONT-060")
def test_failed_slots_of_parallel_become_null_and_are_said() -> None:
    text = """
    const b = task("b");
    const r = await parallel([() => task("a"), b, () => { throw new Error("mine") }, 7]);
    return { r, all: await parallel([]) }
    """
    found = played(text, failed(1, message="exit status 1"), ended(2, "A"))
    assert found.value == {"r": ["A", None, None, 7], "all": []}
    assert found.log == (
        "parallel(): slot 2 failed (script): mine",
        "parallel(): slot 1 failed (agent): exit status 1",
    )


@pytest.mark.requirement("WFL-FRONT-060")
@pytest.mark.parametrize("kind", ["cancelled", "schema"])
def test_what_was_called_off_and_what_does_not_fit_end_a_fan_out(kind: str) -> None:
    schema = "{responseSchema: {type: 'object', required: ['k']}, prompt: 'b'}"
    text = f"return await parallel([() => task('a'), () => task({schema})])"
    delivery = failed(2, "cancelled") if kind == "cancelled" else ended(2, "none")
    assert played(text, delivery).state == "threw"
    assert played(text, ended(1), ended(2, k=1)).value == ["", {"k": 1}]


@pytest.mark.requirement("WFL-FRONT-061")
def test_items_of_a_pipeline_do_not_wait_for_each_other() -> None:
    text = """
    return await pipeline(["a", "b"],
      (value, item, index) => task("one " + value + index),
      (value, item) => task("two " + value + item))
    """
    assert asked(played(text)) == ["one a0", "one b1"]
    ahead = played(text, ended(2, "B"))
    assert asked(ahead) == ["one a0", "one b1", "two Bb"]
    done = played(text, ended(2, "B"), ended(3, "BB"), failed(1))
    assert done.value == [None, "BB"]


@pytest.mark.requirement("WFL-FRONT-062")
def test_budget_is_what_the_delivered_results_have_used() -> None:
    text = """
    const left = [budget.remaining()];
    await task("a"); left.push(budget.remaining());
    await task("b"); left.push(budget.remaining(), budget.spent(), budget.total);
    return await task("c").catch((error) => ({ left, kind: error.kind }))
    """
    found = played(text, ended(1, tokens=30), ended(2, tokens=80), total=100)
    assert found.value == {"left": [100, 70, 0, 110, 100], "kind": "budget"}


@pytest.mark.requirement("WFL-FRONT-063")
@pytest.mark.parametrize(
    ("options", "result", "value"),
    [
        ("{prompt: 'p'}", ended(1, "text", k=1), "text"),
        ("{prompt: 'p', returns: 'outputs'}", ended(1, "text", k=1), {"k": 1}),
        ("{prompt: 'p', responseSchema: {type: 'array'}}", ended(1, "", value=[1]), [1]),
        ("{prompt: 'p', responseSchema: {type: 'number'}}", ended(1, "7"), 7),
        ("{prompt: 'p', responseSchema: {required: ['k']}}", ended(1, "", k=1), {"k": 1}),
    ],
)
def test_a_task_resolves_to_what_was_asked_for(
    options: str, result: Delivery, value: Any
) -> None:
    assert played(f"return await task({options})", result).value == value


@pytest.mark.requirement("WFL-FRONT-063")
@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ("{required: ['k']}", "schema"),
        ("{$ref: 'http://127.0.0.1:9/x.json'}", "schema"),
        ("{type: 'nothing'}", "admission"),
        ("{type: 'object', minProperties: 1}", "schema"),
        ("{$ref: '#'}", "schema"),
        ("{type: 'string', pattern: '('}", "admission"),
    ],
)
def test_a_result_that_does_not_fit_is_a_failure_of_that_kind(schema: str, kind: str) -> None:
    text = f"return await task({{prompt: 'p', responseSchema: {schema}}}).catch((e) => e.kind)"
    assert played(text, *([ended(1, "x")] if kind == "schema" else [])).value == kind


@pytest.mark.requirement("WFL-FRONT-064")
def test_more_than_a_thousand_tasks_and_items_are_refused() -> None:
    text = """
    const items = Array.from({ length: 1001 }, (_, n) => n);
    const kinds = [];
    for (const call of [() => parallel(items), () => pipeline(items)]) {
      await call().catch((error) => kinds.push(error.message))
    }
    for (const n of items) task("p" + n).catch((error) => kinds.push(error.kind));
    await Promise.resolve(); return kinds
    """
    found = played(text)
    assert len(found.digests) == 1000
    assert found.value[:2] == [
        "parallel(): 1001 items; at most 1000 in one call",
        "pipeline(): 1001 items; at most 1000 in one call",
    ]


@pytest.mark.long
def test_memory_of_a_script_is_bounded_at_the_price_of_its_process(tmp_path: Path) -> None:
    """The interpreter may die of it, which is why scripts are played in a process of their own."""
    code = (
        "from wfledger.plans.frontends.scripts import Past, Script, play\n"
        "text = 'const a = []; for (;;) a.push(`x`.repeat(1000) + a.length)'\n"
        "assert play(Script(text, None, None), Past((), ())).state == 'threw'"
    )
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.status == 0 or done.status < 0, done.err


@pytest.mark.requirement("WFL-FRONT-065")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("const f = () => f(); return f()", "stack overflow"),
        ("throw { a: 1 }", "[object Object]"),
        ("\n\nthrow new Error('mine')", "mine (line 3)"),
        ("await task({ prompt: 'p', promt: 'q' })", "unknown option `promt`"),
        ("return 10n", "bigint"),
        ("await task(7)", "takes a prompt"),
        ("await task({ prompt: 'p', model() {} })", "model is no value"),
        ("await parallel(7)", "takes a list"),
        ("await parallel([], {})", "one list"),
        ("await pipeline([1], 7)", "a stage is a function"),
    ],
)
def test_a_script_that_fails_says_why(text: str, words: str) -> None:
    found = played(text)
    assert found.state == "threw"
    assert words in found.message


def test_waiting_for_what_is_no_task_is_the_end() -> None:
    assert played("await new Promise(() => {})").state == "stuck"


@pytest.mark.requirement("WFL-CTRL-094")
@pytest.mark.parametrize(
    "later",
    [
        "await task('b'); await task('c')", "await task('a')", "return 1",
        "await task({prompt: 'a', label: 'x'}); await task('c')",
    ],
)
def test_a_script_that_asks_for_something_else_has_diverged(later: str) -> None:
    before = played("await task('a'); await task('c')", ended(1))
    assert before.state == "waits"
    found = played(later, ended(1), known=before.digests)
    assert found.state == "diverged"


@pytest.mark.requirement("WFL-FRONT-055")
def test_tampering_with_the_world_leaves_the_host_as_it_is() -> None:
    text = """
    JSON.stringify = () => "[]"; JSON.parse = () => null; Array.isArray = () => false;
    Promise.all = () => 7; Object.keys = () => []; Map.prototype.get = () => 1;
    try { globalThis.task = 1 } catch {}
    return await parallel([() => task("a"), () => task("b")])
    """
    assert asked(played(text)) == ["a", "b"]
    assert played(text, ended(2, "B"), ended(1, "A")).value == ["A", "B"]


@pytest.mark.requirement("WFL-FRONT-051")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("export default async function () {\n  let x = ;\n}", 2),
        ("\n\nawait task(\n", 3),
        ("})(); for (;;); (async () => {", 1),
        ("}}); for (;;); ({ async f() {", 1),
        ("(" * 200_000, 1),
    ],
)
def test_what_is_no_script_is_told_by_its_line_and_not_run(text: str, line: int) -> None:
    found = parse_problem(text)
    assert found is not None
    assert found[1].line == line


def test_what_is_a_script_is_not_run_to_find_that_out() -> None:
    assert parse_problem("for (;;);") is None
    assert parse_problem("x = 1; return 3") is None


BEST_OF = """
export default async function ({ brief, n }) {
  const schema = { type: "object", required: ["score", "patch"] };
  phase("Candidates");
  const made = await parallel(Array.from({ length: n }, (_, at) => () => task({
    label: `candidate ${at + 1}`, prompt: brief, responseSchema: schema,
    acceptance: ["the patch applies"], coordination_contracts: [`candidate-${at + 1}`],
  })));
  phase("Review");
  const judged = await task({
    label: "judge", type: "review", writeAuthority: "read_only", prompt: JSON.stringify(made),
    responseSchema: { type: "object", properties: { winner: { type: "integer" } } },
  });
  const winner = made[judged.winner];
  await task({ label: "apply", command: ["apply", winner.patch], exactFiles: ["src/a.py"] });
  return { winner: winner.patch, of: made.filter(Boolean).length };
}
"""


@pytest.mark.requirement("WFL-FRONT-053")
def test_best_of_n_is_judged_and_one_is_applied() -> None:
    args = {"brief": "fix it", "n": 3}
    candidates = (ended(2, score=2, patch="b"), ended(1, score=9, patch="a"), failed(3))
    judged = played(BEST_OF, *candidates, args=args).begins[-1]
    assert judged.asked.task["title"] == "Review / judge"
    last = played(BEST_OF, *candidates, ended(4, winner=0), args=args).begins[-1]
    assert (last.asked.task["command"], last.asked.task["write"]) == (["apply", "a"], ["src/a.py"])
    done = played(BEST_OF, *candidates, ended(4, winner=0), ended(5), args=args)
    assert done.value == {"winner": "a", "of": 2}


RACING = """
const seen = [];
const go = async (name, depth) => {
  const said = await task({ prompt: name + "/" + seen.join(","), label: name })
    .catch((error) => error.kind);
  seen.push(name + said);
  if (depth) await parallel([() => go(name + "l", depth - 1), () => go(name + "r", depth - 1)]);
  return seen.length;
};
return await pipeline(["a", "b", "c"], (name) => go(name, 1), (n, name) => go(name + n, 0));
"""


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-091")
@pytest.mark.requirement("WFL-FRONT-054")
@settings(max_examples=6, deadline=None)
@given(st.data())
def test_every_part_of_a_course_is_the_beginning_of_the_whole(data: st.DataObject) -> None:
    """What it asks for depends on every order of ends; the same ends lead to the same, each time."""
    course: list[Delivery] = []
    before: tuple[str, ...] = ()
    while True:
        found = played(RACING, *course, known=before)
        assert found == played(RACING, *course, known=before)
        assert found.digests[: len(before)] == before
        before = found.digests
        if found.state == "returned":
            break
        over = {one.call for one in course}
        number = data.draw(st.sampled_from([n + 1 for n in range(len(before)) if n + 1 not in over]))
        course.append(data.draw(st.sampled_from([ended(number, "x"), failed(number)])))
    assert len(course) == len(before) == 12
