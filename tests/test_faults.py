"""Fault points are free when unused, and exact when ordered."""

import ast
import dis
import errno
import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.faults import kill_at, ordered, raise_at, trace_to
from tests.support.imports import sources
from wfledger import faults

FIRST, SECOND = "test.faults.first", "test.faults.second"
faults.register(FIRST, SECOND)


def _pass(times: int) -> int:
    for _ in range(times):
        faults.point(FIRST)
        faults.point(SECOND)
    return times


def test_unset_variable_costs_no_more_than_an_empty_call() -> None:
    assert faults.armed("") is faults.armed("")
    assert faults.point is faults.armed("")
    assert len(list(dis.get_instructions(faults.armed("")))) <= 3


def test_kill_ends_the_process_at_the_hit_ordered(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    env = ordered(f"trace:*:{trace}", f"kill:{FIRST}:2")
    assert processes.start(_pass, 3, env=env).wait() == -signal.SIGKILL
    assert trace.read_text().split() == [FIRST, SECOND, FIRST]


def test_star_counts_every_point() -> None:
    assert processes.start(_pass, 2, env=kill_at("*", 4)).wait() == -signal.SIGKILL
    assert processes.start(_pass, 2, env=kill_at("*", 5)).result() == 2


def test_raise_fails_with_an_input_output_error_once() -> None:
    plan = faults.parse(raise_at(FIRST, 2)[faults.VARIABLE])
    plan.reach(FIRST)
    with pytest.raises(OSError, match="fault ordered") as caught:
        plan.reach(FIRST)
    assert caught.value.errno == errno.EIO
    plan.reach(FIRST)


def test_trace_lists_the_points_in_order(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    assert processes.start(_pass, 2, env=trace_to(trace)).result() == 2
    assert trace.read_text().split() == [FIRST, SECOND] * 2


def test_point_that_nobody_registered_is_refused_when_armed() -> None:
    with pytest.raises(LookupError, match=r"test\.unknown"):
        faults.parse(f"kill:{FIRST}").reach("test.unknown")


@pytest.mark.parametrize(
    "text", ["kill", "kill:", "burn:x", "kill:x:0", "kill:x:y", "pause:x", "trace:x:"]
)
def test_order_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="WFLEDGER_FAULTS"):
        faults.parse(text)


def test_registered_names_are_listed() -> None:
    assert {FIRST, SECOND} <= set(faults.names())


def _string_arguments(tree: ast.Module, function: str) -> set[str]:
    calls = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == function
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "faults"
    )
    return {
        argument.value
        for call in calls
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_points_used_in_the_package_are_those_registered() -> None:
    used: set[str] = set()
    registered: set[str] = set()
    for source in sources():
        used |= _string_arguments(source.tree, "point")
        registered |= _string_arguments(source.tree, "register")
    assert used == registered
