"""The history of a ledger is read as it was written, and what is wrong with it is seen."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.checkups import lived_in
from tests.support.cli import wf, wf_json
from tests.support.repos import git
from tests.support.workspaces import RUN
from wfledger.core.statuses import Status
from wfledger.run.commit import message_of
from wfledger.run.histories import check
from wfledger.run.workspace import Workspace
from wfledger.vcs.repo import Identity, Repository

_ME = Identity("x", "x@example.invalid")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return lived_in(tmp_path)


def _rules(workspace: Workspace, tip: str | None = None) -> set[str]:
    return {fault.rule for fault in check(workspace, tip=tip).faults}


def _record(task: str, source: Status | None, target: Status, attempt: int) -> dict[str, object]:
    return {"kind": "task", "task": task, "attempt": attempt, "by": "x", "why": "y",
            "from": source.value if source else None, "to": target.value}  # fmt: skip


def _on(workspace: Workspace, tip: str, message: str, *, machine: str | None = None) -> str:
    """Return a commit on *tip* with its tree and another message."""
    if machine is not None:
        message = f"{message.rstrip()}\nWfledger-Machine: {machine}\n"
    return workspace.repo.commit_tree(
        workspace.repo.tree_of(tip), [tip], message=message, author=_ME, when=datetime.now(UTC)
    )


@pytest.mark.requirement("WFL-HUB-128")
def test_sound_history_is_counted_and_found_sound(ws: Workspace) -> None:
    found = wf_json(ws.main, "doctor", "--history")
    assert (found["ok"], found["violations"], found["since"]) == (True, [], None)
    assert found["tip"] == git(ws.main, "rev-parse", "wfledger")
    assert found["tasks"] == found["counts"]["added"] > 0
    assert found["counts"]["done"] == 1
    said = wf(ws.main, "doctor", "--history")
    assert said.status == 0
    assert "nothing is wrong with it" in said.out


@pytest.mark.requirement("WFL-HUB-128")
def test_broken_history_is_told_with_its_commit_and_exits_with_1(ws: Workspace) -> None:
    tip = git(ws.main, "rev-parse", "wfledger")
    bad = _on(ws, tip, message_of([_record(f"{RUN}.done", Status.DONE, Status.PENDING, 7)]))
    for ref in ("refs/heads/wfledger", "refs/wfledger/ledger"):
        git(ws.main, "update-ref", ref, bad)
    found = wf_json(ws.main, "doctor", "--history", status=1)
    assert {one["rule"] for one in found["violations"]} == {"arrow", "attempt", "tip"}
    assert {one["commit"] for one in found["violations"]} == {bad}
    said = wf(ws.main, "doctor", "--history")
    assert said.status == 1
    assert bad[:12] in said.out


def test_history_is_checked_or_repaired_and_not_both(ws: Workspace) -> None:
    assert wf(ws.main, "doctor", "--history", "--fix").status == 2


def test_history_of_several_parents_is_seen(ws: Workspace) -> None:
    tip, main = git(ws.main, "rev-parse", "wfledger"), git(ws.main, "rev-parse", "main")
    made = git(ws.main, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-p", main, "-m", "merge")
    assert _rules(ws, made) == {"line"}


def test_transition_that_cannot_be_read_is_seen(ws: Workspace) -> None:
    tip = git(ws.main, "rev-parse", "wfledger")
    made = _on(ws, tip, 'x\n\nWfledger-Transition: r.a here -> there attempt 1 by "x": "y"\n')
    assert _rules(ws, made) == {"trailer"}


@pytest.mark.requirement("WFL-HUB-126")
def test_what_another_machine_did_than_the_one_it_was_granted_to_is_seen(ws: Workspace) -> None:
    tip = git(ws.main, "rev-parse", "wfledger")
    name = f"{RUN}.waiting"
    granted = _on(ws, tip, message_of([_record(name, Status.WAITING, Status.PENDING, 1)]), machine="m1")
    taken = message_of([_record(name, Status.PENDING, Status.IN_PROGRESS, 1)])
    assert "owner" not in _rules(ws, _on(ws, granted, taken, machine="m1"))
    assert "owner" in _rules(ws, _on(ws, granted, taken, machine="m2"))


@pytest.mark.requirement("WFL-HUB-126")
def test_done_document_without_proof_is_seen(ws: Workspace) -> None:
    name = f"{RUN}.done"
    path = ws.ledger.layout.relative(Status.DONE, name)
    document = json.loads(ws.history.read(path) or b"")
    raw = json.dumps({**document, "landed": None}).encode()
    record = [_record(name, Status.MERGING, Status.DONE, document["attempt"])]
    tip = ws.history.commit({path: raw}, message=message_of(record), when=datetime.now(UTC))
    assert "proof" in _rules(ws, tip)


def test_same_step_twice_in_one_commit_stands_there_twice() -> None:
    record = _record("r.a", Status.BLOCKED, Status.WAITING, 1)
    other = _record("r.a", Status.WAITING, Status.BLOCKED, 1)
    message = message_of([record, other, record])
    assert message.count("blocked -> waiting attempt") == 2
    assert message.count("Wfledger-Task: r.a\n") == 1


@pytest.mark.requirement("WFL-HUB-128")
def test_shallow_clone_says_from_where_on(ws: Workspace, tmp_path: Path) -> None:
    tip = git(ws.main, "rev-parse", "wfledger")
    git(tmp_path, "init", "--quiet", "shallow")
    shallow = tmp_path / "shallow"
    git(shallow, "fetch", "--quiet", "--depth", "1", f"file://{ws.main}", "refs/heads/wfledger:refs/heads/x")
    reading = Workspace(ws.ledger, shallow / ".git", shallow, ws.state, ws.clock)
    reading._threads.repo = Repository.open(shallow / ".git")
    found = check(reading, tip=tip)
    assert found.since == tip
    assert found.faults == []


@pytest.mark.long
def test_ten_thousand_commits_are_checked_in_seconds(ws: Workspace) -> None:
    tip = git(ws.main, "rev-parse", "wfledger")
    step = message_of([_record(f"{RUN}.waiting", Status.WAITING, Status.WAITING, 0)])
    stream = [f"reset refs/heads/long\nfrom {tip}\n"]
    stream += [
        f"commit refs/heads/long\ncommitter x <x@x> {1767600000 + n} +0000\ndata {len(step)}\n{step}\n"
        for n in range(10_000)
    ]
    subprocess.run(
        ["git", "fast-import", "--quiet"], input="".join(stream).encode(), cwd=ws.main, check=True
    )
    before = sum(os.times()[:4])
    found = check(ws, tip=git(ws.main, "rev-parse", "long"))
    assert found.faults == []
    assert found.counts["commits"] > 10_000
    assert sum(os.times()[:4]) - before < 15.0, "seconds of a processor, of git's too"
