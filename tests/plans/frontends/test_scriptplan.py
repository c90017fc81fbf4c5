"""A script as a plan: looked through and not run, with the place of what is wrong."""

import sys

import pytest

from wfledger.errors import UsageError
from wfledger.plans.checking import Checked, check_text
from wfledger.plans.frontends.scriptplan import ARGS_BYTES, TEXT_BYTES, with_args

GOOD = "export default async function (args) {\n  return await task('x');\n}\n"


def checked(text: str, source: str = "sweep.workflow.js") -> Checked:
    return check_text(text, source).placed()


@pytest.mark.requirement("WFL-FRONT-050")
@pytest.mark.requirement("WFL-FRONT-066")
def test_a_script_is_one_controller_and_a_warning() -> None:
    found = checked(GOOD)
    assert found.plan is not None
    (task,) = found.plan.tasks
    assert task.spec.control is not None
    assert (task.spec.control.kind, task.spec.control.script) == ("script", GOOD)
    assert (found.plan.name, task.spec.on_failure) == ("sweep", "abort")
    assert [one.kind for one in found.warnings] == ["decided_later"]


@pytest.mark.requirement("WFL-FRONT-051")
@pytest.mark.requirement("WFL-FRONT-052")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD.replace("'x'", "'x'; let y = ;"), ("syntax_error", 2, 1)),
        ("import a from 'b'\n" + GOOD, ("unsupported_construct", 1, 1)),
        (GOOD.replace("'x'", "await import('fs')"), ("unsupported_construct", 2, 27)),
        (GOOD + " " * TEXT_BYTES, ("too_long", 1, 1)),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, problem: tuple[str, int, int]) -> None:
    (error,) = checked(text).errors
    assert (error.kind, error.line or 1, error.column or 1) == problem


@pytest.mark.requirement("WFL-FRONT-067")
def test_without_the_extra_the_command_that_installs_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "quickjs", None)
    (error,) = checked(GOOD).errors
    assert error.kind == "missing_extra"
    assert "pip install 'wfledger[scripts]'" in error.message


@pytest.mark.requirement("WFL-FRONT-066")
def test_arguments_belong_to_scripts_and_are_bounded() -> None:
    plan = checked(GOOD).plan
    assert plan is not None
    control = with_args(plan, {"k": [1]}).tasks[0].spec.control
    assert control is not None
    assert control.args == {"k": [1]}
    with pytest.raises(UsageError, match="at most"):
        with_args(plan, "x" * ARGS_BYTES)
    other = check_text('{"goal": "g", "tasks": [{"id": "a", "command": "true"}]}', "a.json").plan
    assert other is not None
    with pytest.raises(UsageError, match="only a script"):
        with_args(other, 1)
