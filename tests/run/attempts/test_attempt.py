"""One attempt: what a worker is given, what is believed of it, and how it is ended."""

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from tests.support.attempts import FILES, ID, KEPT, blocked, result_of, run_task
from tests.support.engines import (
    AT_ONCE,
    LIMITS,
    NOTHING_LEFT,
    drive,
    leftovers,
    outcomes,
    statuses,
)
from tests.support.repos import files_at, git
from tests.support.workspaces import BRANCH, RUN, add_task, make_workspace
from wfledger import faults
from wfledger.core.statuses import Actor, Status
from wfledger.errors import EnvironmentFailedError
from wfledger.run.attempts.attempt import run_attempt
from wfledger.run.attempts.claims import claim
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.processes.process import tagged
from wfledger.store.locks import LiveLock

# -- what it may not do ----------------------------------------------------------------------------


@pytest.mark.requirement("WFL-RESULT-009")
@pytest.mark.requirement("WFL-RESULT-010")
def test_reader_that_writes_is_caught_and_what_it_wrote_is_kept(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    reason = blocked(workspace, "echo new > new; rm src/a.txt", "read_only_violation")
    assert "new" in reason
    assert "src/a.txt" in reason
    assert set(files_at(workspace.main, KEPT)) == {"new", "src/b.txt", "README.md"}


def test_path_outside_the_scope_lands_nothing_and_is_named(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    reason = blocked(
        workspace, "echo 1 > src/a.txt; echo 2 > README.md", "out_of_scope", write=("src",)
    )
    assert "README.md" in reason
    assert files_at(workspace.main, KEPT)["src/a.txt"] == "1"


# -- what it says ----------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-RESULT-007")
@pytest.mark.parametrize("exit_status", [0, 1])
def test_what_a_worker_prints_changes_nothing(tmp_path: Path, exit_status: int) -> None:
    workspace = make_workspace(tmp_path, FILES)
    words = {0: 'status: blocked; {"status": "failed"}', 1: 'status: done; {"status": "succeeded"}'}
    task = run_task(workspace, f"echo '{words[exit_status]}'; exit {exit_status}")
    assert outcomes(workspace, ID) == ["task" if exit_status else "succeeded"]
    assert (task.block is None) == (exit_status == 0)
    assert words[exit_status] in workspace.ledger.layout.log(ID, 1).read_text()


@pytest.mark.requirement("WFL-RESULT-003")
@pytest.mark.requirement("WFL-RESULT-004")
def test_forged_facts_in_an_envelope_are_replaced(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    forged = {
        "status": "succeeded", "summary": "all is well", "task": "r1.other", "attempt": 7,
        "changed": [{"path": "nothing", "kind": "added", "in_scope": True}], "base": "0" * 40,
        "head": "1" * 40, "exit_status": 9, "wall_s": 0.0, "output_bytes": 5, "token": "secret",
    }  # fmt: skip
    run_task(
        workspace, f"echo x > src/a.txt; echo '{json.dumps(forged)}' > $WFLEDGER_RESULT_FILE",
        write=("src",),
    )  # fmt: skip
    found = result_of(workspace)
    assert (found.task, found.attempt, found.summary) == (ID, 1, "all is well")
    assert [change.path for change in found.changed] == ["src/a.txt"]
    assert found.base == git(workspace.main, "rev-parse", "main")
    assert found.head == git(workspace.main, "rev-parse", KEPT)
    assert found.exit_status == 0
    assert b"secret" not in (workspace.ledger.layout.root / f"results/{ID}/1.json").read_bytes()
    assert statuses(workspace) == {ID: "done"}


BAD_RESULTS = {
    "invalid": "echo '{\"status\": ' > $WFLEDGER_RESULT_FILE",
    "prose": "echo done > $WFLEDGER_RESULT_FILE",
    "wrong type": "echo '{\"status\": 7}' > $WFLEDGER_RESULT_FILE",
    "2 MB": "head -c 2000000 /dev/zero | tr '\\0' ' ' > $WFLEDGER_RESULT_FILE",
    "deep": "printf '[%.0s' $(seq 100000) > $WFLEDGER_RESULT_FILE",
    "link": "ln -s /etc/passwd $WFLEDGER_RESULT_FILE",
    "fifo": "mkfifo $WFLEDGER_RESULT_FILE",
    "folder": "mkdir $WFLEDGER_RESULT_FILE",
}


@pytest.mark.requirement("WFL-RESULT-005")
@pytest.mark.sampled(8)
@pytest.mark.parametrize("kind", BAD_RESULTS)
def test_result_file_that_is_none_fails_the_attempt_with_a_reason(
    tmp_path: Path, kind: str
) -> None:
    workspace = make_workspace(tmp_path, FILES)
    reason = blocked(workspace, f"echo x > src/a.txt; {BAD_RESULTS[kind]}", "task", write=("src",))
    assert reason.startswith("the result file")
    assert files_at(workspace.main, KEPT)["src/a.txt"] == "x"


# -- what it is given ------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-RESULT-011")
@pytest.mark.requirement("WFL-RESULT-012")
@pytest.mark.requirement("WFL-RESULT-018")
def test_environment_is_built_and_says_whose_work_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = '[env]\npass = ["LISTED", "LISTED_TOKEN", "WIDE_*"]\n'
    workspace = make_workspace(tmp_path, FILES, fleet=fleet)
    outside = {
        "LISTED": "1", "LISTED_TOKEN": "2", "OTHER": "3", "AWS_SECRET_ACCESS_KEY": "4",
        "SSH_AUTH_SOCK": "5", "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "WIDE_ONE": "6",
        "WIDE_API_KEY": "7", "PWD": "/stale", "WFLEDGER_TOKEN": "stale", "OF_TASK": "8",
        "WFLEDGER_RESULT_FILE": "/stale",
    }  # fmt: skip
    add_task(
        workspace, "a", write=("src", "docs/**"), env=("OF_TASK",), limits=LIMITS,
        command=f"env -0 > {tmp_path}/env; cp $WFLEDGER_TASK_FILE {tmp_path}/task; echo x > src/a.txt",
    )  # fmt: skip
    for name, value in outside.items():
        monkeypatch.setenv(name, value)
    drive(workspace, slots=1)
    for name in ("GIT_DIR", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    pairs = (tmp_path / "env").read_text().rstrip("\0").split("\0")
    seen = dict(pair.split("=", 1) for pair in pairs)
    assert {seen.get(name) for name in ("LISTED", "LISTED_TOKEN", "WIDE_ONE", "OF_TASK")} == {
        "1", "2", "6", "8"
    }  # fmt: skip
    assert not {"OTHER", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "WIDE_API_KEY"} & set(seen)
    assert not [name for name in seen if name.startswith("GIT_")]
    desk = workspace.state / f"{ID}.1.desk"
    token = workspace.ledger.layout.token(ID, 1)
    assert seen["PWD"] == str(workspace.state / f"{ID}.1")
    given = {name: value for name, value in seen.items() if name.startswith("WFLEDGER_")}
    assert given.pop("WFLEDGER_DEADLINE").endswith("Z")
    assert len(given.pop("WFLEDGER_TOKEN")) > 20
    assert not token.exists() or token.stat().st_mode & 0o77 == 0
    assert given == {
        "WFLEDGER_DIR": str(workspace.ledger.layout.root),
        "WFLEDGER_RUN": RUN, "WFLEDGER_TASK": ID, "WFLEDGER_ATTEMPT": "1",
        "WFLEDGER_TASK_FILE": str(desk / "task.json"), "WFLEDGER_INPUTS": str(desk / "inputs"),
        "WFLEDGER_RESULT_FILE": str(desk / "result.json"), "WFLEDGER_SCOPE": "src\ndocs/**",
        "WFLEDGER_DEPTH": "2", "WFLEDGER_BUDGET": "{}",
        "WFLEDGER_TAG": tag_for(workspace, f"{ID}.1"),
    }  # fmt: skip
    assert json.loads((tmp_path / "task").read_bytes())["id"] == ID


@pytest.mark.requirement("WFL-RESULT-013")
def test_worker_stands_in_a_worktree_and_on_a_branch_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(tmp_path, FILES)
    monkeypatch.setenv("PWD", str(workspace.main))
    run_task(
        workspace,
        'test "$PWD" = "$(/bin/pwd -P)" && cd "$PWD" && git rev-parse --show-toplevel > src/a.txt'
        " && git symbolic-ref HEAD >> src/a.txt",
        write=("src",),
    )
    where = [str(workspace.state / f"{ID}.1"), f"refs/heads/wf-try/{ID}/1"]
    assert files_at(workspace.main, BRANCH)["src/a.txt"].splitlines() == where
    assert not Path(where[0]).is_relative_to(workspace.main)


@pytest.mark.requirement("WFL-RESULT-016")
@pytest.mark.requirement("WFL-RESULT-017")
def test_consumer_gets_the_envelopes_of_its_inputs_and_no_others(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    say = "echo '{\"outputs\": {\"n\": %d}}' > $WFLEDGER_RESULT_FILE"
    add_task(workspace, "one", command=say % 1)
    add_task(workspace, "two", command=say % 2)
    add_task(
        workspace, "gone", command="exit 75", on_failure="skip_continue", retry={"max_attempts": 1}
    )
    wanted = {"after": tuple(f"{RUN}.{n}" for n in ("one", "two", "gone")), "inputs": (f"{RUN}.one",)}
    run_task(workspace, f"cp -r $WFLEDGER_INPUTS {tmp_path}/inputs", **wanted)
    given = {path.name: json.loads(path.read_bytes()) for path in (tmp_path / "inputs").iterdir()}
    assert set(given) == {f"{RUN}.one.json", "missing.json", "manifest.json"}
    assert [one["task"] for one in given["manifest.json"]["results"]] == [f"{RUN}.one"]
    assert given[f"{RUN}.one.json"]["outputs"] == {"n": 1}
    assert given["missing.json"] == [f"{RUN}.gone"]


def test_prompt_ends_with_what_its_inputs_said(tmp_path: Path) -> None:
    fleet = '[role.cat]\nargv = ["cp", "{prompt_file}", "src/a.txt"]\n'
    workspace = make_workspace(tmp_path, FILES, fleet=fleet)
    add_task(
        workspace, "one", command="echo '{\"summary\": \"four\"}' > $WFLEDGER_RESULT_FILE"
    )
    inputs = {"after": (f"{RUN}.one",), "inputs": (f"{RUN}.one",)}
    add_task(workspace, "a", command=None, prompt="Do it.", role="cat", write=("src",), **inputs)
    drive(workspace)
    text = files_at(workspace.main, BRANCH)["src/a.txt"]
    assert text.startswith(f"Do it.\n\n## Result of {RUN}.one\n\n```json\n")
    assert '"summary": "four"' in text


# -- processes and limits --------------------------------------------------------------------------

ESCAPES = {
    "setsid": "setsid sleep 1000 >/dev/null 2>&1 & sleep 0.05",
    "ignores TERM": "sh -c \"trap '' TERM; while :; do sleep 1; done\" & sleep 0.05",
    "double fork": "(setsid sh -c 'sleep 1000 & sleep 1000' &)",
    "clean environment": "env -i setsid sleep 1000 & sleep 0.05",
}


@pytest.mark.requirement("WFL-PROC-001")
@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", ESCAPES)
def test_worker_that_leaves_processes_behind_is_rid_of_them_before_it_is_over(
    tmp_path: Path, kind: str
) -> None:
    workspace = make_workspace(tmp_path, FILES)
    leash = tmp_path / "leash.fifo"
    os.mkfifo(leash)
    held = os.open(leash, os.O_RDONLY | os.O_NONBLOCK)
    run_task(workspace, f"exec 7> {leash}; {ESCAPES[kind]}", limits={"wall_s": 60.0})
    assert os.read(held, 1) == b"", "a process of the attempt still holds the pipe"
    os.close(held)
    assert tagged(tag_for(workspace, ID)) == {}
    assert outcomes(workspace, ID) == ["succeeded"]


@pytest.mark.requirement("WFL-PROC-002")
def test_output_is_bounded_on_disk(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    run_task(
        workspace, "head -c 50000000 /dev/zero; echo the end",
        limits={"wall_s": 60.0, "output_bytes": 100_000},
    )
    log = workspace.ledger.layout.log(ID, 1)
    assert 50_000 < log.stat().st_size < 101_000
    assert log.read_bytes().endswith(b"the end\n")
    assert result_of(workspace).output_bytes == 50_000_008


@pytest.mark.long
def test_gigabyte_of_output_is_bounded_on_disk(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    run_task(workspace, "head -c 1000000000 /dev/zero", limits={"wall_s": 100.0})
    assert workspace.ledger.layout.log(ID, 1).stat().st_size < 11 * 2**20
    assert result_of(workspace).output_bytes == 1_000_000_000


OVER = {
    "timeout": ("while :; do echo x; sleep 0.1; done", {"wall_s": 1.0}),
    "idle": ("sleep 100", {"idle_s": 1.0, "wall_s": 60.0}),
    "silence": ("while :; do :; done", {"silence_s": 1.0, "wall_s": 60.0}),
}


@pytest.mark.sampled(3)
@pytest.mark.requirement("WFL-PROC-003")
@pytest.mark.requirement("WFL-RESULT-010")
@pytest.mark.parametrize("kind", OVER)
def test_limit_ends_a_worker_with_its_class_and_its_work_kept(tmp_path: Path, kind: str) -> None:
    workspace = make_workspace(tmp_path, FILES)
    command, limits = OVER[kind]
    blocked(workspace, f"echo half > src/a.txt; {command}", kind, limits=limits, write=("src",))
    assert outcomes(workspace, ID) == [kind]
    assert files_at(workspace.main, KEPT)["src/a.txt"] == "half"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("command", ["exit 3", "exit 75", "kill -9 $$"])
def test_work_of_an_attempt_that_failed_is_kept(tmp_path: Path, command: str) -> None:
    workspace = make_workspace(tmp_path, FILES)
    task = run_task(
        workspace, f"echo half > src/a.txt; {command}", write=("src",), retry={"max_attempts": 1}
    )
    assert files_at(workspace.main, KEPT)["src/a.txt"] == "half"
    assert task.attempts[0].kept == git(workspace.main, "rev-parse", KEPT)
    assert leftovers(workspace) == NOTHING_LEFT


def test_program_that_is_not_there_is_trouble_of_the_environment(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    reason = blocked(workspace, ("no-such-program-at-all",), "environment")
    assert "no-such-program-at-all" in reason


# -- trouble of the machine ------------------------------------------------------------------------


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "point", ["worktree.remove.marked", "worktree.removed", "history.commit.objects", "commit.rotated"]
)
def test_trouble_after_the_end_of_an_attempt_does_not_touch_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    workspace = make_workspace(tmp_path, FILES)
    monkeypatch.setattr(faults, "point", faults.armed(f"raise:{point}"))
    run_task(workspace, "echo 1 > src/a.txt", write=("src",))
    assert statuses(workspace) == {ID: "done"}
    assert leftovers(workspace) == NOTHING_LEFT
    assert workspace.ledger.journal.is_empty()


@pytest.mark.requirement("WFL-RESULT-010")
@pytest.mark.parametrize("point", ["keep.snapshot", "keep.ref"])
def test_work_that_cannot_be_kept_stays_in_its_worktree_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    workspace = make_workspace(tmp_path, FILES)
    monkeypatch.setattr(faults, "point", faults.armed(f"raise:{point}"))
    reason = blocked(workspace, "echo 1 > src/a.txt", "environment", write=("src",))
    assert str(workspace.state / f"{ID}.1") in reason
    assert KEPT in reason
    assert files_at(workspace.main, KEPT)["src/a.txt"] == "1"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("point", ["engine.claimed", "attempt.placed", "attempt.kept"])
def test_ledger_that_cannot_be_written_ends_the_run_which_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    workspace = make_workspace(tmp_path, FILES)
    monkeypatch.setattr(faults, "point", faults.armed(f"raise:{point}"))
    with pytest.raises(EnvironmentFailedError, match="written"):
        run_task(workspace, "echo 1 > src/a.txt", write=("src",), retry=AT_ONCE)
    drive(workspace, slots=1)
    assert statuses(workspace) == {ID: "done"}
    assert leftovers(workspace) == NOTHING_LEFT


# -- preparation -----------------------------------------------------------------------------------

PROJECT = {
    **FILES,
    ".gitignore": "node_modules/\n",
    "package.json": "{}\n",
    "check.sh": "test -x .venv/bin/tool && test -e node_modules/dep/index.js && test -e made\n",
}
PREPARED = """
[worktree]
setup = "cp .venv/bin/tool made"
copy = [".venv"]
link = ["node_modules"]
"""


@pytest.mark.requirement("WFL-RESULT-033")
def test_project_that_needs_preparation_builds_and_tests_in_its_worktree(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, PROJECT, fleet=PREPARED)
    tool = workspace.main / ".venv/bin/tool"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho built\n")
    tool.chmod(0o755)
    dep = workspace.main / "node_modules/dep/index.js"
    dep.parent.mkdir(parents=True)
    dep.write_text("exports\n")
    check = ({"kind": "command", "command": "sh check.sh"},)
    task = run_task(
        workspace, "sh check.sh && .venv/bin/tool > src/a.txt", write=("src",), verify=check
    )
    assert statuses(workspace) == {ID: "done"}, task.block
    assert [change.path for change in result_of(workspace).changed] == ["src/a.txt"]
    assert files_at(workspace.main, BRANCH)["src/a.txt"] == "built"
    assert dep.exists()
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.requirement("WFL-RESULT-015")
def test_failing_preparation_is_trouble_of_the_environment(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES, fleet='[worktree]\nsetup = "echo no tool; exit 3"\n')
    reason = blocked(workspace, f"touch {tmp_path}/ran", "environment", write=("src",))
    assert "exit status 3" in reason
    assert "no tool" in reason
    assert not (tmp_path / "ran").exists()


@pytest.mark.requirement("WFL-RESULT-015")
def test_worktree_that_cannot_be_made_is_trouble_of_the_environment(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    squatter = workspace.state / f"{ID}.1"
    squatter.mkdir(parents=True)
    (squatter / "somebody's").write_text("work\n")
    task = run_task(workspace, "true", write=("src",))
    assert task.block is not None
    assert task.block.code == "environment"
    assert (squatter / "somebody's").read_text() == "work\n"
    assert workspace.ledger.names(Status.IN_PROGRESS) == []


@pytest.mark.long
@pytest.mark.requirement("WFL-CLI-005")
def test_worker_says_of_its_attempt_what_it_has_to_without_naming_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    verb = f"{sys.executable} -m wfledger heartbeat --json"
    run_task(workspace, f"{verb} && {verb} > {tmp_path}/beat", env=("PYTHONPATH",))
    assert statuses(workspace) == {ID: "done"}
    assert json.loads((tmp_path / "beat").read_text())["heartbeat"] == 2


def test_attempt_that_is_stopped_before_its_turn_leaves_nothing_behind(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES)
    promoted = add_task(workspace, "a", command="touch ran", write=("**",))
    with workspace.ledger.transaction("test") as changes:
        changes.move(
            promoted.id, Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1
        )
    live = LiveLock(workspace.ledger.layout.live(ID, 1))
    claimed = claim(workspace, worker="worker", task_id=ID)
    stop, told = threading.Event(), []
    stop.set()
    run_attempt(
        workspace, claimed, live=live, stop=stop, report=lambda *said: told.append(said[1])
    )
    assert told == ["stopped: stopped before it was started"]
    assert outcomes(workspace, ID) == ["released"]
    assert leftovers(workspace) == NOTHING_LEFT
    assert not live.is_held
