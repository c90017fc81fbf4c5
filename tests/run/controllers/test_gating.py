"""Gates at work: they hold back, ask people, send work back, and outlive their process."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.controllers import controller, decided, leaf
from tests.support.engines import drive, drive_there, statuses
from tests.support.repos import git
from tests.support.workspaces import RUN, add_task, make_workspace, open_workspace
from wfledger.core.control import GateTerms
from wfledger.core.documents import Task
from wfledger.run import people
from wfledger.run.workspace import Workspace

GATE = f"{RUN}.gate"
NEXT = f"{RUN}.next"


def says(outputs: str) -> str:
    return f"""printf '%s' '{{"outputs": {outputs}}}' >"$WFLEDGER_RESULT_FILE" """


def gated(
    workspace: Workspace, command: str, *, body: tuple[Any, ...] = (), **terms: Any
) -> tuple[Task, Task]:
    """Put a gate behind the task `build`, and the task `next` behind the gate."""
    known = GateTerms(**({"role": "builder", "gate": "review", "on_fail": "block"} | terms))
    build = add_task(
        workspace, "build", command=command, plays="builder", on_failure="skip_continue"
    )
    gate = controller(
        workspace, "gate", kind="gate", gate=known, members=(build.id,), body=body,
        bound=known.max_retries, after=(build.id,), on_failure="hold",
    )  # fmt: skip
    show = "ls $WFLEDGER_INPUTS >out; cat $WFLEDGER_INPUTS/missing.json >missing"
    add_task(
        workspace, "next", command=show, after=(build.id, gate.id), inputs=(build.id, gate.id),
        write=("out", "missing"),
    )  # fmt: skip
    return build, gate


@pytest.mark.requirement("WFL-CTRL-041")
@pytest.mark.requirement("WFL-CTRL-043")
@pytest.mark.long
def test_gate_that_is_shut_holds_back_until_a_person_opens_it_from_another_process(
    tmp_path: Path,
) -> None:
    workspace = make_workspace(tmp_path)
    gated(workspace, says('{"verdict": "no"}'))
    assert drive(workspace).verdict.state == "waits"
    assert statuses(workspace)[NEXT] == "waiting"
    block = workspace.ledger.get(GATE).task.block
    assert block is not None
    assert (block.code, block.command) == ("gate_failed", f"wfledger answer {GATE} yes")
    assert "blocked" in block.reason
    people.answer(open_workspace(workspace.main), GATE, "no: still too slow")
    assert drive_there(workspace.main) == 10
    block = workspace.ledger.get(GATE).task.block
    assert block is not None
    assert "still too slow" in block.reason
    people.answer(workspace, GATE, "yes")
    assert drive_there(workspace.main) == 0
    assert decided(workspace, GATE).outputs["by"] == "person"


@pytest.mark.requirement("WFL-CTRL-043")
@pytest.mark.long
def test_gate_looks_again_when_it_is_told_to(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    flag = tmp_path / "flag"
    gated(workspace, f"test -e {flag}", gate="verify")
    drive(workspace)
    people.retry(workspace, GATE)
    assert drive(workspace).verdict.state == "waits"
    flag.touch()
    people.retry(workspace, f"{RUN}.build")
    people.retry(workspace, GATE)
    assert drive(workspace).verdict.state == "succeeded"
    assert decided(workspace, GATE).outputs["by"] == "look"


@pytest.mark.requirement("WFL-CTRL-042")
@pytest.mark.long
def test_person_approves_or_says_why_not(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    gated(workspace, "true", gate="approve", on_fail="escalate")
    assert drive(workspace).verdict.state == "waits"
    block = workspace.ledger.get(GATE).task.block
    assert block is not None
    assert (block.code, block.command) == ("question", f"wfledger answer {GATE} yes")
    people.answer(workspace, GATE, "maybe")
    drive(workspace)
    block = workspace.ledger.get(GATE).task.block
    assert block is not None
    assert "not maybe" in block.reason
    people.answer(workspace, GATE, "no", reason="the tests are thin")
    drive(workspace)
    block = workspace.ledger.get(GATE).task.block
    assert block is not None
    assert (block.code, block.facts["state"]) == ("gate_failed", "escalated")
    assert "the tests are thin" in block.reason
    people.answer(workspace, GATE, "yes")
    assert drive(workspace).verdict.state == "succeeded"


@pytest.mark.requirement("WFL-CTRL-044")
@pytest.mark.requirement("WFL-CTRL-045")
@pytest.mark.long
def test_work_is_sent_back_with_the_reasons_and_what_comes_of_it_is_handed_on(
    tmp_path: Path,
) -> None:
    workspace = make_workspace(tmp_path)
    again = f"cp $WFLEDGER_INPUTS/sent-back.json {tmp_path}/why; " + says('{"verdict": "yes"}')
    gated(
        workspace, "exit 1", on_fail="retry", max_retries=2,
        body=(leaf("build", again, role="builder"),),
    )  # fmt: skip
    outcome = drive(workspace)
    assert outcome.verdict.state == "succeeded"
    assert "has not succeeded" in (tmp_path / "why").read_text()
    result = decided(workspace, GATE)
    assert (result.outputs["retries"], result.outputs["by"]) == (1, "look")
    assert statuses(workspace)[f"{RUN}.build"] == "cancelled"
    run = workspace.ledger.run(RUN)
    shown = workspace.repo.tip(run.branch)
    assert shown is not None
    listed = git(workspace.main, "show", f"{shown}:out").split()
    assert f"{GATE}.1.build.json" in listed
    assert git(workspace.main, "show", f"{shown}:missing").strip() == "[]"


@pytest.mark.requirement("WFL-CTRL-040")
@pytest.mark.long
def test_work_that_never_passes_is_escalated_when_its_retries_are_used_up(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    work = says('{"verdict": "no"}')
    gated(
        workspace, work, on_fail="retry", max_retries=2,
        body=(leaf("build", work, role="builder"),),
    )  # fmt: skip
    assert drive(workspace).verdict.state == "waits"
    block = workspace.ledger.get(GATE).task.block
    assert block is not None
    assert block.facts == {"state": "escalated", "attempt": 2}
    assert "after 2 of 2 retries" in block.reason
    made = [name for name in statuses(workspace) if name.startswith(f"{GATE}.")]
    assert made == [f"{GATE}.1.build", f"{GATE}.2.build"]


@pytest.mark.requirement("WFL-CTRL-042")
@pytest.mark.long
def test_gate_with_nothing_to_begin_again_is_a_persons_turn(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    gated(workspace, "exit 1", gate="verify", on_fail="retry")
    drive(workspace)
    block = workspace.ledger.get(GATE).task.block
    assert block is not None
    assert block.facts == {"state": "escalated", "attempt": 0}
