"""The seal holds, and the helpers do what their names say."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import processes, repos, sealed
from tests.support.clock import START, FakeClock
from tests.support.faults import Pause, kill_at
from wfledger import faults
from wfledger.clock import Clock

FIRST, SECOND = "test.first", "test.second"
faults.register(FIRST, SECOND)


def test_environment_is_sealed_from_the_user(home: Path, tmp_path: Path) -> None:
    assert Path.home() == home
    assert Path.cwd() == tmp_path
    leaked = {n for n in os.environ if n.startswith(("GIT_", "XDG_", "WFLEDGER_"))}
    assert leaked <= set(sealed.variables(home, base={}))
    assert "GIT_DIR" not in os.environ
    assert os.environ["GIT_TERMINAL_PROMPT"] == "0"
    assert os.umask(sealed.UMASK) == sealed.UMASK


def test_git_reads_only_the_sealed_configuration(home: Path, repo: Path) -> None:
    origins = repos.git(repo, "config", "--list", "--show-origin", "--name-only").splitlines()
    files = {line.split("\t")[0] for line in origins}
    assert files == {f"file:{home}/.gitconfig", "file:.git/config"}


def test_git_finds_no_repository_above_the_tests(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        repos.git(tmp_path, "rev-parse", "--git-dir")


def test_libgit2_reads_only_the_sealed_configuration(home: Path, repo: Path) -> None:
    pygit2 = pytest.importorskip("pygit2")
    sealed.point_libgit2_at(home)
    assert pygit2.Repository(str(repo)).config["user.email"] == sealed.EMAIL


def test_commits_have_the_fixed_author_and_date(repo: Path) -> None:
    assert repos.git(repo, "log", "-1", "--format=%an %cn %aI") == (
        f"{sealed.NAME} {sealed.NAME} {sealed.DATE}"
    )


@given(st.integers())
def test_property_tests_run_under_the_seal(number: int) -> None:
    assert Path.home().name.endswith("-home"), number


def test_repository_has_the_files_and_commits_asked_for(tmp_path: Path) -> None:
    repo = repos.make_repo(tmp_path / "r", {"a.txt": "a", "d/b.bin": b"\x00"})
    oid = repos.commit(repo, {"a.txt": None, "c": "c"}, "swap")
    assert repos.git(repo, "rev-parse", "main") == oid
    assert repos.files_at(repo) == {"c": "c", "d/b.bin": "\x00"}
    assert repos.git(repo, "status", "--porcelain") == ""


def test_fake_clock_moves_only_when_told(clock: FakeClock) -> None:
    typed: Clock = clock
    assert typed.now() == typed.now() == START
    typed.wait(2.5)
    clock.advance(1)
    clock.jump(-3600)
    assert (clock.now() - START).total_seconds() == 3.5 - 3600
    assert clock.elapsed() == 1003.5
    assert clock.waits == [2.5]


def test_fake_clock_repeats_its_ids_and_differs_by_seed() -> None:
    first, again, other = FakeClock(), FakeClock(), FakeClock(seed="other")
    ids = [first.short_id(), first.short_id(4), first.token()]
    assert ids == [again.short_id(), again.short_id(4), again.token()]
    assert len(set(ids)) == 3
    assert other.short_id() != ids[0]
    assert len(ids[2]) == 64


def _pid(extra: int) -> tuple[int, int]:
    return os.getpid(), extra


def _complain() -> None:
    raise RuntimeError("no such thing")


def _through_points() -> str:
    faults.point(FIRST)
    faults.point(SECOND)
    return "through"


def _append(path: Path, text: str) -> None:
    faults.point(FIRST)
    with path.open("a") as file:
        file.write(text)


def test_racing_functions_run_in_processes_of_their_own() -> None:
    results = processes.race(_pid, [(number,) for number in range(3)])
    assert [extra for _, extra in results] == [0, 1, 2]
    assert len({pid for pid, _ in results} | {os.getpid()}) == 4


def test_failure_in_a_worker_shows_its_traceback() -> None:
    with pytest.raises(processes.WorkerFailedError, match="no such thing"):
        processes.start(_complain).result()


def test_killed_worker_reports_its_signal() -> None:
    assert processes.start(_through_points, env=kill_at(SECOND)).wait() == -signal.SIGKILL


def test_paused_worker_waits_until_it_may_go(tmp_path: Path) -> None:
    target = tmp_path / "log"
    with Pause(tmp_path, FIRST) as pause:
        worker = processes.start(_append, target, "worker", env=pause.env)
        pause.wait()
        target.write_text("test, then ")
        pause.go()
        worker.result()
    assert target.read_text() == "test, then worker"


def test_program_output_status_and_input_are_returned(tmp_path: Path) -> None:
    code = "import sys; print(sys.stdin.read()); print('x', file=sys.stderr); sys.exit(3)"
    assert processes.run(sys.executable, "-c", code, cwd=tmp_path, input="in") == (3, "in\n", "x\n")
