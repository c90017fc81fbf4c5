"""Shell workers against claimers in Python, over one ledger, some of them killed without warning."""

import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.byhand import start_shell_worker
from tests.support.engines import AT_ONCE, note, noted, statuses
from tests.support.repos import git
from tests.support.waiting import until
from tests.support.workspaces import add_task, make_workspace, open_workspace
from wfledger.core.documents import Result, Retry
from wfledger.core.policy import Policy
from wfledger.core.statuses import Status
from wfledger.errors import NothingToClaimError, StaleError
from wfledger.run.attempts.claims import claim
from wfledger.run.attempts.closing import close
from wfledger.run.ticking import tick_once
from wfledger.run.workspace import Workspace

OPEN = (Status.WAITING, Status.PENDING, Status.IN_PROGRESS, Status.MERGING)


def claim_all(root: Path) -> int:
    """Claim what is on offer and say that it is done, until nothing is left; return how many."""
    workspace, count = open_workspace(root), 0
    while _is_open(workspace):
        try:
            won = claim(workspace, worker="python")
        except (NothingToClaimError, StaleError):
            workspace.clock.wait(0.02)
            continue
        head = git(root, "rev-parse", "refs/heads/wf/r1")
        done = Result(
            task=won.task.id, attempt=won.attempt, status="succeeded", base=head, head=head
        )
        close(workspace, done, by="python")
        count += 1
    return count


def tick_all(root: Path) -> None:
    """Do what a daemon does until every task is at its end."""
    workspace = open_workspace(root)
    while _is_open(workspace):
        tick_once(workspace, owner="tick", report=lambda *_: None)
        workspace.clock.wait(0.02)


def _is_open(workspace: Workspace) -> bool:
    return any(workspace.ledger.names(status) for status in OPEN)


def filled(tmp_path: Path, count: int, *, lease_s: float) -> Workspace:
    workspace = make_workspace(tmp_path, policy=Policy(lease_s=lease_s, claim_grace_s=0.5))
    retry = Retry(max_attempts=100, **AT_ONCE)
    for number in range(count):
        add_task(workspace, f"t{number:03}", command=note(tmp_path), retry=retry)
    tick_once(workspace, owner="tick", report=lambda *_: None)
    return workspace


def race(workspace: Workspace, *, shells: int, pythons: int, kills: int = 0) -> None:
    """Let all of them work until nothing is open; kill a shell worker now and then."""
    root, chance = workspace.main, random.Random(7)
    others = [processes.start(claim_all, root) for _ in range(pythons)]
    others.append(processes.start(tick_all, root))
    workers = [start_shell_worker(root, "-f", "-n", f"shell{n}") for n in range(shells)]
    try:
        for _ in range(kills):
            seen = len(noted(root.parent))
            until(lambda seen=seen: len(noted(root.parent)) > seen or not _is_open(workspace))
            victim = chance.randrange(len(workers))
            _kill(workers[victim])
            workers[victim] = start_shell_worker(root, "-f")
        for other in others:
            other.result()
    finally:
        for worker in workers:
            _kill(worker)


def _kill(worker: "subprocess.Popen[bytes]") -> None:
    worker.kill()
    worker.wait()


def check(workspace: Workspace, count: int) -> Counter[str]:
    """Fail unless each task came to its end once; return the workers of the ends."""
    assert Counter(statuses(workspace).values()) == {"done": count}
    ends: Counter[str] = Counter()
    for task in workspace.ledger.tasks(Status.DONE):
        won = [one for one in task.attempts if one.outcome == "succeeded"]
        assert len(won) == 1, task.attempts
        assert len({one.number for one in task.attempts}) == len(task.attempts)
        ends[won[0].worker.rstrip("0123456789")] += 1
    history = git(workspace.main, "log", "--format=%B", "wfledger")
    claims = Counter(
        tuple(line.split()[1:7]) for line in history.splitlines()
        if line.startswith("Wfledger-Transition") and " pending -> in-progress " in line
    )
    assert [name for name, times in claims.items() if times > 1] == []
    return ends


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-001", "WFL-CLAIM-005")
def test_shell_worker_and_python_claimer_share_a_few_tasks(tmp_path: Path) -> None:
    workspace = filled(tmp_path, 4, lease_s=60)
    race(workspace, shells=1, pythons=1)
    assert sum(check(workspace, 4).values()) == 4


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-001", "WFL-CLAIM-005")
def test_shell_workers_and_python_claimers_do_each_task_once(tmp_path: Path) -> None:
    workspace = filled(tmp_path, 80, lease_s=60)
    race(workspace, shells=4, pythons=2)
    ends = check(workspace, 80)
    mine = noted(tmp_path)
    assert len(set(mine)) == len(mine)
    assert ends["python"] + len(mine) == 80


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-001", "WFL-CLAIM-040", "WFL-CLAIM-058")
def test_shell_workers_killed_at_random_lose_and_double_nothing(tmp_path: Path) -> None:
    workspace = filled(tmp_path, 40, lease_s=2)
    race(workspace, shells=3, pythons=1, kills=8)
    check(workspace, 40)
