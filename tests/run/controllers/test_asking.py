"""Asking: expressions, probes and judges answer, and where they do not a person does."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import drive, statuses
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.clock import iso
from wfledger.core.control import Condition, Control
from wfledger.core.documents import Task, TaskSpec
from wfledger.run.attempts.orphans import sweep_orphans
from wfledger.run.controllers import asking
from wfledger.run.controllers.moves import Scene, Stop
from wfledger.run.controllers.recorded import list_of, truth_of
from wfledger.run.workspace import Workspace

NODES = {"tests": f"{RUN}.tests", "my-node": f"{RUN}.my-node", "gone": f"{RUN}.gone"}


def scene(workspace: Workspace, **control: Any) -> Scene:
    """Return what a controller is shown that is in no ledger: nobody else asks it anything."""
    spec = TaskSpec(control=Control(kind="loop_until", **control))
    task = Task(
        id=f"{RUN}.loop", run=RUN, seq=1, attempt=0, created=iso(workspace.clock.now()),
        spec=spec, spec_sha256=spec.digest(),
    )  # fmt: skip
    return Scene(workspace, workspace.ledger.run(RUN), task)


def asks(workspace: Workspace, text: str) -> Scene:
    return scene(workspace, condition=Condition(expression=text))


def says(outputs: str) -> str:
    return f"""printf '%s' '{{"outputs": {outputs}}}' >"$WFLEDGER_RESULT_FILE" """


def again(one: Scene, *, stop: Stop, answer: str) -> Scene:
    """Return the scene as it is after a person's answer."""
    task = one.task.but(control=stop.state, answers=(*one.task.answers, answer))
    return Scene(one.workspace, one.run, task)


@pytest.mark.long
@pytest.mark.requirement("WFL-EXPR-010")
@pytest.mark.requirement("WFL-EXPR-030")
def test_expression_is_answered_from_what_is_recorded(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "tests", command=says('{"n": 3, "verdict": "failed"}'))
    add_task(workspace, "my-node", command="exit 3", on_failure="skip_continue")
    drive(workspace)
    text = (
        'tests.status == "succeeded" && tests.outputs.n == 3 && !(tests.verdict == "passed")'
        ' && results["my-node"].status == "failed" && results["my-node"].exit_status == 3'
        ' && gone.status == "missing" && round == 2 && run.seconds >= 0.0 && run.tokens == 0'
    )
    one = asks(workspace, text)
    assert asking.questions(one, 2) == ()
    assert asking.answer(one, 2, NODES, round=2) is True
    assert asking.answer(one, 2, NODES, round=1) is False


RECORD: dict[str, Any] = {
    "status": "succeeded", "summary": "", "outputs": {}, "findings": [], "confidence": None,
    "verdict": None, "score": None, "changed": [], "exit_status": 0, "missing": [],
}  # fmt: skip


@pytest.mark.requirement("WFL-EXPR-011")
@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (True, True), (False, False), (1, None), (0, None), (None, None), ([], None), ({}, None),
        ("Passed ", True), ("no", False), ("failed", False), ("needs work", None), ("", None),
        (RECORD, True),
        (RECORD | {"status": "failed"}, False),
        (RECORD | {"status": "no_change"}, False),
        (RECORD | {"status": "missing"}, False),
        (RECORD | {"verdict": "needs work"}, False),
        (RECORD | {"verdict": False}, False),
        (RECORD | {"verdict": "pass", "status": "failed"}, True),
    ],
)  # fmt: skip
def test_what_counts_as_an_answer(value: Any, truth: bool | None) -> None:
    assert truth_of(value) is truth


@pytest.mark.requirement("WFL-EXPR-011")
@pytest.mark.parametrize(
    ("value", "items"),
    [
        ([1, "a"], [1, "a"]), ("ab", None), (None, None), ({"a": [1]}, None),
        (RECORD | {"outputs": {"items": [1], "others": [2]}}, [1]),
        (RECORD | {"outputs": {"files": [1], "n": 2}}, [1]),
        (RECORD | {"outputs": {"files": [1], "more": [2]}}, None),
        (RECORD | {"findings": [{"at": 1}]}, [{"at": 1}]),
        (RECORD, []),
    ],
)  # fmt: skip
def test_what_counts_as_a_list(value: Any, items: list[Any] | None) -> None:
    assert list_of(value) == items


@pytest.mark.requirement("WFL-EXPR-023")
@pytest.mark.long
def test_answer_of_a_person_counts_for_the_asking_that_it_was_given_for(tmp_path: Path) -> None:
    one = asks(make_workspace(tmp_path), "needed")
    stop = asking.answer(one, 1, {})
    assert isinstance(stop, Stop)
    assert (stop.code, stop.command) == ("question", f"wfledger answer {RUN}.loop yes")
    assert "needed" in stop.reason
    later = again(one, stop=stop, answer="Yes")
    assert asking.answer(later, 1, {}) is True
    other_round = asking.answer(later, 2, {})
    assert isinstance(other_round, Stop)
    assert asking.answer(again(later, stop=other_round, answer="no"), 2, {}) is False
    unclear = asking.answer(again(later, stop=other_round, answer="perhaps"), 2, {})
    assert isinstance(unclear, Stop)
    assert "must be yes or no, and was perhaps" in unclear.reason


@pytest.mark.requirement("WFL-EXPR-023")
@pytest.mark.long
def test_condition_without_an_answer_is_asked_of_a_person(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "tests")
    for text, why in [
        ("1 / 0 > 1", "division by zero"),
        ("'a text'", 'neither true nor false, but "a text"'),
        ("results.tests.outputs", "neither true nor false, but {}"),
    ]:
        stop = asking.answer(asks(workspace, text), 1, NODES)
        assert isinstance(stop, Stop)
        assert stop.code == "expression"
        assert why in stop.reason


@pytest.mark.requirement("WFL-EXPR-030")
@pytest.mark.long
def test_expression_that_burns_harms_nobody_and_is_no_answer(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    for text, why in [
        ("item.map(x, item.map(y, item.map(z, x * y * z))).size() > 0", "2 s of computing"),
        # Which limit comes first is up to the machine.
        ("['wide enough']" + ".map(a, a + a)" * 40 + ".size() > 0", "512 MiB|2 s of computing"),
    ]:
        stop = asking.answer(asks(workspace, text), 1, {}, item=list(range(1000)))
        assert isinstance(stop, Stop)
        assert stop.code == "expression"
        assert re.search(why, stop.reason)
        assert list(workspace.ledger.layout.tmp.iterdir()) == []


@pytest.mark.requirement("WFL-EXPR-031")
@pytest.mark.long
def test_two_who_ask_the_same_at_once_and_a_sweep_leave_each_other_alone(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "loop", command="true")
    one = asks(workspace, "round == 2")
    with ThreadPoolExecutor() as pool:
        found = [pool.submit(asking.answer, one, 2, {}, round=2) for _ in range(4)]
        while not all(asked.done() for asked in found):
            assert sweep_orphans(workspace) == 0
    assert [asked.result() for asked in found] == [True] * 4


@pytest.mark.requirement("WFL-EXPR-021")
@pytest.mark.long
def test_exit_status_of_a_probe_is_its_answer_unless_it_could_not_be_run(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    commands = ("true", "exit 75", "exit 127", "kill -9 $$", "sleep 60")
    limits = {"sleep 60": 1.0}  # what comes to its end by itself has time on a busy machine
    asked = [
        scene(workspace, condition=Condition(command=one, timeout_s=limits.get(one, 60.0)))
        for one in commands
    ]
    for step, one in enumerate(asked):
        ((task_id, spec),) = asking.questions(one, step)
        assert task_id == f"{RUN}.loop.{step}.asks"
        add_task(workspace, f"loop.{step}.asks", **dict(spec))
    drive(workspace)
    answers = [asking.answer(one, step, {}) for step, one in enumerate(asked)]
    assert answers[:2] == [True, False]
    assert [one.code for one in answers[2:] if isinstance(one, Stop)] == ["question"] * 3
    ended = [statuses(workspace)[f"{RUN}.loop.{step}.asks"] for step in range(len(commands))]
    assert ended == ["done", "done", "blocked", "blocked", "blocked"]


@pytest.mark.requirement("WFL-EXPR-022")
@pytest.mark.long
def test_judge_answers_by_its_verdict_alone_and_abstains_without_one(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    one = scene(workspace, condition=Condition(prompt="Is it good?", role="critic"))
    cases = [
        (says('{"verdict": "Accepted"}'), True), (says('{"verdict": "not yet"}'), False),
        (says('{"score": 1}'), None), ("exit 1", None),
    ]  # fmt: skip
    for step, (command, _) in enumerate(cases):
        ((_, spec),) = asking.questions(one, step)
        assert spec.prompt is not None
        assert "outputs" in spec.prompt
        assert (spec.role, spec.writes) == ("critic", False)
        judge = dict(spec) | {"prompt": None, "command": command}
        add_task(workspace, f"loop.{step}.asks", **judge)
    drive(workspace)
    answers = [asking.answer(one, step, {}) for step in range(len(cases))]
    assert answers == [truth for _, truth in cases]


@pytest.mark.requirement("WFL-EXPR-023")
@pytest.mark.long
def test_items_come_from_a_result_or_from_a_person(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "tests", command=says('{"items": [1, {"a": 2}]}'))
    drive(workspace)
    one = scene(workspace, source="tests")
    assert asking.items(one, NODES) == [1, {"a": 2}]
    unknown = Scene(workspace, one.run, one.task.but(
        spec=one.task.spec.but(control=Control(kind="expand", source="nobody"))
    ))  # fmt: skip
    stop = asking.items(unknown, NODES)
    assert isinstance(stop, Stop)
    assert stop.code == "question"
    assert asking.items(again(unknown, stop=stop, answer='["a"]'), NODES) == ["a"]
    unclear = asking.items(again(unknown, stop=stop, answer="all"), NODES)
    assert isinstance(unclear, Stop)


@pytest.mark.requirement("WFL-EXPR-010")
@pytest.mark.long
def test_values_of_the_surroundings_are_seen_by_controllers_inside(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    one = scene(
        workspace, condition=Condition(expression="item.n == 2 && round == 3"),
        values={"item": {"n": 2}, "round": 1},
    )  # fmt: skip
    assert asking.answer(one, 3, {}, round=3) is True


@pytest.mark.requirement("WFL-EXPR-021")
@pytest.mark.requirement("WFL-EXPR-022")
@pytest.mark.long
def test_who_is_asked_is_given_values_and_the_results_that_there_are(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "tests")
    drive(workspace)
    about = (NODES["tests"], NODES["gone"])
    values = {"item": {"name": "it's"}, "round": 7}
    probe = scene(workspace, condition=Condition(command="check {{item.name}}"), values=values)
    ((_, spec),) = asking.questions(probe, 1, about=about)
    assert (spec.command, spec.inputs) == ("check 'it'\"'\"'s'", (NODES["tests"],))
    judge = scene(workspace, condition=Condition(prompt="Round {{round}}?"), values=values)
    ((_, spec),) = asking.questions(judge, 1, about=about)
    assert spec.prompt is not None
    assert spec.prompt.startswith("Round 0?")
