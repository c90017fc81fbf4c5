import json

import pytest

from wfledger.errors import PlanError
from wfledger.plans.checking import check, check_text
from wfledger.plans.tomltext import read_toml

PHASES = """
goal = "ship"
max_concurrent = 2

[[phases]]
name = "build"

[[phases.tasks]]
id = "a"
prompt = '''
two
lines'''
mode = "read_write"
file_scope = ["src"]

[[phases]]
name = "look"
depends_on = ["build"]
tasks = [{ id = "b", prompt = "p", depends_on_results = ["a"] }]
"""
NODES = """
goal = "ship"

[[nodes]]
kind = "leaf"
spec = { id = "a", prompt = "p" }

[[nodes]]
kind = "reduce"
[nodes.spec]
id = "r"
prompt = "merge"
inputs = ["a"]
"""
SHORT = 'goal = "g"\n[[tasks]]\nid = "a"\ncommand = ["true"]\n'


@pytest.mark.requirement("WFL-FRONT-001")
@pytest.mark.requirement("WFL-FRONT-002")
@pytest.mark.parametrize(("text", "tasks"), [(PHASES, 2), (NODES, 2), (SHORT, 1)])
def test_every_shape_is_read_as_its_json_would_be(text: str, tasks: int) -> None:
    found = check_text(text, "plan.toml")
    assert found.ok, found.errors
    assert found.plan is not None
    assert len(found.plan.tasks) == tasks
    again = check(json.loads(json.dumps(read_toml(text, source="plan.toml"))))
    assert again.plan == found.plan


@pytest.mark.requirement("WFL-FRONT-002")
@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a = 1\nb = 2020-01-01", 2, "date"),
        ("a = 1\n[t]\nb = [1, 07:30:00]", 3, "date"),
        ("a = nan", 1, "finite"),
        ("[x]\na = -inf", 2, "finite"),
        ("a = 1\na = 2", 2, "overwrite"),
        ("x", 1, "Expected"),
        ("a = " + "[" * 3000, 1, "deep"),
        ("a = " + "[" * 250 + "]" * 250, 1, "deep"),
        ("a = " + "1" * 5000, 1, "digits"),
        ("a = 1\n" + "a." * 50_000 + "b = 1", 2, "deep"),
        ("[" + '"a" . ' * 50_000 + "b]", 1, "deep"),
    ],
)
def test_what_no_other_format_has_is_refused_with_its_place(
    text: str, line: int, word: str
) -> None:
    with pytest.raises(PlanError, match=word) as caught:
        read_toml(text, source="plan.toml")
    assert caught.value.facts["line"] == line
