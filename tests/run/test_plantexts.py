"""Starlark plans are evaluated in a process of their own, which does little and not for long."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.processes import run
from wfledger.clock import SystemClock
from wfledger.plans.frontends import starlark
from wfledger.run import plantexts

GOOD = 'workflow("g", [branch("b", [agent("x%d" % n, "p") for n in range(3)])])'


def kinds(text: str) -> list[str]:
    found = plantexts.check_plan(text.encode(), "plan.star", clock=SystemClock())
    return [error.kind for error in found.errors]


@pytest.mark.requirement("WFL-FRONT-023")
def test_text_is_evaluated_elsewhere() -> None:
    found = plantexts.check_plan(GOOD.encode(), "plan.star", clock=SystemClock())
    assert found.plan is not None
    assert [one.given for one in found.plan.tasks if one.spec.prompt] == ["x0", "x1", "x2"]


@pytest.mark.long
@pytest.mark.requirement("WFL-FRONT-023")
@pytest.mark.parametrize(
    "text",
    [
        "def f():\n  return f()\nf()",
        "x = [i for i in range(1000000000)]",
        'def f():\n  x = ["aaaa"]\n  for i in range(100):\n    x = x + x\nf()',
        'workflow("g", ' + "[" * 5000 + "]" * 5000 + ")",
    ],
)
def test_what_takes_too_much_is_an_error_of_the_plan(text: str) -> None:
    assert kinds(text) == ["evaluation_limit"]


@pytest.mark.long
@pytest.mark.requirement("WFL-FRONT-023")
def test_text_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plantexts, "CPU_S", 1)
    before = os.times().children_user
    assert kinds("def f():\n  for i in range(1000000000):\n    pass\nf()") == ["evaluation_limit"]
    assert os.times().children_user - before < 3


def test_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starlark, "is_installed", lambda: False)
    found = plantexts.check_plan(GOOD.encode(), "plan.star", clock=SystemClock())
    (error,) = found.errors
    assert error.kind == "missing_extra"
    assert "pip install 'wfledger[starlark]'" in error.message


@pytest.mark.long
@pytest.mark.requirement("WFL-FRONT-003")
def test_plans_that_need_no_evaluation_start_nothing(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from wfledger.run.plantexts import check_plan\n"
        "from wfledger.clock import SystemClock\n"
        "text = b'goal: g\\ntasks: [{id: a, command: x}]'\n"
        "assert check_plan(text, 'p.yaml', clock=SystemClock()).ok\n"
        "heavy = ('starlark', 'quickjs', 'wfledger.run.processes')\n"
        "print([one for one in sys.modules if one.startswith(heavy)])"
    )
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert (done.status, done.out.strip()) == (0, "[]"), done.err
