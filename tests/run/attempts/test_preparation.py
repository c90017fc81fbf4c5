"""Worktrees are made usable, and what was put there is not taken for the task's work."""

import os
import threading
from pathlib import Path

import pytest

from tests.support.repos import git, make_repo
from wfledger.clock import SystemClock
from wfledger.run.attempts.preparation import Means, PreparationFailed, Prepared, Surveyed, prepare
from wfledger.run.attempts.surveying import survey
from wfledger.run.config.roles import Worktree
from wfledger.vcs.repo import Repository


@pytest.fixture
def main(tmp_path: Path) -> Path:
    repo = make_repo(
        tmp_path / "main",
        {
            ".gitignore": "*.log\nnode_modules/\n",
            "a.txt": "a\n",
            "data/tracked": "t\n",
            "lock": "1\n",
        },
    )
    (repo / ".env").write_text("SECRET=1\n")
    (repo / ".env").chmod(0o600)
    return repo


@pytest.fixture
def worktree(main: Path, tmp_path: Path) -> Path:
    git(main, "worktree", "add", "--quiet", "--detach", str(tmp_path / "wt"))
    return tmp_path / "wt"


def means(main: Path, worktree: Path, stop: threading.Event | None = None) -> Means:
    repo = Repository.discover(main)

    def look() -> Surveyed:
        return survey(repo, worktree)

    return Means(
        env={"PATH": os.environ["PATH"], "MARK": "given"},
        log=worktree.with_name("setup.log"),
        tag=f"prepare-{worktree}",
        stop=stop or threading.Event(),
        clock=SystemClock(),
        survey=look,
    )


def ready(main: Path, worktree: Path, spec: Worktree) -> Prepared:
    done = prepare(worktree, main, spec, means=means(main, worktree))
    assert isinstance(done, Prepared), done
    return done


def refused(main: Path, worktree: Path, spec: Worktree) -> PreparationFailed:
    done = prepare(worktree, main, spec, means=means(main, worktree))
    assert isinstance(done, PreparationFailed), done
    return done


def test_nothing_asked_for_is_nothing_done(main: Path, worktree: Path) -> None:
    assert ready(main, worktree, Worktree()) == Prepared(())


def test_copied_file_keeps_content_and_mode_and_is_not_the_tasks(
    main: Path, worktree: Path
) -> None:
    done = ready(main, worktree, Worktree(copy=(".env",)))
    assert (worktree / ".env").read_text() == "SECRET=1\n"
    assert (worktree / ".env").stat().st_mode & 0o777 == 0o600
    assert done.excluded == (".env",)


def test_copied_folder_is_left_out_as_a_whole(main: Path, worktree: Path) -> None:
    (main / "fixtures/deep").mkdir(parents=True)
    (main / "fixtures/deep/x").write_text("x")
    (main / "fixtures/link").symlink_to("deep/x")
    (main / "fixtures/.git").mkdir()
    (main / "fixtures/.git/HEAD").write_text("no")
    done = ready(main, worktree, Worktree(copy=("fixtures",)))
    assert (worktree / "fixtures/link").read_text() == "x"
    assert not (worktree / "fixtures/.git").exists()
    assert done.excluded == ("fixtures",)


def test_tracked_files_of_a_copied_folder_stay_as_committed(main: Path, worktree: Path) -> None:
    (main / "data/tracked").write_text("changed by the user\n")
    (main / "data/big.bin").write_text("big")
    done = ready(main, worktree, Worktree(copy=("data",)))
    assert (worktree / "data/tracked").read_text() == "t\n"
    assert (worktree / "data/big.bin").read_text() == "big"
    assert done.excluded == ("data/big.bin",)
    assert len(done.notes) == 1


@pytest.mark.parametrize("spec", [Worktree(copy=("a.txt",)), Worktree(link=("a.txt",))])
def test_tracked_file_is_refused(main: Path, worktree: Path, spec: Worktree) -> None:
    failed = refused(main, worktree, spec)
    assert failed.failure_class == "environment"
    assert "a.txt" in failed.message


def test_missing_source_is_a_note(main: Path, worktree: Path) -> None:
    done = ready(main, worktree, Worktree(copy=("nowhere",), link=("node_modules",)))
    assert done.excluded == ()
    assert [note.split(";")[0].split(" is ")[0] for note in done.notes] == [
        "copy: nowhere",
        "link: node_modules",
    ]


def test_link_leads_to_the_main_checkout_and_is_not_the_tasks(main: Path, worktree: Path) -> None:
    (main / "node_modules").mkdir()
    (main / "node_modules/x").write_text("x")
    done = ready(main, worktree, Worktree(link=("node_modules",)))
    assert (worktree / "node_modules").readlink() == main / "node_modules"
    assert done.excluded == ("node_modules",)


def test_source_outside_the_repository_is_refused(
    main: Path, worktree: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("o")
    (main / "way").symlink_to(tmp_path)
    assert "leads out" in refused(main, worktree, Worktree(copy=("way/outside",))).message
    assert "leads out" in refused(main, worktree, Worktree(link=("way",))).message


def test_nothing_is_written_through_a_tracked_link(tmp_path: Path) -> None:
    main = make_repo(tmp_path / "main")
    victim = tmp_path / "victim"
    victim.mkdir()
    (main / "conf").symlink_to(victim)
    git(main, "add", "-A")
    git(main, "commit", "-qm", "link")
    git(main, "worktree", "add", "-q", "--detach", str(tmp_path / "wt"))
    (main / "conf").unlink()
    (main / "conf").mkdir()
    (main / "conf/secret").write_text("s")
    for spec in (Worktree(copy=("conf/secret",)), Worktree(copy=("conf",))):
        assert "conf" in refused(main, tmp_path / "wt", spec).message
    assert list(victim.iterdir()) == []


def test_pipe_is_refused_and_does_not_block(main: Path, worktree: Path) -> None:
    os.mkfifo(main / "pipe")
    assert "pipe" in refused(main, worktree, Worktree(copy=("pipe",))).message


def test_setup_runs_in_the_worktree_with_the_given_environment(main: Path, worktree: Path) -> None:
    spec = Worktree(copy=(".env",), setup='pwd; echo "$PWD $MARK"; cat .env > seen.log')
    done = ready(main, worktree, spec)
    assert worktree.with_name("setup.log").read_text() == f"{worktree}\n{worktree} given\n"
    assert (worktree / "seen.log").read_text() == "SECRET=1\n"
    assert done.excluded == (".env",)


def test_setup_may_be_an_argument_vector(main: Path, worktree: Path) -> None:
    ready(main, worktree, Worktree(setup=("touch", "a b.log")))
    assert (worktree / "a b.log").exists()


def test_what_setup_makes_is_left_out(main: Path, worktree: Path) -> None:
    (main / "conf").mkdir()
    (main / "conf/local").write_text("x")
    spec = Worktree(copy=("conf",), setup="mkdir -p .venv/bin; touch .venv/bin/x data/new x.log")
    done = ready(main, worktree, spec)
    assert done.excluded == (".venv", "conf", "data/new")
    assert len(done.notes) == 1


def test_file_copied_into_a_new_folder_does_not_hide_the_folder(main: Path, worktree: Path) -> None:
    (main / "conf").mkdir()
    (main / "conf/local").write_text("x")
    done = ready(main, worktree, Worktree(copy=("conf/local",), setup="true"))
    assert done.excluded == ("conf/local",)


def test_setup_that_changes_tracked_files_fails(main: Path, worktree: Path) -> None:
    failed = refused(main, worktree, Worktree(setup="echo 2 > lock; touch a.txt"))
    assert failed.failure_class == "environment"
    assert "(lock)" in failed.message


def test_failing_setup_says_how_and_its_last_line(main: Path, worktree: Path) -> None:
    failed = refused(
        main, worktree, Worktree(setup=r"printf 'no such \033[31mregistry\n\n'; exit 3")
    )
    assert failed.message == "worktree setup failed, exit status 3: no such registry"
    assert failed.ended is not None
    assert failed.ended.status == 3
    assert failed.log == worktree.with_name("setup.log")


def test_setup_is_ended_at_its_limit(main: Path, worktree: Path) -> None:
    failed = refused(main, worktree, Worktree(setup="exec sleep 1000", timeout=0.1))
    assert failed.ended is not None
    assert failed.ended.reason == "wall"


def test_stop_is_told_apart_from_failure(main: Path, worktree: Path) -> None:
    stop = threading.Event()
    stop.set()
    done = prepare(worktree, main, Worktree(setup="true"), means=means(main, worktree, stop))
    assert isinstance(done, PreparationFailed)
    assert done.failure_class == "stopped"
