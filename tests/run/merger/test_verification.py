"""A task's own checks decide on a clean checkout, with nothing but what the result holds."""

import hashlib
import threading
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.landings import accept, assert_landed_once, land, outcomes
from tests.support.repos import git
from tests.support.workspaces import (
    BRANCH,
    add_task,
    hand_in,
    make_workspace,
    put_merging,
    start,
)
from wfledger.core.documents import Accepted, Artifact, Check, Retry
from wfledger.core.statuses import Status
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.keeping import keep
from wfledger.run.merger.landing import Blocked, Deferred, Done, Retried
from wfledger.run.workspace import Workspace

FILES = {"src/a.py": "A = 1\n", ".gitignore": "*.cache\n"}
CHANGE = {"src/a.py": "A = 2\n"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, FILES)


def _check(command: str | tuple[str, ...], **fields: float) -> Check:
    return Check(kind="command", command=command, **fields)


def _worktrees(workspace: Workspace) -> list[worktrees.Place]:
    return worktrees.recorded(workspace)


@pytest.mark.requirement("WFL-RESULT-030")
def test_check_sees_exactly_the_result(workspace: Workspace) -> None:
    checks = (_check("grep -q 'A = 2' src/a.py && test ! -e .wfledger"),)
    task = put_merging(workspace, "one", CHANGE, verify=checks)
    assert isinstance(land(workspace, task), Done)
    assert_landed_once(workspace, task)
    assert _worktrees(workspace) == []


@pytest.mark.requirement("WFL-RESULT-030")
def test_ignored_file_of_the_worker_does_not_make_its_check_pass(workspace: Workspace) -> None:
    task = start(
        workspace, add_task(workspace, "one", write=("src",), verify=(_check("cat ok.cache"),)).id
    )
    base = git(workspace.main, "rev-parse", BRANCH)
    branch = f"refs/heads/wf-try/{task.id}/1"
    place = worktrees.make(workspace, f"{task.id}.1", base=base, branch=branch, purpose="attempt")
    place.folder.joinpath("ok.cache").write_text("planted")
    place.folder.joinpath("src/a.py").write_text("A = 2\n")
    kept = keep(workspace, place, task_id=task.id, attempt=1)
    hand_in(workspace, task, {}, base=base, head=kept.head)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "verification"
    assert "ok.cache" in landing.reason
    assert place.folder.joinpath("ok.cache").exists()


@pytest.mark.requirement("WFL-RESULT-025")
@pytest.mark.requirement("WFL-RESULT-032")
def test_every_check_that_fails_is_told_with_the_end_of_its_output(workspace: Workspace) -> None:
    checks = (
        _check("echo first words; exit 3"),
        _check("true"),
        _check(("sh", "-c", "echo more words; exit 4")),
    )
    task = put_merging(workspace, "one", CHANGE, verify=checks)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert (landing.code, landing.command) == ("verification", "wfledger open r1.one")
    for words in ("exit status 3", "first words", "exit status 4", "more words"):
        assert words in landing.reason
    assert len(landing.details["logs"]) == 2
    assert Path(landing.details["logs"][0]).read_text() == "first words\n"
    assert outcomes(workspace, task) == ["verification"]
    assert _worktrees(workspace) == []


def test_output_reaches_the_ledger_without_escapes_and_secrets(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-value-of-mine")
    checks = (_check("printf '\\033[2J%s' \"$MY_TOKEN\"; exit 1"),)
    task = put_merging(workspace, "one", CHANGE, verify=checks, env=("MY_TOKEN",))
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert "[redacted]" in landing.reason
    assert "s3cr3t" not in landing.reason
    assert "\x1b" not in landing.reason


@pytest.mark.requirement("WFL-RESULT-031")
def test_check_has_a_workers_environment(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLISTED", "1")
    monkeypatch.setenv("LISTED", "1")
    command = (
        'test -z "$UNLISTED$GIT_DIR$GIT_AUTHOR_NAME$WFLEDGER_TOKEN" && test -n "$LISTED" '
        '&& test "$WFLEDGER_TASK" = r1.one && test "$PWD" = "$(pwd -P)"'
    )
    task = put_merging(workspace, "one", CHANGE, verify=(_check(command),), env=("LISTED",))
    assert isinstance(land(workspace, task), Done)


def test_check_that_takes_too_long_fails_and_leaves_nothing_running(workspace: Workspace) -> None:
    command = "sleep 600 & echo $! > /dev/stderr; wait"
    task = put_merging(workspace, "one", CHANGE, verify=(_check(command, timeout_s=0.2),))
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert "0.2 s" in landing.reason
    pid = landing.reason.splitlines()[-1]
    assert not Path("/proc", pid).exists()


def test_program_that_is_not_there_fails_the_check(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", CHANGE, verify=(_check(("no-such-program",)),))
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "verification"


@pytest.mark.parametrize(("status", "lands"), [(3, True), (0, False), (None, False)])
def test_exit_status_must_be_the_expected_one(
    workspace: Workspace, status: int | None, lands: bool
) -> None:
    checks = (Check(kind="exit_code", expect=3),)
    task = put_merging(workspace, "one", CHANGE, verify=checks, result={"exit_status": status})
    assert isinstance(land(workspace, task), Done if lands else Blocked)


def test_failed_verification_is_retried_where_the_plan_says_so(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES, clock=FakeClock())
    checks, retry = (Check(kind="exit_code", expect=1),), Retry(on=("verification",))
    task = put_merging(workspace, "one", CHANGE, verify=checks, retry=retry)
    landing = land(workspace, task)
    assert isinstance(landing, Retried)
    entry = workspace.ledger.get(task.id)
    assert entry.status is Status.WAITING
    assert entry.task.hold is not None
    assert entry.task.hold.until == landing.until == "2026-01-05T09:00:05.000Z"
    assert outcomes(workspace, task) == ["verification"]


def test_person_may_waive_verification(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", CHANGE, verify=(_check("false"),))
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    head, base = landing.details["head"], landing.details["base"]
    waived = Accepted(attempt=1, head=head, base=base, waive=("verification",))
    task = accept(workspace, task, waived)
    assert isinstance(land(workspace, task), Done)
    assert_landed_once(workspace, task)


def test_accepted_result_is_verified_but_for_the_workers_exit_status(workspace: Workspace) -> None:
    checks = (Check(kind="exit_code", expect=0), _check("grep -q 3 src/a.py"))
    task = put_merging(workspace, "one", CHANGE, verify=checks, result={"exit_status": 1})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.reason.startswith("the worker's exit status must be 0; it was 1\ngrep")
    head, base = landing.details["head"], landing.details["base"]
    again = land(workspace, accept(workspace, task, Accepted(attempt=1, head=head, base=base)))
    assert isinstance(again, Blocked)
    assert again.reason.startswith("grep")


def test_tree_that_passed_is_not_verified_again(workspace: Workspace, tmp_path: Path) -> None:
    count = tmp_path / "count"
    checks = (_check(f"echo x >> {count}"),)
    git(workspace.main, "checkout", "--quiet", "wf/r1")  # keeps the branch where it is
    task = put_merging(workspace, "one", CHANGE, verify=checks)
    assert isinstance(land(workspace, task), Deferred)
    git(workspace.main, "checkout", "--quiet", "main")
    assert isinstance(land(workspace, task), Done)
    assert count.read_text() == "x\n"


def test_checkout_is_prepared_and_what_preparation_puts_there_is_no_change(tmp_path: Path) -> None:
    fleet = '[worktree]\nsetup = "echo made > made.cache"\ncopy = ["local.cache"]\n'
    workspace = make_workspace(tmp_path, FILES, fleet=fleet)
    workspace.main.joinpath("local.cache").write_text("copied\n")
    checks = (_check("cat made.cache local.cache"),)
    task = put_merging(workspace, "one", CHANGE, verify=checks)
    assert isinstance(land(workspace, task), Done)
    assert "cache" not in git(workspace.main, "ls-tree", "-r", "--name-only", BRANCH)


def test_reader_is_verified_too(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {}, write=(), verify=(_check("false"),))
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "verification"


def test_stop_ends_a_check_that_runs(workspace: Workspace, tmp_path: Path) -> None:
    stop = threading.Event()
    checks = (_check(f"touch {tmp_path}/began; exec sleep 600"),)
    task = put_merging(workspace, "one", CHANGE, verify=checks)

    def report(text: str) -> None:
        if text.startswith("verify: touch"):
            stop.set()

    assert isinstance(land(workspace, task, stop=stop, report=report), Deferred)
    entry = workspace.ledger.get(task.id)
    assert (entry.status, entry.task.hold) == (Status.MERGING, None)
    assert outcomes(workspace, task) == ["succeeded"]
    assert _worktrees(workspace) == []


@pytest.mark.requirement("WFL-RESULT-050")
@pytest.mark.requirement("WFL-RESULT-025")
@pytest.mark.long
def test_missing_deliverables_are_named_with_every_other_reason(workspace: Workspace) -> None:
    checks = (_check("false"), Check(kind="file_exists", path="src/*.md"))
    task = put_merging(
        workspace, "one", CHANGE, verify=checks, deliverables=("src/a.py", "src/out", "src/*.log")
    )
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "verification"
    assert landing.reason.splitlines() == [
        "no file matches src/*.md", "deliverable src/out is missing",
        "deliverable src/*.log is missing", "false: exit status 1",
    ]  # fmt: skip


@pytest.mark.requirement("WFL-RESULT-051")
@pytest.mark.long
def test_what_was_delivered_is_in_the_result_by_its_sum_whatever_the_worker_says(
    workspace: Workspace,
) -> None:
    claimed = (
        Artifact(path="src/a.py", sha256="0" * 64, bytes=1), Artifact(path="elsewhere"),
    )  # fmt: skip
    task = put_merging(
        workspace, "one", CHANGE, deliverables=("src",), result={"artifacts": claimed}
    )
    assert isinstance(land(workspace, task), Done)
    result = workspace.ledger.result(task.id, 1)
    assert result is not None
    digest = hashlib.sha256(CHANGE["src/a.py"].encode()).hexdigest()
    assert result.artifacts == (
        Artifact(path="elsewhere"), Artifact(path="src/a.py", sha256=digest, bytes=6),
    )  # fmt: skip
