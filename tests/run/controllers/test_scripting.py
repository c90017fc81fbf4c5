"""Scripts: their calls are tasks of the ledger, and what they return is the result of theirs."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.controllers import controller, decided
from tests.support.engines import drive, statuses
from tests.support.landings import land
from tests.support.repos import files_at, git
from tests.support.workspaces import BRANCH, RUN, hand_in, make_workspace
from wfledger.core.control import ControlState
from wfledger.core.documents import Task
from wfledger.core.progress import progress
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.claims import claim
from wfledger.run.controllers import playing
from wfledger.run.controllers.driving import step_through
from wfledger.run.replay.replaying import replay
from wfledger.run.scheduler import Scheduler
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

pytest.importorskip("quickjs")

SCRIPT = f"{RUN}.s"


def says(summary: str, **outputs: Any) -> str:
    """Return a shell line that hands in a result."""
    envelope = json.dumps({"status": "succeeded", "summary": summary, "outputs": outputs})
    return f"printf %s '{envelope}' > $WFLEDGER_RESULT_FILE"


def add_script(workspace: Workspace, text: str, args: Any = None) -> Task:
    return controller(workspace, "s", kind="script", script=text, args=args, on_failure="abort")


def go_on(workspace: Workspace) -> None:
    """Let everything be decided that can be, without doing any work."""
    scheduler = Scheduler(workspace)
    step_through(workspace, lambda: scheduler.step(slots=32), lambda *_: None)


def offers(workspace: Workspace) -> list[str]:
    """Return what is on offer, by the numbers and labels of its calls."""
    return sorted(name.removeprefix(f"{SCRIPT}.") for name in workspace.ledger.names(Status.PENDING))


def end(workspace: Workspace, call: str, *, ok: bool = True, **result: Any) -> None:
    """Do the task of a call."""
    task = claim(workspace, worker="worker", task_id=f"{SCRIPT}.{call}", dispatches=True).task
    if not ok:
        result |= {"status": "failed", "failure": {"class": "task", "source": "task"}}
    hand_in(workspace, task, {}, base=git(workspace.main, "rev-parse", BRANCH), **result)
    if ok:
        land(workspace, workspace.ledger.get(task.id).task)


def block_of(workspace: Workspace) -> tuple[str, str]:
    """Return why the script has stopped."""
    block = workspace.ledger.get(SCRIPT).task.block
    assert block is not None
    return block.code, block.reason


SCOUTS = """
export default async function (args) {
  phase("Scouts");
  const slots = await parallel([
    () => task({ label: "a", command: args.a }),
    () => task({ label: "b", command: "exit 3" }),
    () => task({ label: "c", command: args.c }),
  ]);
  phase("Synthesis");
  const sum = await task({ label: "sum", command: args.sum, returns: "outputs" });
  return { slots, sum, summary: "both scouts are back" };
}
"""


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-091")
@pytest.mark.requirement("WFL-CTRL-097")
def test_scouts_of_whom_one_fails_and_their_synthesis(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, SCOUTS, {"a": says("A"), "c": says("C"), "sum": says("", n=2)})
    verdict = drive(workspace, slots=4).verdict
    result = decided(workspace, SCRIPT)
    assert result.summary == "3 of 4 tasks done; both scouts are back"
    assert result.outputs["value"]["slots"] == ["A", None, "C"]
    assert result.outputs["value"]["sum"] == {"n": 2}
    assert result.outputs["tasks"][f"{SCRIPT}.2-b"] == "missing"
    assert workspace.ledger.get(f"{SCRIPT}.4-sum").task.spec.title == "Synthesis / sum"
    assert statuses(workspace)[SCRIPT] == "done"
    assert verdict.state == "degraded"


STAGED = """
const plan = await task({ label: "plan", type: "plan", command: args.plan, returns: "outputs" });
const fixed = await pipeline(plan.files,
  (name) => task({ label: "fix " + name, command: `echo fixed > ${name}`, exactFiles: [name] }),
  (_, name) => task({ label: "test", command: `grep -q fixed ${name}`, returns: "envelope" }));
return fixed.map((one) => one.status);
"""


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-030")
def test_replay_of_a_script_that_logs_finds_the_same(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, """
        export default async function () {
          await parallel([() => task({label: "a", command: "exit 3"})]);
          log("over");
          return {};
        }""")  # fmt: skip
    drive(workspace)
    assert decided(workspace, SCRIPT).outputs["log"][-1] == "over"
    assert replay(workspace, workspace.ledger.run(RUN)).divergences == ()


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-091")
def test_a_staged_fix_lands_what_its_tasks_have_written(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, STAGED, {"plan": says("one", files=["a.txt"])})
    assert drive(workspace, slots=4).verdict.state == "succeeded"
    assert decided(workspace, SCRIPT).outputs["value"] == ["succeeded"]
    assert "a.txt" in files_at(workspace.main, f"wf/{RUN}")


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-092")
def test_results_are_delivered_in_the_order_in_which_they_were_recorded(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, """
        const order = [];
        await Promise.all(["a", "b", "c"].map(async (label) => {
          await task({ label, command: "true" }); order.push(label) }));
        return order
    """)
    go_on(workspace)
    for call in ("3-c", "1-a", "2-b"):
        end(workspace, call)
        go_on(workspace)
    assert decided(workspace, SCRIPT).outputs["value"] == ["c", "a", "b"]
    order = (workspace.ledger.get(SCRIPT).task.control or ControlState()).facts["order"]
    assert [line.split()[0] for line in order] == ["3", "1", "2"]


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-093")
def test_no_more_than_sixteen_of_its_tasks_are_open_at_once(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, """
        const r = await parallel(Array.from({ length: 20 }, () => () => task({ command: "true" })));
        return r.length
    """)
    go_on(workspace)
    assert len(offers(workspace)) == 16
    end(workspace, "5")
    end(workspace, "7", ok=False)
    go_on(workspace)
    assert {"17", "18"} < set(offers(workspace))
    task = workspace.ledger.get(SCRIPT).task
    failed = f"parallel(): slot 6 failed (agent): {SCRIPT}.7 (task):"
    assert progress(task.spec, task.control) == f"2 of 20 calls have ended; it said: {failed}"
    assert len(offers(workspace)) == 16


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-095")
def test_a_script_that_throws_begins_nothing_more_and_fails_its_run(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, """
        const slow = task({ label: "slow", command: "true" });
        await task({ label: "fails", command: "true" });
        await task("never");
    """)
    go_on(workspace)
    end(workspace, "2-fails", ok=False)
    go_on(workspace)
    assert statuses(workspace)[SCRIPT] == "waiting"
    end(workspace, "1-slow")
    go_on(workspace)
    code, reason = block_of(workspace)
    assert code == "script"
    assert f"{SCRIPT}.2-fails (task)" in reason
    assert workspace.ledger.run(RUN).state == "aborted"


@pytest.mark.long
@pytest.mark.requirement("WFL-FRONT-060")
def test_a_task_that_a_person_calls_off_ends_the_fan_out(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, """
        return await parallel(["a", "b"].map((label) => () => task({ label, command: "true" })))
          .catch((error) => error.kind)
    """)
    go_on(workspace)
    with workspace.ledger.transaction("test") as changes:
        changes.move(f"{SCRIPT}.1-a", Status.CANCELLED, actor=Actor.PERSON, why="no")
    go_on(workspace)
    end(workspace, "2-b")
    go_on(workspace)
    assert decided(workspace, SCRIPT).outputs["value"] == "cancelled"


@pytest.mark.long
@pytest.mark.requirement("WFL-FRONT-059")
def test_what_no_plan_may_hold_is_refused_and_the_others_begin(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, """
        return await Promise.all([{ writeRoots: [".git"] }, {}, { deliverables: ["../x"] }].map(
          (more) => task({ label: "t", command: "true", ...more }).catch((error) => error.kind)))
    """)
    go_on(workspace)
    assert offers(workspace) == ["2-t"]
    end(workspace, "2-t", summary="two")
    go_on(workspace)
    result = decided(workspace, SCRIPT)
    assert result.outputs["value"] == ["admission", "two", "admission"]
    assert list(result.outputs["tasks"]) == [f"{SCRIPT}.2-t"]


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-094")
@pytest.mark.parametrize(
    ("change", "stopped"),
    [("result", "replay_diverged"), ("calls", "replay_diverged"), ("task", "control_error")],
)
def test_what_is_not_as_it_was_stops_the_script(
    tmp_path: Path, change: str, stopped: str
) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, """
        const a = await task({ label: "a", command: "true" });
        return [a, await task({ label: "b", command: "true" })]
    """)
    go_on(workspace)
    end(workspace, "1-a", summary="first")
    go_on(workspace)
    end(workspace, "2-b")
    if change == "result":
        path = workspace.ledger.layout.root / workspace.ledger.layout.result(f"{SCRIPT}.1-a", 1)
        path.write_text(path.read_text().replace("first", "other"))
    elif change == "task":
        workspace.ledger.layout.task(Status.DONE, f"{SCRIPT}.2-b").unlink()
    else:
        state = workspace.ledger.get(SCRIPT).task.control
        assert state is not None
        calls = [state.facts["calls"][0], "000000000000"]
        with workspace.ledger.transaction("test") as changes:
            changes.update(SCRIPT, why="t", control=state.but(facts={**state.facts, "calls": calls}))
    go_on(workspace)
    assert block_of(workspace)[0] == stopped
    assert statuses(workspace)[SCRIPT] == "blocked"


@pytest.mark.long
@pytest.mark.requirement("WFL-FRONT-055")
@pytest.mark.parametrize(
    "text",
    [
        "Array.prototype.toJSON = () => 7; await task('x')",
        "let v = []; for (let n = 0; n < 5000; n++) v = [v]; return v",
    ],
)
def test_a_script_that_breaks_its_world_ends_alone(tmp_path: Path, text: str) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, text)
    go_on(workspace)
    assert block_of(workspace)[0] == "script"


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-097")
def test_a_value_that_cannot_be_written_down_is_written_as_far_as_it_can(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, "return ['a\\ud800b', '\\u0000', NaN, 1e400]")
    go_on(workspace)
    assert decided(workspace, SCRIPT).outputs["value"] == ["a?b", "\x00", None, None]


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-096")
def test_a_script_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playing, "_CPU_S", 1)
    workspace = make_workspace(tmp_path)
    add_script(workspace, "for (;;) await null")
    go_on(workspace)
    assert block_of(workspace) == ("script", "the script failed: it computed for more than 1 s")


@pytest.mark.long
@pytest.mark.requirement("WFL-FRONT-067")
def test_without_the_extra_a_run_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, "return 1")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "quickjs", None)
        go_on(workspace)
    task = workspace.ledger.get(SCRIPT).task
    assert task.block is not None
    assert (task.block.code, task.block.command) == (
        "missing_extra", f"pip install 'wfledger[scripts]' && wfledger retry {SCRIPT}",
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.requirement("WFL-CTRL-096")
def test_a_fifth_script_waits_for_one_of_four(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_script(workspace, "return 1")
    folder = workspace.ledger.layout.local / "live"
    others = [LiveLock(folder / f"script-{number}") for number in range(4)]
    go_on(workspace)
    assert statuses(workspace)[SCRIPT] == "waiting"
    others[2].release()
    go_on(workspace)
    assert decided(workspace, SCRIPT).outputs["value"] == 1
