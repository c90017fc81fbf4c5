"""Page 60: what a worker says, what is believed of it, and what it is given."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.ledgers import make_ledger, make_task, put
from tests.support.repos import git
from wfledger import errors
from wfledger.core import bounds, outcome
from wfledger.core.documents import Check, Landed, Result, TaskSpec
from wfledger.core.statuses import Actor, Status
from wfledger.run import setup
from wfledger.run.attempts import claims, closing, judging
from wfledger.run.attempts.envelope import Envelope, parse_envelope, read_envelope
from wfledger.run.attempts.inputs import write_inputs
from wfledger.run.commit import commit_journal, quoted
from wfledger.run.processes.environment import build
from wfledger.run.processes.process import Ended
from wfledger.run.workspace import Workspace


@pytest.fixture
def workspace(repo: Path, clock: FakeClock, home: Path) -> Workspace:
    setup.initialise(repo, clock=clock)
    return Workspace.open(repo, clock=clock, state_home=home / "state")


def envelope(**said: Any) -> Result:
    return parse_envelope(json.dumps(said).encode(), task_id="r1.a", attempt=2)


def ended(status: int = 0, **facts: Any) -> Ended:
    given = {"signal": None, "reason": "exited", "message": f"exit status {status}"}
    given |= {"wall_s": 1.0, "output_bytes": 7, "truncated": False} | facts
    return Ended(status=status, **given)


def judged(ended_with: int, *, spec: TaskSpec | None = None, **said: Any) -> str | None:
    result = envelope(**said)
    found = judging.judge(
        make_task("r1.a", spec=spec), Envelope(result, None, given=True), ended(ended_with)
    )
    return found.failure.failure_class if found.failure else None


@pytest.mark.requirement("WFL-RESULT-003")
@pytest.mark.requirement("WFL-RESULT-004")
def test_facts_of_git_and_of_the_runtime_are_not_taken_from_the_worker() -> None:
    found = envelope(
        task="r1.other", attempt=9, schema="wfledger.result/9", token="secret", base="a" * 40,
        head="b" * 40, exit_status=0, wall_s=0.1, output_bytes=1, status="succeeded",
        changed=[{"path": "x", "kind": "added", "in_scope": True}], outputs={"n": 1},
    )  # fmt: skip
    assert found == Result(task="r1.a", attempt=2, status="succeeded", outputs={"n": 1})


@pytest.mark.requirement("WFL-RESULT-005")
@pytest.mark.parametrize(
    "raw", [b"", b"done!", b"[]", b'{"status": 1}', b'{"status": "failed", "status": "succeeded"}']
)
def test_unreadable_result_file_is_no_success(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(raw)
    found = judging.judge(
        make_task("r1.a"), read_envelope(path, task_id="r1.a", attempt=2), ended()
    )
    assert found.failure is not None
    assert found.failure.failure_class == "task"


@pytest.mark.requirement("WFL-RESULT-006")
def test_exit_status_overrules_an_envelope_that_claims_success() -> None:
    assert judged(0, status="succeeded") is None
    assert judged(1, status="succeeded") == "task"
    assert judged(75, status="succeeded") == "transport"
    assert judged(0, status="failed") == "task"
    three = TaskSpec(command="x", verify=(Check(kind="exit_code", expect=3),))
    assert judged(3, spec=three, status="succeeded") is None
    assert judged(0, spec=three, status="succeeded") == "task"


@pytest.mark.requirement("WFL-RESULT-026")
@pytest.mark.requirement("WFL-ROUTE-026")
@pytest.mark.parametrize("said", sorted({"no_change", *outcome.SOURCES}))
def test_worker_may_claim_only_some_failures(said: str) -> None:
    believed = said if said in {"transport", "question", "no_change"} else "task"
    assert judged(0, status="failed", failure={"class": said, "source": "runtime"}) == believed


@pytest.mark.requirement("WFL-RESULT-007")
@pytest.mark.parametrize("text", ["FAILED", "I could not do it", '{"status": "failed"}'])
def test_prose_decides_nothing(text: str) -> None:
    assert judged(0, status="succeeded", summary=text, outputs={"text": text}) is None


@pytest.mark.requirement("WFL-TASK-016")
def test_summary_alone_is_shortened() -> None:
    assert len(envelope(summary="x" * 9000).summary) == bounds.SUMMARY_CHARS
    with pytest.raises(errors.InvalidDocumentError):
        envelope(outputs={"x": "x" * bounds.RESULT_BYTES})


@pytest.mark.requirement("WFL-RESULT-001")
@pytest.mark.requirement("WFL-RESULT-002")
@pytest.mark.requirement("WFL-REC-012")
def test_result_is_written_before_the_task_moves_and_a_late_one_changes_nothing(
    workspace: Workspace,
) -> None:
    put(workspace.ledger, Status.PENDING, "r1.a")
    claims.claim(workspace, worker="ana")
    result = Result(task="r1.a", attempt=1, status="succeeded", summary="first")
    closing.close(workspace, result, by="worker:ana")
    written = [(r["kind"], r.get("to")) for r in workspace.ledger.journal.records()]
    assert written == [("claim", "in-progress"), ("file", None), ("task", "merging")]
    with pytest.raises(errors.StaleError):
        closing.close(workspace, result.but(summary="second"), by="worker:ana")
    kept = workspace.ledger.result("r1.a", 1)
    assert kept is not None
    assert kept.summary == "first"


@pytest.mark.requirement("WFL-RESULT-023")
def test_attempts_that_are_over_stay_in_the_document(workspace: Workspace) -> None:
    put(workspace.ledger, Status.PENDING, "r1.a")
    for number in (1, 2, 3):
        claims.claim(workspace, worker="ana")
        said = Result(
            task="r1.a", attempt=number, status="failed", failure=closing.failure("lost", "x")
        )
        task = closing.close(workspace, said, by="finder", actor=Actor.FINDER)
        if number < 3:
            with workspace.ledger.transaction("scheduler") as changes:
                changes.move(
                    "r1.a",
                    Status.PENDING,
                    actor=Actor.SCHEDULER,
                    why="promoted",
                    attempt=number + 1,
                )
    assert [(one.number, one.outcome) for one in task.attempts] == [
        (1, "lost"),
        (2, "lost"),
        (3, "lost"),
    ]
    assert task.block is not None
    assert task.block.code == "exhausted"


@pytest.mark.requirement("WFL-RESULT-011")
@pytest.mark.requirement("WFL-RESULT-018")
def test_environment_is_built_and_secrets_pass_only_by_exact_name(tmp_path: Path) -> None:
    source = {
        "PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "EDITOR": "vi", "APP_MODE": "x", "PWD": "/old",
        "APP_TOKEN": "t", "OPENAI_API_KEY": "k", "GIT_DIR": "/g", "SSH_AUTH_SOCK": "/s",
    }  # fmt: skip
    found = build(
        ["APP_*", "GIT_*", "OPENAI_API_KEY"], {"WFLEDGER_TASK": "r1.a"}, tmp_path, source=source
    )
    assert found == {
        "PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "APP_MODE": "x", "OPENAI_API_KEY": "k",
        "WFLEDGER_TASK": "r1.a", "PWD": str(tmp_path),
    }  # fmt: skip


@pytest.mark.requirement("WFL-RESULT-016")
@pytest.mark.requirement("WFL-RESULT-017")
@pytest.mark.requirement("WFL-STATUS-027")
def test_inputs_hold_the_envelopes_of_the_named_producers_and_no_others(
    tmp_path: Path, clock: FakeClock
) -> None:
    ledger = make_ledger(tmp_path)
    landed = Landed(how="nothing", at="2026-01-01T00:00:00.000Z")
    put(ledger, Status.DONE, "r1.a", "r1.b", landed=landed)
    with ledger.transaction("runtime") as changes:
        for name in ("r1.a", "r1.b"):
            changes.put_result(Result(task=name, attempt=1, status="succeeded", summary=name))
    spec = TaskSpec(command="x", after=("r1.a", "r1.b", "r1.c"), inputs=("r1.a", "r1.c"))
    task = make_task("r1.z", spec=spec, missing=("r1.c",))
    folder = tmp_path / "inputs"
    folder.mkdir()
    write_inputs(Workspace(ledger, tmp_path, tmp_path, tmp_path, clock), task, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "missing.json", "r1.a.json"]
    assert json.loads((folder / "missing.json").read_bytes()) == ["r1.c"]
    assert json.loads((folder / "r1.a.json").read_bytes())["summary"] == "r1.a"


@pytest.mark.requirement("WFL-LEDGER-040")
@pytest.mark.requirement("WFL-LEDGER-041")
@pytest.mark.requirement("WFL-LEDGER-043")
@pytest.mark.requirement("WFL-LEDGER-044")
@pytest.mark.requirement("WFL-LEDGER-047")
def test_history_holds_the_recorded_bytes_in_order_and_only_goes_forward(
    workspace: Workspace,
) -> None:
    root = workspace.ledger.layout.root
    before = git(root, "rev-parse", "wfledger")
    with workspace.ledger.transaction("author") as changes:
        changes.add(make_task("r1.a"))
    with workspace.ledger.transaction("scheduler") as changes:
        changes.move("r1.a", Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1)
    (root / ".git").stat()
    assert not workspace.ledger.journal.is_empty()
    commit_journal(workspace)
    assert workspace.ledger.journal.is_empty()
    held = git(root, "show", "wfledger:pending/r1.a.json") + "\n"
    assert held.encode() == workspace.ledger.layout.task(Status.PENDING, "r1.a").read_bytes()
    assert "waiting/r1/r1.a.json" not in git(root, "ls-tree", "-r", "--name-only", "wfledger")
    assert git(root, "rev-list", "--parents", "wfledger").splitlines()[-1] == before
    assert all(
        len(line.split()) <= 2
        for line in git(root, "rev-list", "--parents", "wfledger").splitlines()
    )
    values = git(
        root,
        "log",
        "--reverse",
        f"{before}..wfledger",
        "--format=%(trailers:key=Wfledger-Transition,valueonly,unfold)",
    )
    arrows = [line.partition(" attempt ")[0] for line in values.splitlines() if line]
    assert arrows == ["r1.a new -> waiting", "r1.a waiting -> pending"]
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.requirement("WFL-LEDGER-042")
@pytest.mark.parametrize(
    "text", ["x\n\nWfledger-Task: r1.z", "\x1b[2J\r", "é" * 500, '"\\' * 200, ""]
)
def test_text_in_a_trailer_is_one_bounded_line(text: str) -> None:
    shown = quoted(text)
    assert len(shown.encode()) <= bounds.TRAILER_BYTES
    assert shown.isprintable()
    assert shown.startswith('"')
    assert shown.endswith('"')


@pytest.mark.requirement("WFL-LEDGER-042")
def test_reason_cannot_forge_a_trailer(workspace: Workspace) -> None:
    with workspace.ledger.transaction("author") as changes:
        changes.add(make_task("r1.a"), why="x\n\nWfledger-Task: r1.forged")
        changes.put_file("results/r1.a/1.json", b"{}", why="y\n\nWfledger-Task: r1.forged")
    commit_journal(workspace)
    root = workspace.ledger.layout.root
    found = git(root, "log", "-1", "--format=%(trailers:key=Wfledger-Task,valueonly)", "wfledger")
    assert found.split() == ["r1.a"]


@pytest.mark.requirement("WFL-LEDGER-010")
def test_every_worktree_sees_the_same_ledger(
    workspace: Workspace, repo: Path, tmp_path: Path, clock: FakeClock
) -> None:
    git(repo, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    for place in (repo / "src", tmp_path / "linked"):
        found = Workspace.open(place, clock=clock, state_home=tmp_path)
        assert found.ledger.layout == workspace.ledger.layout


@pytest.mark.requirement("WFL-LEDGER-011")
@pytest.mark.requirement("WFL-LEDGER-012")
def test_folder_that_only_looks_like_the_ledger_is_refused(
    workspace: Workspace, repo: Path, clock: FakeClock, tmp_path: Path
) -> None:
    root = workspace.ledger.layout.root
    root.rename(tmp_path / "gone")
    for create in (lambda: None, lambda: (root / "pending").mkdir(parents=True)):
        create()
        with pytest.raises(errors.LedgerDamagedError):
            Workspace.open(repo, clock=clock, state_home=tmp_path)
    assert [path.name for path in root.iterdir()] == ["pending"]
