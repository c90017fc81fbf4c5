"""`run` that finds no room, no descriptor or no right to write says so, loses nothing and goes on."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.cli import plan, wf_json
from tests.support.engines import AT_ONCE, NOTHING_LEFT, leftovers, note, noted
from tests.support.invariants import violations
from tests.support.processes import Cli
from tests.support.repos import files_at, git, make_repo
from tests.support.workspaces import open_workspace
from wfledger.core.statuses import Status
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.processes.process import tagged

TASKS = 4
_CHUNK = b"\0" * 65_536


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB; skips where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk may be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _scene(folder: Path, notes: Path, work: str = "") -> tuple[Path, str]:
    root = make_repo(folder / "repo", {"README.md": "# sample\n"})
    wf_json(root, "init")
    retry = {"max_attempts": 20, "on": ["transport", "lost", "environment"], **AT_ONCE}
    tasks = {
        f"t{n}": {"command": f"{note(notes)}; {work}echo {n} > f{n}", "write": [f"f{n}"], "retry": retry}
        for n in range(TASKS)
    }
    return root, wf_json(root, "run", "--yes", plan(notes, tasks), "--detach")["run"]


def _scene_there(folder: Path, notes: Path) -> tuple[Path, str]:
    return _scene(folder, notes)


def _run(root: Path, run: str) -> Cli:
    return processes.run_cli("run", run, "--workers", "2", "--json", cwd=root)


def _refused(done: Cli, *said: str) -> None:
    """Check that a verb ended with an error that says what the matter is; a defect has status 70."""
    assert done.status in {1, 10, 75}, done
    assert any(text in done.out + done.err for text in said), done


def _finish(root: Path, run: str) -> None:
    """Go on where nothing stands in the way any more, and check that nothing is lost or doubled."""
    for task_id in open_workspace(root).ledger.names(Status.BLOCKED):
        wf_json(root, "retry", task_id)
    done = _run(root, run)
    assert done.status == 0, done
    workspace = open_workspace(root)
    ids = [f"{run}.t{n}" for n in range(TASKS)]
    assert workspace.ledger.names(Status.DONE, run=run) == ids
    landed = git(root, "log", "--format=%(trailers:key=Wfledger-Task,valueonly)", f"main..wf/{run}")
    assert sorted(landed.split()) == ids
    assert {f"f{n}": str(n) for n in range(TASKS)}.items() <= files_at(root, f"wf/{run}").items()
    assert leftovers(workspace) == NOTHING_LEFT
    assert tagged(tag_for(workspace, "")) == {}
    assert [one for one in violations(workspace.ledger) if one.invariant != "leftover"] == []
    assert git(root / ".wfledger", "status", "--porcelain") == ""
    git(root, "fsck", "--no-dangling", "--connectivity-only")


# -- no room -------------------------------------------------------------------------------------


def _fill(path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        for size in (len(_CHUNK), 1):
            try:
                while file.write(_CHUNK[:size]):
                    pass
            except OSError:
                continue


@pytest.mark.long
@pytest.mark.requirement("WFL-REC-014")
def test_run_on_a_disk_that_is_full_says_so_and_goes_on_when_there_is_room(
    tmp_path: Path, disk: Path
) -> None:
    os.environ["XDG_STATE_HOME"] = str(disk / "state")
    root, run = _scene(disk, tmp_path)
    _fill(disk / "filler")
    _refused(_run(root, run), "No space left")
    (disk / "filler").unlink()
    _finish(root, run)


@pytest.mark.long
def test_disk_that_is_full_while_workers_work_costs_no_work_that_was_acknowledged(
    tmp_path: Path, disk: Path
) -> None:
    os.environ["XDG_STATE_HOME"] = str(disk / "state")
    fill = f"test -e {tmp_path}/once || {{ touch {tmp_path}/once; cat /dev/zero > {disk}/filler; }}; "
    root, run = _scene(disk, tmp_path, work=fill)
    before = _run(root, run)
    assert before.status in {0, 1, 10, 75}, before
    assert (disk / "filler").exists()
    ledger = open_workspace(root).ledger
    done = {task: ledger.get(task).task.landed for task in ledger.names(Status.DONE)}
    (disk / "filler").unlink()
    _finish(root, run)
    after = open_workspace(root).ledger
    assert {task: after.get(task).task.landed for task in done} == done


# -- no descriptors --------------------------------------------------------------------------------


def _limited(root: Path, run: str, descriptors: int) -> Cli:
    script = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors},) * 2); "
        "os.execv(sys.executable, [sys.executable, '-m', 'wfledger', *sys.argv[1:]])"
    )
    return processes.run(
        sys.executable, "-c", script, "run", run, "--workers", "2", "--json", cwd=root
    )


@pytest.mark.long
@pytest.mark.parametrize("descriptors", [10, 18])
def test_run_with_few_descriptors_ends_with_a_reason_and_goes_on_with_more(
    tmp_path: Path, descriptors: int
) -> None:
    root, run = _scene(tmp_path, tmp_path)
    before = _limited(root, run, descriptors)
    if before.status != 0:
        _refused(before, "Too many open files", "environment", "could not be started")
    _finish(root, run)


@pytest.mark.long
def test_descriptors_that_run_out_in_the_middle_are_got_over(tmp_path: Path) -> None:
    lower = "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (14, 14))"
    (tmp_path / "lower.py").write_text(lower)
    once = f"test -e {tmp_path}/once || {{ touch {tmp_path}/once; exec {sys.executable} {tmp_path}/lower.py; }}; "
    root, run = _scene(tmp_path, tmp_path, work=once)
    before = _run(root, run)
    assert (tmp_path / "once").exists()
    if before.status != 0:
        _refused(before, "Too many open files", "environment", "no_change")
    _finish(root, run)


# -- no right to write -----------------------------------------------------------------------------


def _remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


VERBS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "run": lambda run: ("run", run),
    "claim": lambda _: ("claim",),
    "tick": lambda _: ("tick",),
    "add": lambda _: ("add", "more", "--", "true"),
}


@pytest.mark.long
def test_file_system_that_is_read_only_is_named_and_read_all_the_same(
    tmp_path: Path, disk: Path
) -> None:
    os.environ["XDG_STATE_HOME"] = str(disk / "state")
    root, run = processes.race(_scene_there, [(disk, tmp_path)])[0]  # files that we hold open count
    _remount(disk, "ro")
    try:
        for verb in VERBS.values():
            _refused(processes.run_cli(*verb(run), "--json", cwd=root), "Read-only file system")
        counted = processes.run_cli("status", "--json", cwd=root)
        assert json.loads(counted.out)["counts"]["waiting"] == TASKS
    finally:
        _remount(disk, "rw")
    assert noted(tmp_path) == []
    _finish(root, run)
