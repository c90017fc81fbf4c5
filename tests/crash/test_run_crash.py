"""`run` that is killed anywhere goes on with the same run: each task once, nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.cli import plan, wf_json
from tests.support.confining import CLONED
from tests.support.engines import AT_ONCE, NOTHING_LEFT, leftovers, note, noted
from tests.support.faults import kill_at, trace_to
from tests.support.invariants import check_ledger
from tests.support.marks import rarely
from tests.support.repos import files_at, git, make_repo
from tests.support.workspaces import open_workspace
from wfledger import faults
from wfledger.core.statuses import Status
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.processes.process import tagged
from wfledger.run.workspace import Workspace

#: Points that a run of ours passes and that are no one else's to test.
OWN = ("engine.", "attempt.", "keep.", "worktree.", "commit.", "fingerprints.")
#: What the quick tests die at.
SAMPLE = [
    ("engine.claimed", 1), ("worktree.add.registered", 1), ("keep.ref", 2),
    ("worktree.remove.emptied", 1),
]  # fmt: skip
#: Where a run never comes: parts of other verbs, or of what only an attempt's loss leads to.
ELSEWHERE = {"recovery.swept", "recovery.kept", "fingerprints.alarmed", "commit.composed"}
SHARES = 4


def _work(folder: Path, name: str) -> str:
    """A worker that must be alone: it fails when another attempt of its task still lives."""
    lock = folder / f"{name}.alone"
    return (
        f"exec 7>{lock}; flock -n 7 || {{ {note(folder, f'{name}-not-alone')}; exit 9; }}; "
        f"{note(folder, name)}; setsid sleep 1000 & echo {name} > {name}.txt"
    )


def _scene(tmp_path: Path, *, fleet: str = "", then: str = "") -> tuple[Path, str]:
    """Make a repository with a run of three tasks, two of which run at once; return its id."""
    root = make_repo(tmp_path / "repo", {"README.md": "# sample\n"})
    wf_json(root, "init")
    (root / ".wfledger/fleet.toml").write_text(fleet)
    tasks = {
        name: {"command": _work(tmp_path, name) + then, "write": [f"{name}.txt"], "retry": AT_ONCE}
        for name in ("a", "b", "c")
    }
    tasks["c"]["after"] = ["a", "b"]
    return root, wf_json(root, "run", "--yes", plan(tmp_path, tasks), "--detach")["run"]


def _run(root: Path, run: str, *, env: dict[str, str] | None = None) -> processes.Cli:
    return processes.run_cli("run", run, "--workers", "2", "--json", cwd=root, env=env)


def _assert_done_once(tmp_path: Path, root: Path, run: str) -> Workspace:
    """Check everything that must hold when a run has come to its end after any death."""
    workspace = open_workspace(root)
    ids = {f"{run}.{name}" for name in ("a", "b", "c")}
    assert set(workspace.ledger.names(Status.DONE, run=run)) == ids
    landed = git(root, "log", "--format=%(trailers:key=Wfledger-Task,valueonly)", f"main..wf/{run}")
    assert Counter(landed.split()) == dict.fromkeys(ids, 1)
    assert files_at(root, f"wf/{run}").keys() == {"README.md", "a.txt", "b.txt", "c.txt"}
    assert [line for line in noted(tmp_path) if "not-alone" in line] == []
    assert leftovers(workspace) == NOTHING_LEFT
    assert tagged(tag_for(workspace, "")) == {}
    assert git(root / ".wfledger", "status", "--porcelain") == ""
    assert git(root, "status", "--porcelain") == ""
    for path in workspace.ledger.layout.tmp.iterdir():  # left there until it is old
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    check_ledger(workspace.ledger)
    _assert_history(workspace)
    git(root, "fsck", "--no-dangling", "--connectivity-only")
    return workspace


def _assert_history(workspace: Workspace) -> None:
    """The branch holds every task where the folders have it, and says how each came there."""
    root = workspace.main
    told = git(root, "log", "--format=%(trailers:key=Wfledger-Transition,valueonly)", "wfledger")
    for task_id in workspace.ledger.names(Status.DONE):
        path = workspace.ledger.layout.task(Status.DONE, task_id)
        relative = path.relative_to(workspace.ledger.layout.root)
        assert git(root, "show", f"wfledger:{relative}") == path.read_text().rstrip("\n")
        assert f"{task_id} new -> waiting" in told
        assert f"{task_id} merging -> done" in told


@pytest.mark.requirement("WFL-REC-010")
@pytest.mark.requirement("WFL-PROC-001")
@pytest.mark.sampled(4)
@pytest.mark.parametrize(("point", "hit"), SAMPLE)
def test_run_killed_at_a_point_goes_on(tmp_path: Path, point: str, hit: int) -> None:
    root, run = _scene(tmp_path)
    assert _run(root, run, env=kill_at(point, hit)).status == -signal.SIGKILL
    done = _run(root, run)
    assert done.status == 0, done
    _assert_done_once(tmp_path, root, run)


@pytest.mark.long
@pytest.mark.parametrize("point", ["clone.filled", "clone.made", "clone.packed"])
def test_run_in_clones_killed_at_a_point_goes_on(tmp_path: Path, point: str) -> None:
    root, run = _scene(tmp_path, fleet=CLONED, then="; git add . && git commit -qm work")
    assert _run(root, run, env=kill_at(point, 2)).status == -signal.SIGKILL
    done = _run(root, run)
    assert done.status == 0, done
    _assert_done_once(tmp_path, root, run)


def _points(tmp_path: Path) -> list[str]:
    """Return what a whole run passes, point by point."""
    root, run = _scene(tmp_path)
    trace = tmp_path / "trace"
    assert _run(root, run, env=trace_to(trace)).status == 0
    return trace.read_text().split()


def test_every_point_of_a_run_is_passed_in_the_scene(tmp_path: Path) -> None:
    import wfledger.run.engine  # noqa: F401 - registers the points

    mine = {name for name in faults.names() if name.startswith(OWN)} - ELSEWHERE
    assert mine - set(_points(tmp_path)) == set()
    assert {point for point, _ in SAMPLE} <= mine


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("share", [0, *map(rarely, range(1, SHARES))])
def test_run_killed_at_any_point_goes_on(tmp_path: Path, share: int) -> None:
    (tmp_path / "model").mkdir()
    passed = Counter(_points(tmp_path / "model"))
    cases = [
        (point, hit)
        for number, (point, times) in enumerate(sorted(passed.items()))
        for hit in _hits(point, times, number)
    ]
    for point, hit in cases[share::SHARES]:
        folder = tmp_path / f"{point}-{hit}"
        folder.mkdir()
        root, run = _scene(folder)
        died = _run(root, run, env=kill_at(point, hit))
        assert died.status in {0, -signal.SIGKILL}, (point, hit, died)
        done = _run(root, run)
        assert done.status == 0, (point, hit, done)
        try:
            _assert_done_once(folder, root, run)
        except AssertionError as error:
            error.add_note(f"after a death at {point}, hit {hit}")
            raise


def _hits(point: str, times: int, number: int) -> list[int]:
    """Return which times of a point to die at: the first, one in the middle, or the last but one.

    Each point that only a run passes has one of them, another than its neighbours; of the others,
    which die in the tests of what they belong to as well, every second.
    """
    hits = [1, (times + 1) // 2, max(times - 1, 1)]
    return [hits[number % len(hits)]] if point.startswith(OWN) or number % 2 else []


@pytest.mark.long
@pytest.mark.parametrize("point", ["recovery.swept", "recovery.kept"])
def test_recovery_that_is_killed_is_begun_again(tmp_path: Path, point: str) -> None:
    root, run = _scene(tmp_path)
    assert _run(root, run, env=kill_at("attempt.ended", 1)).status == -signal.SIGKILL
    assert _run(root, run, env=kill_at(point, 1)).status == -signal.SIGKILL
    done = _run(root, run)
    assert done.status == 0, done
    _assert_done_once(tmp_path, root, run)


# -- a run with workers in the middle of their work ------------------------------------------------


class _Live:
    """`wfledger run` of a run whose first worker never comes to its end."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.root = make_repo(tmp_path / "repo", {"README.md": "# sample\n"})
        wf_json(self.root, "init")
        for name in ("begun", "never"):
            os.mkfifo(tmp_path / name)
        self.begun = os.open(tmp_path / "begun", os.O_RDWR)  # for both: nobody waits in open()
        work = (
            f"{note(tmp_path)}; echo half > a.txt; test -e {tmp_path}/tried && exit 0; "
            f"setsid sleep 1000 & echo b > {tmp_path}/begun; read -r x < {tmp_path}/never"
        )
        tasks = {
            "a": {"command": work, "write": ["a.txt"], "retry": AT_ONCE},
            "z": {"command": note(tmp_path), "after": ["a"]},
        }
        self.run = wf_json(self.root, "run", "--yes", plan(tmp_path, tasks), "--detach")["run"]
        self.id = f"{self.run}.a"

    @contextmanager
    def started(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Start `run` and give it back when its worker is in the middle of its work."""
        with (self.folder / "out").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "wfledger", "run", self.run, "--json"], cwd=self.root,
                stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            assert os.read(self.begun, 2) == b"b\n"
            yield process
        finally:
            process.kill()
            process.wait()

    def alive(self) -> int:
        """Return how many processes of attempts there are."""
        return sum(len(pids) for pids in tagged(tag_for(open_workspace(self.root), "")).values())

    def finish(self) -> list[str]:
        """Let the run come to its end; return what became of the attempts of `a`."""
        (self.folder / "tried").touch()
        done = _run(self.root, self.run)
        assert done.status == 0, done
        workspace = open_workspace(self.root)
        assert leftovers(workspace) == NOTHING_LEFT
        assert self.alive() == 0
        assert git(self.root / ".wfledger", "status", "--porcelain") == ""
        check_ledger(workspace.ledger)
        return [attempt.outcome for attempt in workspace.ledger.get(self.id).task.attempts]

    def status(self) -> str:
        """Return the status of `a`."""
        return open_workspace(self.root).ledger.get(self.id).status.value

    def kept(self) -> dict[str, str]:
        """Return the files that the first attempt of `a` left."""
        return files_at(self.root, f"refs/wfledger/keep/{self.id}/1")


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-010")
@pytest.mark.requirement("WFL-CLAIM-043")
def test_run_whose_terminal_goes_ends_its_workers_keeps_their_work_and_counts_nothing(
    tmp_path: Path,
) -> None:
    live = _Live(tmp_path)
    with live.started() as process:
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 130
    assert live.alive() == 0
    assert live.status() == "waiting"
    assert live.kept()["a.txt"] == "half"
    assert live.finish() == ["released", "succeeded"]


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-040")
@pytest.mark.requirement("WFL-CLAIM-041")
@pytest.mark.requirement("WFL-CLAIM-042")
def test_workers_of_a_killed_run_are_ended_before_their_task_is_tried_again(tmp_path: Path) -> None:
    live = _Live(tmp_path)
    with live.started() as process:
        process.kill()
        process.wait()
        assert live.alive() > 0
        assert live.status() == "in-progress"
        assert live.finish() == ["lost", "succeeded"]
    assert live.kept()["a.txt"] == "half"
    assert noted(tmp_path) == [live.id, live.id, f"{live.run}.z"]


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-021")
def test_task_that_kills_its_runtime_every_time_is_blocked_in_the_end(tmp_path: Path) -> None:
    root = make_repo(tmp_path / "repo", {"README.md": "# sample\n"})
    wf_json(root, "init")
    deadly = {"a": {"command": "true", "retry": AT_ONCE | {"max_attempts": 2}}}
    run = wf_json(root, "run", "--yes", plan(tmp_path, deadly), "--detach")["run"]
    for _ in range(2):
        assert _run(root, run, env=kill_at("attempt.ended")).status == -signal.SIGKILL
    done = _run(root, run, env=kill_at("attempt.ended"))
    assert done.status == 10
    (need,) = json.loads(done.out)["needs"]
    assert (need["task"], need["code"]) == (f"{run}.a", "exhausted")


@pytest.mark.long
def test_end_that_was_decided_and_not_made_is_no_loss(tmp_path: Path) -> None:
    root = make_repo(tmp_path / "repo", {"README.md": "# sample\n"})
    wf_json(root, "init")
    tasks = {"a": {"command": f"{note(tmp_path)}; echo x > a.txt", "write": ["a.txt"]}}
    run = wf_json(root, "run", "--yes", plan(tmp_path, tasks), "--detach")["run"]
    # The second content that is written before its move is that of the end of the attempt.
    died = _run(root, run, env=kill_at("ledger.move.content-first", 2))
    assert died.status == -signal.SIGKILL
    assert open_workspace(root).ledger.names(Status.IN_PROGRESS) == [f"{run}.a"]
    assert _run(root, run).status == 0
    assert noted(tmp_path) == [f"{run}.a"]
    workspace = open_workspace(root)
    assert [attempt.outcome for attempt in workspace.ledger.get(f"{run}.a").task.attempts] == ["succeeded"]
    assert leftovers(workspace) == NOTHING_LEFT
