import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plans.documents import Document, config, phase, short, task, writer
from wfledger.core import bounds
from wfledger.plans import original
from wfledger.plans.checking import Checked, check, check_text
from wfledger.plans.problems import REPORTED


def kinds(document: object, *, lenient: bool = False) -> list[str]:
    return [problem.kind for problem in check(document, lenient=lenient).errors]


def warned(document: object, *, lenient: bool = False) -> list[str]:
    return [problem.kind for problem in check(document, lenient=lenient).warnings]


def resolves(document: Any, pointer: str) -> bool:
    """Whether *pointer* names a value, or the place of a missing one."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in parts[:-1]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return isinstance(document, dict) or not parts or int(parts[-1]) < len(document)


@pytest.mark.requirement("WFL-PLAN-011")
def test_all_errors_are_reported_at_once_in_the_order_of_the_original() -> None:
    document = config(
        phase(" "),
        phase("a", writer("x", "src"), writer("y", "src/a"), parallel=True, depends_on=["ghost"]),
        phase("a", task(""), task("x", prompt=" "), depends_on=["b"]),
        phase("b", task("z", depends_on_results=["nobody"]), depends_on=["c"]),
        phase("c", task("u", colour=1), depends_on=["b"]),
        goal="",
        max_concurrent=0,
    )
    assert kinds(document) == [
        "empty_field", "invalid_max_concurrent", "empty_field", "empty_phase", "duplicate_phase",
        "empty_field", "empty_field", "duplicate_task", "unknown_field",
        "invalid_phase_dependency", "overlapping_parallel_write_scope", "phase_dependency_cycle",
        "invalid_task_result_dependency",
    ]  # fmt: skip


@pytest.mark.requirement("WFL-PLAN-012")
def test_parse_errors_stand_first_and_start_no_others() -> None:
    document = config(
        phase("a", task("x", mode="write", agent_type=3), depends_on="b"),
        phase(7, {"prompt": "p"}, depends_on=["a", 4]),  # type: ignore[arg-type]
        max_concurrent=99,
    )
    found = check(document).errors
    assert [problem.kind for problem in found] == ["parse_error"] * 6 + ["invalid_max_concurrent"]
    assert [problem.pointer for problem in found] == [
        "/phases/0/tasks/0/mode", "/phases/0/tasks/0/agent_type", "/phases/0/depends_on",
        "/phases/1/name", "/phases/1/tasks/0/id", "/phases/1/depends_on/1", "/max_concurrent",
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["goal", "phases", "max_concurrent"])
def test_null_is_refused_where_the_field_is_not_optional(field: str) -> None:
    assert kinds(config(phase("a", task("x"))) | {field: None})[0] == "parse_error"


def test_null_is_absent_where_the_field_is_optional() -> None:
    fields = dict.fromkeys(
        [
            "max_steps",
            "timeout_secs",
            "command",
            "role",
            "worker",
            "title",
            "verify",
            "timeout",
            "limits",
            "retry",
        ]
    )
    document = config(
        phase("a", task("x", **fields), description=None), name=None, description=None
    )
    assert kinds(document) == []


@pytest.mark.requirement("WFL-PLAN-014")
def test_unknown_field_is_told_what_was_meant() -> None:
    document = config(phase("a", task("x", file_scop=["a"], write=["a"]), paralel=True), gaol="g")
    messages = [problem.message for problem in check(document).errors]
    for meant in ("`file_scope`", "`parallel`", "`goal`"):
        assert any(meant in message for message in messages)
    assert sum("`file_scope`" in message for message in messages) == 2
    assert warned(document, lenient=True) == ["unknown_field"] * 4


@pytest.mark.requirement("WFL-PLAN-015")
def test_overlap_names_the_tasks_and_a_path_that_both_write() -> None:
    document = config(phase("p", writer("a", "src/**/x.py"), writer("b", "src/a/*"), parallel=True))
    (problem,) = check(document).errors
    for name in ("`a`", "`b`", "`p`", "`src/a/x.py`"):
        assert name in problem.message
    assert problem.pointer == "/phases/0/tasks/1/file_scope"


def test_each_pair_of_overlapping_writers_is_reported_in_declared_order() -> None:
    writers = [writer("a", "x"), writer("b", "y"), writer("c", "x"), writer("d", "x", "y")]
    messages = [p.message for p in check(config(phase("p", *writers, parallel=True))).errors]
    pairs = [[name for name in "abcd" if f"`{name}`" in message] for message in messages]
    assert pairs == [["a", "c"], ["a", "d"], ["b", "d"], ["c", "d"]]


@pytest.mark.requirement("WFL-PLAN-011")
def test_errors_beyond_the_bound_are_counted() -> None:
    document = config(phase("p", *(task(f"t{n}", x=1) for n in range(REPORTED + 7))))
    checked = check(document)
    assert len(checked.errors) == REPORTED
    assert checked.omitted == 7
    assert checked.as_json()["omitted"] == 7


@pytest.mark.requirement("WFL-PLAN-016")
def test_lenient_adds_the_edge_that_a_result_needs_and_warns() -> None:
    document = config(phase("p", task("a")), phase("q", task("b", depends_on_results=["a"])))
    checked = check(document, lenient=True)
    assert checked.plan is not None
    assert checked.plan.tasks[1].spec.after == ("a",)
    assert [problem.kind for problem in checked.warnings] == ["added_edge"]
    (problem,) = check(document).errors
    assert "add `p` to `depends_on` of phase `q`" in problem.message


@pytest.mark.requirement("WFL-PLAN-017")
@pytest.mark.parametrize(
    "scope", [[], [""], ["/abs", "src"], ["src\\a"], [f"f{n}" for n in range(65)]]
)
def test_lenient_writer_without_a_usable_scope_may_write_everywhere(scope: list[str]) -> None:
    document = config(phase("p", writer("a", *scope), writer("b", "docs")))
    checked = check(document, lenient=True)
    assert checked.plan is not None
    assert checked.plan.tasks[0].spec.write == ("**",)
    assert {problem.kind for problem in checked.warnings} <= {
        "missing_write_scope",
        "invalid_scope",
    }
    assert checked.warnings
    assert not check(document).ok


@pytest.mark.requirement("WFL-PLAN-017")
def test_lone_writer_without_a_scope_is_warned_in_both_modes() -> None:
    document = config(phase("p", task("a", mode="read_write")))
    for lenient in (False, True):
        assert warned(document, lenient=lenient) == ["missing_write_scope"]


@pytest.mark.requirement("WFL-PLAN-022")
def test_what_is_accepted_and_does_less_than_it_says_is_warned() -> None:
    document = config(
        phase(
            "p",
            task("a", max_steps=3, isolation="worktree", file_scope=["src"]),
            writer("b", "app/{x,y}", isolation="shared"),
            writer("c", "lib", isolation="worktree"),
        )
    )
    assert sorted(warned(document)) == [
        "not_enforced", "scope_hint", "treated_as_shared", "treated_as_worktree", "unused_scope",
    ]  # fmt: skip


@pytest.mark.requirement("WFL-PLAN-019")
def test_timeout_of_ages_is_shortened_with_a_warning() -> None:
    checked = check(config(phase("p", task("a", timeout_secs=2**63))))
    assert checked.plan is not None
    assert checked.plan.tasks[0].spec.limits.wall_s == bounds.MAX_SECONDS
    assert [problem.kind for problem in checked.warnings] == ["shortened"]


CONTRADICTIONS: list[Document] = [
    {"command": "make"},
    {"prompt": "p", "manual": True},
    {"timeout": 5, "timeout_secs": 5},
    {"timeout": 5, "limits": {"wall_s": 5}},
    {"role": "a", "worker": "a"},
]


@pytest.mark.requirement("WFL-PLAN-021")
@pytest.mark.parametrize("fields", CONTRADICTIONS)
def test_fields_that_say_different_things_of_one_matter_are_refused(fields: Document) -> None:
    for lenient in (False, True):
        assert kinds(config(phase("p", task("x", **fields))), lenient=lenient) == [
            "contradictory_fields"
        ]


def test_role_without_a_prompt_is_refused() -> None:
    for work in ({"command": "make"}, {"manual": True}):
        assert kinds(config(phase("p", {"id": "x", "role": "a", **work}))) == [
            "contradictory_fields"
        ]


WRONG: list[tuple[Document, str, str]] = [
    ({"command": ""}, "empty_field", "/command"),
    ({"command": []}, "empty_field", "/command"),
    ({"command": ["a", 1]}, "parse_error", "/command/1"),
    ({"command": 1}, "parse_error", "/command"),
    ({"verify": {"kind": "command"}}, "contradictory_fields", "/verify"),
    ({"verify": {"command": "x", "expect": 1}}, "contradictory_fields", "/verify"),
    ({"verify": ["a", {"expect": 256}]}, "invalid_bound", "/verify/1/expect"),
    ({"verify": {"comand": "x"}}, "unknown_field", "/verify/comand"),
    ({"timeout": "soon"}, "parse_error", "/timeout"),
    ({"timeout": "0s"}, "invalid_bound", "/timeout"),
    ({"timeout": "400d"}, "invalid_bound", "/timeout"),
    ({"limits": {"idle_s": 0}}, "invalid_bound", "/limits/idle_s"),
    ({"limits": {"output_bytes": 10}}, "invalid_bound", "/limits/output_bytes"),
    ({"retry": 0}, "invalid_bound", "/retry"),
    ({"retry": {"max_attempts": 101}}, "invalid_bound", "/retry/max_attempts"),
    ({"retry": {"on": ["question"]}}, "parse_error", "/retry/on/0"),
    ({"retry": "often"}, "parse_error", "/retry"),
    ({"needs": [" "]}, "empty_field", "/needs/0"),
    ({"contracts": [f"c{n}" for n in range(65)]}, "invalid_bound", "/contracts"),
    ({"priority": 1.0}, "parse_error", "/priority"),
    ({"priority": 10**7}, "invalid_bound", "/priority"),
    ({"env": ["A B"]}, "invalid_name", "/env/0"),
    ({"env": ["WFLEDGER_TOKEN"]}, "invalid_name", "/env/0"),
    ({"allow_no_change": "no"}, "parse_error", "/allow_no_change"),
    ({"title": "a\0b"}, "parse_error", "/title"),
]


@pytest.mark.requirement("WFL-PLAN-020", "WFL-PLAN-021")
@pytest.mark.parametrize(("fields", "kind", "pointer"), WRONG)
def test_wrong_additive_field_is_refused_at_its_place(
    fields: Document, kind: str, pointer: str
) -> None:
    work = {} if "command" in fields else {"prompt": "p"}
    given_task = {"id": "x", **work, **fields}
    phases_error = check(config(phase("p", given_task))).errors[0]
    assert (phases_error.kind, phases_error.pointer) == (kind, f"/phases/0/tasks/0{pointer}")
    short_error = check(short(given_task)).errors[0]
    assert (short_error.kind, short_error.pointer) == (kind, f"/tasks/0{pointer}")


def test_too_many_tasks_are_refused_once() -> None:
    tasks = [task(f"t{n}") for n in range(bounds.RUN_TASKS + 1)]
    assert kinds(config(phase("p", *tasks))) == ["too_many_tasks"]
    assert kinds(short(*tasks)) == ["too_many_tasks"]


def test_text_that_cannot_be_read_is_one_parse_error() -> None:
    checked = check_text("goal: [", "plan.yaml")
    (problem,) = checked.errors
    assert problem.kind == "parse_error"
    assert "plan.yaml:1:8" in problem.message
    assert checked.as_json() == {"ok": False, "errors": [problem.as_json()], "warnings": []}


@pytest.mark.parametrize("text", ["", "null", "[]", "3", "x"])
def test_plan_that_is_no_object_is_a_parse_error(text: str) -> None:
    assert [problem.kind for problem in check_text(text, "plan.yaml").errors] == ["parse_error"]


def test_names_from_a_plan_cannot_steer_a_terminal() -> None:
    document = config(
        phase("a\x1b[2J\u202e", task("x"), depends_on=["ghost\n\x07"]), **{"\x1b]0;": 1}
    )
    for problem in check(document).errors:
        assert problem.message.isprintable()


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["a", "b", "src", "read_write", "**"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "goal",
                    "phases",
                    "tasks",
                    "name",
                    "id",
                    "prompt",
                    "mode",
                    "file_scope",
                    "depends_on",
                    "after",
                    "write",
                    "retry",
                    "limits",
                    "verify",
                    "command",
                    "worker",
                    "parallel",
                    "x",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@given(junk, st.booleans())
def test_any_document_is_checked_without_a_crash_and_with_true_pointers(
    document: object, lenient: bool
) -> None:
    checked = check(document, lenient=lenient)
    assert checked.ok == (checked.plan is not None)
    json.dumps(checked.as_json()).encode()
    for problem in (*checked.errors, *checked.warnings):
        assert resolves(document, problem.pointer)


names = st.sampled_from(["a", "b", "c"])
tasks_of = st.builds(
    lambda name, scope, results: task(
        name,
        mode="read_write" if scope else "read_only",
        file_scope=scope,
        depends_on_results=results,
    ),
    st.sampled_from("uvwxyz"),
    st.lists(st.sampled_from(["src", "src/a", "docs/*", "/abs", ""]), max_size=2),
    st.lists(st.sampled_from("uvwxyz"), max_size=1),
)
phases_of = st.builds(
    lambda name, tasks, needs, parallel: phase(name, *tasks, depends_on=needs, parallel=parallel),
    names, st.lists(tasks_of, max_size=3), st.lists(names, max_size=2), st.booleans(),
)  # fmt: skip


@given(st.lists(phases_of, max_size=3))
def test_lenient_accepts_whatever_strict_accepts_and_compiles_it_alike(
    phases: list[Document],
) -> None:
    strict, lenient = check(config(*phases)), check(config(*phases), lenient=True)
    assert {p.kind for p in lenient.errors} <= {p.kind for p in strict.errors} | {
        "overlapping_parallel_write_scope"
    }
    if strict.plan is not None:
        assert lenient.plan is not None
        assert lenient.plan.tasks == strict.plan.tasks


def upstream(left: str, right: str) -> bool:
    return original.overlap(left, right) and original.overlap(right, left)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("src/*", "src/sub/a.py", True), ("src/*.py", "src/a.py", False), ("src/*.py", "src/*.rs", True),
        ("**", "src", False), ("src/a*", "src/a", True), (".", "x", True), ("./", "src/*.py", False),
        ("", "src/a.py", True), ("", "src/*.py", False), ("/**", "src", True), ("/src", "src", False),
        ("src/../lib/a.py", "lib/a.py", False), (" src ", "src", True), ("src//a", "src/./a", True),
        ("src/auth", "src/auth_admin", False), ("src/**/**", "src/a.py", False),
    ],
)  # fmt: skip
def test_overlap_of_the_original_is_kept_for_what_is_outside_the_grammar(
    left: str, right: str, expected: bool
) -> None:
    assert upstream(left, right) is expected


@pytest.mark.requirement("WFL-PLAN-015")
@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("shape", ["phases", "nodes"])
def test_white_space_around_a_pattern_is_no_part_of_it(shape: str, lenient: bool) -> None:
    writers: list[dict[str, object]] = [
        {"id": name, "prompt": "p", "mode": "read_write", "file_scope": [text]}
        for name, text in (("a", " src\u00a0"), ("b", "src/a"))
    ]
    nodes = [{"kind": "leaf", "spec": one} for one in writers]
    group = {"kind": "branch_set", "spec": {"id": "g", "parallel": True, "children": nodes}}
    phase = {"name": "p", "parallel": True, "tasks": writers}
    found = check({"goal": "g", shape: [phase if shape == "phases" else group]}, lenient=lenient)
    assert [error.kind for error in found.errors] == ["overlapping_parallel_write_scope"]


def test_checked_plan_is_absent_with_errors() -> None:
    assert check(config()) == Checked(check(config()).errors, (), None)
