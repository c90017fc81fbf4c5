import json
from typing import Any

import pytest

from wfledger.plans.checking import Checked, check_text

AGENT = '{"agent": {"id": "a", "prompt": "p"%s}}'


def checked(text: str, *, lenient: bool = False) -> Checked:
    return check_text(text, "plan.workflow.js", lenient=lenient).placed()


def verdict(text: str, *, lenient: bool = False) -> str:
    found = checked(text, lenient=lenient)
    return "ok" if found.ok else found.errors[0].kind


def workflow(*nodes: str, **fields: Any) -> str:
    head = json.dumps({"goal": "g", **fields})[:-1]
    return f'workflow({head}, "nodes": [{", ".join(nodes)}]}});'


@pytest.mark.requirement("WFL-FRONT-010")
@pytest.mark.parametrize(
    ("needle", "name"),
    [
        ("import x", "import"), ("import('x')", "import"), ("require('x')", "require"),
        ("fetch('u')", "fetch"), ("new XMLHttpRequest()", "XMLHttpRequest"),
        ("new WebSocket('u')", "WebSocket"), ("process.exit()", "process"), ("Deno.run()", "Deno"),
        ("Bun.x", "Bun"), ("child_process", "child_process"), ("exec('x')", "exec"),
        ("spawn('x')", "spawn"), ("open('x')", "open"), ("readFile", "readFile"),
        ("writeFile", "writeFile"), ("async x", "async"), ("await x", "await"),
        ("eval('x')", "eval"), ("new Function('x')", "new Function"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lenient", [False, True])
def test_what_would_act_counts_in_code_and_not_in_prose(
    needle: str, name: str, lenient: bool
) -> None:
    (problem,) = checked(f"{needle}\n{workflow()}", lenient=lenient).errors
    assert problem.kind == "unsupported_construct"
    assert f"`{name}`" in problem.message
    assert problem.line == 1
    prose = needle.replace('"', "'")
    assert verdict(f"// {needle}\n/* {needle} */\n{workflow()}", lenient=lenient) == "ok"
    told = json.dumps({"agent": {"id": "a", "prompt": f"please {prose} now"}})
    assert verdict(workflow(told), lenient=lenient) == "ok"


@pytest.mark.requirement("WFL-FRONT-010")
def test_everything_that_would_act_is_named_in_the_order_of_the_original() -> None:
    found = checked(f"eval(await x); import y\n{workflow()}").errors
    assert [error.message.split("`")[1] for error in found] == ["import", "await", "eval"]
    assert [error.column for error in found] == [16, 6, 1]


@pytest.mark.requirement("WFL-FRONT-011")
@pytest.mark.parametrize(
    ("text", "strict", "lenient"),
    [
        ("workflow", "missing_workflow_call", "missing_workflow_call"),
        ("workflow( \n", "missing_workflow_call", "missing_workflow_call"),
        ("Workflow({})", "missing_workflow_call", "missing_workflow_call"),
        ("workflow(x)", "invalid_workflow_object", "invalid_workflow_object"),
        ('workflow({"goal": "g"', "invalid_workflow_object", "invalid_workflow_object"),
        ("// workflow (draft)\n" + workflow(), "ok", "ok"),
        ('const kind = "workflow (1)";\n' + workflow(), "ok", "ok"),
        (f"// {workflow()}", "missing_workflow_call", "ok"),
        (f"export default my{workflow()} satisfies X; workflow(1", "ok", "ok"),
    ],
)
def test_call_is_found_in_code(text: str, strict: str, lenient: str) -> None:
    assert verdict(text) == strict
    assert verdict(text, lenient=True) == lenient


@pytest.mark.requirement("WFL-FRONT-012")
@pytest.mark.parametrize(
    "nodes",
    [
        '{"branch": {"id": "b", "children": [%s]}}' % (AGENT % ""),
        '{"expand": {"id": "e", "source": "[1]", "max_children": 1, "template": %s}}'
        % (AGENT % ""),
        '{"sequence": {"id": "s", "children": [{"kind": "leaf", "spec": {"id": "a", "prompt": "p"}}]}}',
        '{"cond": {"id": "c", "condition": "true", "then_nodes": [%s], "else_nodes": []}}'
        % (AGENT % ""),
        AGENT % ', "role": " Reviewer "',
    ],
)
def test_wrappers_stand_for_nodes(nodes: str) -> None:
    assert verdict(workflow(nodes)) == "ok"


@pytest.mark.requirement("WFL-FRONT-012")
def test_children_of_a_branch_run_at_once_unless_it_says_otherwise() -> None:
    spec = {"prompt": "p", "mode": "read_write", "file_scope": ["x"]}
    pair = [json.dumps({"agent": {"id": name, **spec}}) for name in "ab"]
    group = '{"branch": {"id": "g"%s, "children": [%s]}}'
    assert verdict(workflow(group % ("", ", ".join(pair)))) == "overlapping_parallel_write_scope"
    assert verdict(workflow(group % (', "parallel": false', ", ".join(pair)))) == "ok"


@pytest.mark.requirement("WFL-FRONT-013")
@pytest.mark.parametrize(
    ("node", "strict", "lenient"),
    [
        ('{"branch": {"id": "b", "colour": 1, "children": [%s]}}' % (AGENT % ""), *["invalid_json"] * 2),
        ('{"cond": {"id": "c", "condition": "x", "then": []}}', *["invalid_json"] * 2),
        (AGENT % ', "colour": 1', "unknown_field", "ok"),
        (AGENT % ', "budget": {"max_step": 1}', "unknown_field", "ok"),
        (AGENT % ', "mode": "write"', *["invalid_json"] * 2),
        (AGENT % ', "depends_on_results": ["nobody"]', *["invalid_node"] * 2),
        (AGENT % ', "role": "a b"', *["invalid_node"] * 2),
        ('{"agent": {"id": " ", "prompt": "p"}}', *["invalid_node"] * 2),
        ('{"agent": {"id": "a", "prompt": ""}}', *["invalid_node"] * 2),
        ('{"agnt": {"id": "a", "prompt": "p"}}', *["invalid_json"] * 2),
        ('{"agent": {"id": "a", "prompt": "p"}, "sequence": {}}', *["invalid_json"] * 2),
        ("{}", *["invalid_json"] * 2), ("null", *["invalid_json"] * 2), ('"a"', *["invalid_json"] * 2),
        ('{"branch": {"id": "b", "children": []}}', "empty_branch", "ok"),
    ],
)  # fmt: skip
def test_errors_have_the_kinds_of_this_language(node: str, strict: str, lenient: str) -> None:
    assert verdict(workflow(node)) == strict
    assert verdict(workflow(node), lenient=True) == lenient


@pytest.mark.requirement("WFL-FRONT-013")
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('workflow({"goal": " ", "nodes": []})', "invalid_node"),
        ('workflow({"nodes": []})', "invalid_json"),
        ('workflow({"goal": null})', "invalid_json"),
        ('workflow({"goal": "g", "nodes": null})', "invalid_json"),
        ('workflow({"goal": "g", "phases": []})', "invalid_json"),
        ('workflow({"goal": "g", "goal": "h"})', "invalid_json"),
        ("workflow({'goal': 'g'})", "invalid_json"),
        ('workflow({"goal": "g",})', "invalid_json"),
        ('workflow({"goal": "g"})', "ok"),
    ],
)
def test_top_of_the_object_is_as_strict_in_lenient(text: str, kind: str) -> None:
    assert verdict(text) == kind
    assert verdict(text, lenient=True) == kind


@pytest.mark.requirement("WFL-FRONT-004")
def test_all_errors_are_said_at_once_where_they_stand_in_the_file() -> None:
    text = """// two
export default workflow({
  "goal": "g",
  "nodes": [
    {"branch": {"id": "b", "children": [
      {"agent": {"id": "a", "prompt": "p", "mode": "write"}},
      {"agent": {"id": "c", "prompt": "p", "kind": "x"}}
    ]}},
    {"cond": {"id": "d", "condition": "true", "then": []}}
  ]
});"""
    found = [(error.kind, error.pointer, error.line) for error in checked(text).errors]
    assert found == [
        ("invalid_json", "/nodes/0/branch/children/0/agent/mode", 6),
        ("invalid_json", "/nodes/1/cond/then", 9),
        ("unknown_field", "/nodes/0/branch/children/1/agent/kind", 7),
    ]


def test_syntax_errors_of_the_object_name_the_line_of_the_file() -> None:
    (error,) = checked('\n\n  workflow({\n  "goal": g\n})').errors
    assert (error.kind, error.line, error.column) == ("invalid_json", 4, 11)


def test_extra_field_beside_a_raw_node_is_not_lost_without_a_word() -> None:
    node = '{"kind": "leaf", "spec": {"id": "a", "prompt": "p"}, "agent": {}}'
    found = checked(workflow(node))
    assert found.ok
    assert [(one.kind, one.pointer) for one in found.warnings] == [
        ("unknown_field", "/nodes/0/agent")
    ]
