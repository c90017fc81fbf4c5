"""Handoffs: each goes to one task of its role, whoever dies meanwhile."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.controllers import controller, leaf
from tests.support.engines import drive, noted
from tests.support.faults import kill_at
from tests.support.workspaces import (
    RUN,
    add_run,
    add_task,
    make_workspace,
    open_workspace,
    put_merging,
)
from wfledger.core.control import Control, Delivered, GateTerms, Promotion
from wfledger.run import people
from wfledger.run.scheduler import Scheduler
from wfledger.run.workspace import Workspace

GIVER = f"{RUN}.plan"
AT = Delivered(task=GIVER, attempt=1, number=0)


def gives(*kinds: str, to: str = "builder", **outputs: Any) -> str:
    handoffs = [{"to_role": to, "kind": kind, "payload": {"of": kind}} for kind in kinds]
    envelope = json.dumps({"handoffs": handoffs, "outputs": outputs})
    return f"""printf '%s' '{envelope}' >"$WFLEDGER_RESULT_FILE" """


def shows(folder: Path) -> str:
    """Return a command that notes who was handed what."""
    listed = (
        "import json,os,sys; f=os.environ['WFLEDGER_INPUTS']+'/handoffs.json'; "
        "print(os.environ['WFLEDGER_TASK'], *(h['from']+':'+h['payload']['of'] for h in "
        "(json.load(open(f)) if os.path.exists(f) else [])))"
    )
    return f'python3 -c "{listed}" >> {folder / "noted"}'


def received(workspace: Workspace, node: str) -> tuple[Delivered, ...]:
    return workspace.ledger.get(f"{RUN}.{node}").task.received


@pytest.mark.requirement("WFL-CTRL-050")
@pytest.mark.requirement("WFL-CTRL-051")
@pytest.mark.long
def test_first_task_of_a_role_is_given_what_was_left_and_the_second_nothing(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    plan = add_task(workspace, "plan", command=gives("notes", "list"), plays="planner")
    one = add_task(workspace, "one", command=shows(tmp_path), plays="Builder", after=(plan.id,))
    add_task(workspace, "two", command=shows(tmp_path), plays="builder", after=(one.id,))
    add_task(workspace, "other", command=shows(tmp_path), plays="tester", after=(plan.id,))
    drive(workspace)
    assert sorted(noted(tmp_path)) == [
        f"{RUN}.one {GIVER}:list {GIVER}:notes", f"{RUN}.other", f"{RUN}.two",
    ]  # fmt: skip


def ready(tmp_path: Path, *nodes: str, **spec: Any) -> Workspace:
    """Return a ledger in which `plan` has left something and *nodes* wait for it."""
    workspace = make_workspace(tmp_path)
    add_task(workspace, "plan", command=gives("notes"), plays="planner")
    drive(workspace)
    for node in nodes:
        add_task(workspace, node, **({"plays": "builder"} | spec))
    return workspace


def step_there(root: Path) -> None:
    """Take one step."""
    Scheduler(open_workspace(root)).step(slots=2)


@pytest.mark.requirement("WFL-CTRL-051")
@pytest.mark.long
@pytest.mark.parametrize("point", ["ledger.move.content-first", "ledger.move.renamed"])
def test_handoff_is_with_one_task_wherever_the_step_that_delivers_it_dies(
    tmp_path: Path, point: str
) -> None:
    workspace = ready(tmp_path, "one", "two")
    child = processes.start(step_there, workspace.main, env=kill_at(point))
    assert child.wait() == -signal.SIGKILL, child.output()
    child.close()
    step_there(workspace.main)
    assert sorted((received(workspace, "one"), received(workspace, "two"))) == [(), (AT,)]


@pytest.mark.requirement("WFL-CTRL-051")
@pytest.mark.long
def test_further_attempts_are_given_it_again_and_nobody_else_is(tmp_path: Path) -> None:
    command = f"{shows(tmp_path)}; exit 1"
    workspace = ready(tmp_path, "one", command=command)
    drive(workspace)
    add_task(workspace, "two", command=shows(tmp_path), plays="builder")
    people.retry(workspace, f"{RUN}.one")
    drive(workspace)
    assert sorted(noted(tmp_path)) == [
        f"{RUN}.one {GIVER}:notes", f"{RUN}.one {GIVER}:notes", f"{RUN}.two",
    ]  # fmt: skip


@pytest.mark.requirement("WFL-CTRL-051")
@pytest.mark.long
def test_task_that_was_cancelled_before_it_began_gives_it_back(tmp_path: Path) -> None:
    workspace = ready(tmp_path, "one")
    step_there(workspace.main)
    assert received(workspace, "one") == (AT,)
    people.cancel(workspace, f"{RUN}.one")
    add_task(workspace, "two", plays="builder")
    step_there(workspace.main)
    assert received(workspace, "two") == (AT,)


@pytest.mark.requirement("WFL-CTRL-052")
@pytest.mark.long
def test_other_runs_and_unfinished_work_hand_nothing_over(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    result = {"handoffs": ({"to_role": "builder", "kind": "notes", "payload": None},)}
    put_merging(workspace, "plan", {"src/a.py": "1\n"}, result=result)
    add_run(workspace, "r2")
    add_task(workspace, "one", plays="builder")
    add_task(workspace, "two", plays="builder", run_id="r2")
    step_there(workspace.main)
    drive(workspace)
    assert received(workspace, "one") == ()
    step_there(workspace.main)
    assert workspace.ledger.get("r2.two").task.received == ()


@pytest.mark.requirement("WFL-CTRL-053")
@pytest.mark.long
def test_work_that_is_sent_back_is_given_what_was_given_before(tmp_path: Path) -> None:
    workspace = ready(tmp_path, "one", command=shows(tmp_path), on_failure="skip_continue")
    terms = GateTerms(role="builder", gate="review", on_fail="retry", require_explicit_verdict=True)
    controller(
        workspace, "gate", kind="gate", gate=terms, members=(f"{RUN}.one",), bound=1,
        body=(leaf("one", shows(tmp_path), role="builder"),), after=(f"{RUN}.one",),
        on_failure="hold",
    )  # fmt: skip
    drive(workspace)
    assert noted(tmp_path) == [f"{RUN}.one {GIVER}:notes", f"{RUN}.gate.1.one {GIVER}:notes"]


@pytest.mark.requirement("WFL-CTRL-052")
@pytest.mark.requirement("WFL-CTRL-053")
@pytest.mark.long
def test_candidates_of_one_choice_are_given_the_same_and_leave_what_the_chosen_one_leaves(
    tmp_path: Path,
) -> None:
    workspace = ready(tmp_path)
    tries = (f"{RUN}.try1", f"{RUN}.try2")
    for number, name in enumerate(tries):
        give = gives(f"of-{number}", to="tester", score=number)
        add_task(
            workspace, name.partition(".")[2], command=f"{shows(tmp_path)}; touch a; {give}",
            plays="builder", write=("a",), candidate_of=f"{RUN}.best",
        )  # fmt: skip
    best = Control(kind="teacher_review", members=tries, promotion=Promotion(strategy="best_score"))
    add_task(workspace, "best", command=None, control=best, after=tries, inputs=tries, write=("a",))
    add_task(workspace, "test", command=shows(tmp_path), plays="tester", after=(f"{RUN}.best",))
    drive(workspace)
    assert sorted(noted(tmp_path)) == [
        f"{RUN}.test {RUN}.best:of-1", f"{RUN}.try1 {GIVER}:notes", f"{RUN}.try2 {GIVER}:notes",
    ]  # fmt: skip
