import json

import pytest

from wfledger.plans.checking import check_text
from wfledger.plans.places import locate

YAML = """\
goal: x
phases:
- name: a
  tasks: &tasks
  - {id: a}
  - id: b
    file_scope: [a, "b"]
- name: b
  tasks: *tasks
"""
TOML = """\
goal = "x" # [a]
[[phases]]
name = "a"
tasks = [
  {id = "a"},
]
[[phases]]
name = "b"
[[phases.tasks]]
id = "x"
"a/b" = 1
  [phases.tasks.limits]
  wall_s = 3
[[phases.tasks]]
prompt = '''
[[phases]]
'''
id = 'y'
"""
JSON = '{"goal": "x",\n "a/b": [1,\n {"c": "}"}],\n\n "d": {"e": null}}'


@pytest.mark.requirement("WFL-FRONT-004")
@pytest.mark.parametrize(
    ("source", "text", "pointer", "place"),
    [
        ("p.yaml", YAML, "", (1, 1)),
        ("p.yaml", YAML, "/goal", (1, 1)),
        ("p.yaml", YAML, "/phases/0/tasks/0/id", (5, 6)),
        ("p.yaml", YAML, "/phases/0/tasks/1/file_scope/1", (7, 21)),
        ("p.yaml", YAML, "/phases/0/tasks/1/prompt", (6, 5)),
        ("p.yaml", YAML, "/phases/1/tasks/1/id", (9, 3)),
        ("p.toml", TOML, "/goal", (1, 1)),
        ("p.toml", TOML, "/phases/0/tasks/0/id", (4, 1)),
        ("p.toml", TOML, "/phases/1/name", (8, 1)),
        ("p.toml", TOML, "/phases/1/tasks/0/a~1b", (11, 1)),
        ("p.toml", TOML, "/phases/1/tasks/0/limits/wall_s", (13, 3)),
        ("p.toml", TOML, "/phases/1/tasks/1/id", (18, 1)),
        ("p.toml", TOML, "/phases/1/tasks/1/mode", (14, 1)),
        ("p.json", JSON, "/a~1b/1/c", (3, 3)),
        ("p.json", JSON, "/d/e", (5, 8)),
        ("p.json", JSON, "/d/f", (5, 2)),
        ("p.json", "[1, [2, 3]]", "/1/1", (1, 9)),
    ],
)
def test_value_is_found_where_it_stands(
    source: str, text: str, pointer: str, place: tuple[int, int]
) -> None:
    assert locate(text, source, [pointer]) == {pointer: place}


@pytest.mark.requirement("WFL-FRONT-004")
@pytest.mark.parametrize("ending", ["json", "yaml", "toml"])
def test_every_error_and_warning_has_its_line(ending: str) -> None:
    plans = {
        "json": json.dumps({"goal": "g", "tasks": [{"id": "a", "comand": "x"}]}, indent=1),
        "yaml": "goal: g\n\ntasks:\n- id: a\n  comand: x\n",
        "toml": 'goal = "g"\n\n[[tasks]]\nid = "a"\ncomand = "x"\n',
    }
    found = check_text(plans[ending], f"plan.{ending}").placed()
    lines = {error.pointer: error.line for error in found.errors}
    assert lines == {
        "/tasks/0/prompt": lines["/tasks/0/prompt"],
        "/tasks/0/comand": 6 if ending == "json" else 5,
    }
    assert all(lines.values())


def test_what_cannot_be_read_has_the_place_of_the_reader() -> None:
    found = check_text("goal: [\n", "plan.yaml").placed()
    assert [(one.kind, one.line) for one in found.errors] == [("parse_error", 2)]
