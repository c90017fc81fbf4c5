"""What has been used is known attempt by attempt, and what is not known stays unknown (spec 66)."""

from pathlib import Path

import pytest

from tests.support.checkups import codes, fix
from tests.support.engines import drive
from tests.support.workspaces import RUN, add_run, add_task, make_workspace
from wfledger.core.documents import Result, Task
from wfledger.core.routes import Routed
from wfledger.core.usage import Spent, Usage
from wfledger.run.money import meters, spending
from wfledger.run.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = make_workspace(tmp_path / "repo")
    add_run(made)
    return made


def prompt(workspace: Workspace, node: str, **spec: object) -> Task:
    return add_task(workspace, node, command=None, prompt="do it", role="coder", **spec)


def end(workspace: Workspace, task: Task, attempt: int = 1, **fields: object) -> Result:
    result = Result(task=task.id, attempt=attempt, status="succeeded", **fields)
    return spending.note(workspace, task, result)


def spent(workspace: Workspace, run: str = RUN) -> Spent:
    return workspace.spending.look().of_runs({run})


@pytest.mark.requirement("WFL-MONEY-001")
def test_usage_of_attempts_is_added_up_and_what_is_unknown_is_counted_apart(
    workspace: Workspace,
) -> None:
    task = prompt(workspace, "a")
    end(workspace, task, 1, usage=Usage(input=10, output=5, cost_usd=0.5, requests=2))
    end(workspace, task, 2, usage=Usage(input=7))
    end(workspace, task, 3)
    assert spent(workspace) == Spent(
        attempts=3, usd=0.5, tokens=22, steps=2, unpriced=2, uncounted=1
    )
    assert workspace.spending.of_task(task.id).attempts == 3


@pytest.mark.requirement("WFL-MONEY-001")
def test_an_attempt_counts_once_and_never_less_than_it_was_known_to_have_used(
    workspace: Workspace,
) -> None:
    task = prompt(workspace, "a")
    for usage in (Usage(output=5, cost_usd=0.5), Usage(output=6, cost_usd=0.6), None):
        end(workspace, task, usage=usage)
        spent(workspace)
    assert (spent(workspace).attempts, spent(workspace).usd) == (1, 0.6)
    again = spending.spending_of(workspace).look().of_runs({RUN})
    assert again == spent(workspace)


@pytest.mark.requirement("WFL-MONEY-002")
def test_meters_of_what_runs_count_until_the_end_is_recorded(workspace: Workspace) -> None:
    task, layout = prompt(workspace, "a"), workspace.ledger.layout
    path = meters.path_of(layout.local, task.id, 1)
    route = Routed(provider="deepseek", model="m")
    meters.write(path, Usage(output=5, cost_usd=0.5), route, tmp=layout.tmp)
    assert spent(workspace).usd == 0.5
    assert workspace.spending.of_account("deepseek").usd == 0.5
    # A worker that was killed said nothing at its end: what its meter knew goes into the result.
    result = end(workspace, task)
    assert (result.usage, result.route) == (Usage(output=5, cost_usd=0.5), route)
    assert (spent(workspace).attempts, spent(workspace).usd) == (1, 0.5)


def test_a_meter_that_cannot_be_read_says_nothing(workspace: Workspace) -> None:
    path = meters.path_of(workspace.ledger.layout.local, f"{RUN}.a", 1)
    path.parent.mkdir()
    path.write_text('{"usage": ')
    assert spent(workspace).attempts == 0


@pytest.mark.long
@pytest.mark.requirement("WFL-MONEY-001")
def test_commands_that_say_nothing_leave_no_line(workspace: Workspace) -> None:
    add_task(workspace, "a", command="true")
    drive(workspace, slots=1)
    assert (workspace.ledger.layout.local / "index" / "usage.jsonl").read_bytes() == b""
    assert spent(workspace) == Spent()


@pytest.mark.requirement("WFL-MONEY-001")
def test_a_line_that_a_crash_has_cut_is_passed_over(workspace: Workspace) -> None:
    task = prompt(workspace, "a")
    end(workspace, task, usage=Usage(cost_usd=0.5, output=1))
    path = workspace.ledger.layout.local / "index" / "usage.jsonl"
    with path.open("ab") as file:
        file.write(b'\n{"task":"r1.a","att')
    assert spent(workspace).attempts == 1
    end(workspace, task, 2, usage=Usage(cost_usd=0.25, output=1))
    assert spent(workspace).usd == 0.75


@pytest.fixture
def used(workspace: Workspace) -> Path:
    """Return the file of a ledger in which an attempt has used something."""
    add_task(workspace, "a", command='printf \'{"usage": {"cost_usd": 1.5, "output": 3, '
             '"source": "meter"}}\' > "$WFLEDGER_RESULT_FILE"')  # fmt: skip
    drive(workspace, slots=1)
    return workspace.ledger.layout.local / "index" / "usage.jsonl"


@pytest.mark.long
@pytest.mark.requirement("WFL-MONEY-005")
def test_what_is_missing_here_counts_at_once_and_is_made_anew_by_the_next_runtime(
    workspace: Workspace, used: Path
) -> None:
    before = used.read_bytes()
    used.unlink()
    assert spending.spending_of(workspace).look().of_runs({RUN}).usd == 1.5
    assert not used.exists()  # who only looks changes nothing
    drive(workspace, slots=1)
    assert used.read_bytes() == before
    assert spent(workspace).usd == 1.5


@pytest.mark.long
@pytest.mark.requirement("WFL-MONEY-005")
def test_a_file_that_says_less_than_the_results_is_found_and_put_right(
    workspace: Workspace, used: Path
) -> None:
    said = end(workspace, prompt(workspace, "b"), usage=Usage(cost_usd=0.5, output=1))
    known = used.read_bytes().splitlines()[-1]
    used.write_bytes(b"\0\0\0\n" + known + b"\n")
    assert spent(workspace).usd == 0.5
    assert codes(workspace.main) == {"usage-incomplete"}
    fix(workspace.main)
    assert codes(workspace.main) == set()
    # What only the file knows, of an attempt whose end a crash has kept from being recorded, stays.
    assert said.usage is not None
    assert spent(workspace).usd == 2.0


@pytest.mark.long
@pytest.mark.requirement("WFL-MONEY-003")
def test_who_says_it_of_himself_is_no_meter(workspace: Workspace) -> None:
    task = add_task(workspace, "a", command='printf \'{"usage": {"output": 3, '
                    '"source": "meter"}}\' > "$WFLEDGER_RESULT_FILE"')  # fmt: skip
    drive(workspace, slots=1)
    result = workspace.ledger.result(task.id, 1)
    assert result is not None
    assert result.usage == Usage(output=3, source="agent")


@pytest.mark.requirement("WFL-MONEY-004")
def test_what_a_task_started_counts_to_it_and_to_its_run(workspace: Workspace) -> None:
    parent = prompt(workspace, "a")
    child = prompt(workspace, "a-child", parent=parent.id)
    with workspace.ledger.transaction("test") as changes:
        nested = workspace.ledger.run(RUN).but(id="r2", parent=child.id, tasks=())
        changes.put_run(nested, why="nested")
    inner = add_task(workspace, "x", run_id="r2", command=None, prompt="do it", role="coder")
    for number, task in enumerate((parent, child, inner), 1):
        end(workspace, task, usage=Usage(cost_usd=float(number), output=1))
    found = workspace.spending.look()
    assert [found.of_task(one.id).usd for one in (parent, child, inner)] == [6.0, 5.0, 3.0]
    assert (found.of_runs({RUN}).usd, found.of_runs({"r2"}).usd) == (6.0, 3.0)
