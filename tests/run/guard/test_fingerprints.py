"""What changes while attempts ran is found, told from what people and wfledger do, and undone."""

import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.engines import LIMITS, drive, drive_there, statuses
from tests.support.planting_git import REFS, canaries, planting
from tests.support.repos import git
from tests.support.terminal import call
from tests.support.workspaces import (
    BRANCH,
    RUN,
    add_task,
    make_workspace,
    open_workspace,
    put_merging,
)
from wfledger.core.statuses import Status
from wfledger.errors import PausedError
from wfledger.run.doctor.checkup import Checkup
from wfledger.run.guard import fingerprints, trusting, vouching
from wfledger.run.merger import bringing
from wfledger.run.merger.landing import land_task
from wfledger.run.pausing import alarm_of, pause_of
from wfledger.run.session import Outcome
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

TREE = {"README.md": "# sample\n", "src/a.txt": "a\n"}
LEDGER = "refs/heads/wfledger"
_MANY = 16
Act = Callable[[Workspace], object]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, TREE)


def config(*args: str) -> Act:
    return lambda ws: git(ws.main, "config", *args)


def put(name: str, text: str) -> Act:
    def act(ws: Workspace) -> None:
        path = ws.common_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return act


def edit(name: str, text: str) -> Act:
    return lambda ws: (ws.ledger.layout.root / name).write_text(text)


def worker(workspace: Workspace, lines: str, tmp_path: Path) -> Outcome:
    """Let a worker do *lines*, and another after it."""
    folder = canaries(tmp_path / "canaries")
    work = f"export BRANCH={BRANCH}\n{planting(lines, folder)}echo evil >> src/a.txt\n"
    add_task(workspace, "evil", command=work, write=("src",), limits=LIMITS)
    add_task(workspace, "next", command="echo b > src/b.txt", write=("src",), limits=LIMITS,
             after=(f"{RUN}.evil",))  # fmt: skip
    return drive(workspace)


# -- what alarms ---------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-REC-030", "WFL-REC-032")
def test_change_that_could_run_pauses_dispatch_and_landing_until_it_is_trusted(
    workspace: Workspace, tmp_path: Path
) -> None:
    outcome = worker(workspace, "git config core.fsmonitor evil", tmp_path)
    assert outcome.verdict.exit_status == 10
    assert [need.command for need in outcome.needs] == ["wfledger trust"]
    alarm = pause_of(workspace)
    assert alarm is not None
    assert f"while {RUN}.evil.1 ran, config: core.fsmonitor is new: evil" in alarm.reason
    assert statuses(workspace) == {f"{RUN}.evil": "merging", f"{RUN}.next": "waiting"}
    trusting.accept(workspace)
    assert drive(workspace).verdict.state == "succeeded"


@pytest.mark.requirement("WFL-REC-034")
def test_results_come_to_no_branch_of_the_users_under_an_alarm(
    workspace: Workspace, tmp_path: Path
) -> None:
    worker(workspace, 'echo "* filter=x" > "$C/info/attributes"', tmp_path)
    with pytest.raises(PausedError) as caught:
        bringing.prepare_landing(workspace, RUN)
    assert (caught.value.exit_status, caught.value.hint) == (8, "wfledger trust")


@pytest.mark.long
@pytest.mark.requirement("WFL-REC-031")
@pytest.mark.parametrize("name", REFS)
def test_branch_of_ours_that_a_worker_moves_is_found_and_put_back(
    workspace: Workspace, tmp_path: Path, name: str
) -> None:
    before = git(workspace.main, "rev-parse", BRANCH)
    worker(workspace, REFS[name], tmp_path)
    alarm = alarm_of(workspace)
    assert alarm is not None
    assert "refs/" in alarm.reason
    if "forward" in name:
        assert trusting.restore(workspace) == () or name.startswith("ledger")
        assert git(workspace.main, "for-each-ref", "refs/wfledger/strayed") or "ledger" in name
    trusting.accept(workspace)
    assert git(workspace.main, "rev-parse", BRANCH) == before
    assert drive(workspace).verdict.state == "succeeded"
    assert Checkup(workspace.main, workspace.clock, workspace.state.parents[1]).look() == []
    assert int(git(workspace.main, "rev-list", "--count", LEDGER)) > 3


@pytest.mark.requirement("WFL-REC-031")
def test_ledger_branch_that_was_taken_back_is_put_forward_again(workspace: Workspace) -> None:
    drive(workspace)
    ran(workspace)
    tip = git(workspace.main, "rev-parse", LEDGER)
    git(workspace.main, "update-ref", LEDGER, f"{tip}~1")
    assert fingerprints.check(workspace) is not None
    assert git(workspace.main, "rev-parse", LEDGER) == tip


@pytest.mark.requirement("WFL-REC-031")
def test_what_landed_since_is_not_lost_with_what_a_worker_put_in_its_place(
    workspace: Workspace
) -> None:
    running = LiveLock(workspace.ledger.layout.live(f"{RUN}.b", 1))
    ran(workspace, f"{RUN}.b.1")
    evil = git(workspace.main, "commit-tree", "-p", "main", "-m", "evil", "main^{tree}")
    merging = put_merging(workspace, "a", {"src/a.txt": "b\n"})
    land_task(workspace, merging.id, owner="test", stop=threading.Event())
    landed = git(workspace.main, "rev-parse", BRANCH)
    git(workspace.main, "update-ref", BRANCH, evil)
    assert fingerprints.check(workspace) is not None
    running.release()
    assert trusting.restore(workspace) == ()
    assert git(workspace.main, "rev-parse", BRANCH) == landed
    assert git(workspace.main, "rev-parse", f"refs/wfledger/strayed/{evil}") == evil


@pytest.mark.requirement("WFL-REC-032")
def test_alarm_or_record_that_a_worker_removes_comes_back(workspace: Workspace) -> None:
    index = workspace.ledger.layout.local / "index"
    ran(workspace)
    FREE["a filter"](workspace)
    for name in ("alarm.json", "fingerprints.json"):
        assert fingerprints.check(workspace) is not None
        (index / "alarm.json").unlink()
        (index / name).unlink(missing_ok=True)
        assert fingerprints.check(workspace) is not None


@pytest.mark.long
@pytest.mark.requirement("WFL-REC-030")
def test_runtime_that_dies_with_its_worker_leaves_the_suspicion(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = canaries(tmp_path / "canaries")
    os.mkfifo(folder / "ready")
    lines = f"git config alias.st '!evil'; echo > {folder / 'ready'}; sleep 60"
    add_task(workspace, "evil", command=planting(lines, folder), write=("src",), limits=LIMITS)
    other = processes.start(drive_there, workspace.main)
    (folder / "ready").read_bytes()
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    drive(workspace)
    alarm = alarm_of(workspace)
    assert alarm is not None
    assert f"{RUN}.evil.1" in alarm.facts["ran"]


# -- what does not -------------------------------------------------------------------------------

#: What people do while nobody works; the last is what alarms when an attempt runs.
FREE: dict[str, Act] = {
    "a hook": put("hooks/pre-commit", "#!/bin/sh\n"),
    "a filter": config("filter.lfs.clean", "git-lfs clean"),
    "hooks elsewhere": config("core.hooksPath", ".husky"),
    "a program": config("core.sshCommand", "ssh -v"),
    "attributes": put("info/attributes", "* text\n"),
    "fleet.toml": edit("fleet.toml", '[worktree]\nsetup = "true"\n'),
}
#: What people, and git on their behalf, do while attempts run.
HARMLESS: dict[str, Act] = {
    "a name": config("user.name", "Somebody"),
    "colour": config("color.ui", "always"),
    "a new branch": lambda ws: git(ws.main, "branch", "--track", "other", "main"),
    "a new server": config("remote.backup.url", "https://example.org/x"),
    "a worktree": lambda ws: git(ws.main, "worktree", "add", "-q", "../wt", "-b", "wt"),
    "upkeep": lambda ws: git(ws.main, "gc", "-q"),
    "sparse": lambda ws: git(ws.main, "sparse-checkout", "set", "src"),
    "workers": edit("fleet.toml", "[defaults]\nworkers = 3\n"),
    "a comment": edit("fleet.toml", "# mine\n"),
}


def ran(workspace: Workspace, name: str = f"{RUN}.a.1") -> None:
    """Leave the record as it is while an attempt runs."""
    fingerprints.check(workspace)
    fingerprints.begin(workspace, name)


@pytest.mark.requirement("WFL-REC-035")
@pytest.mark.parametrize("act", FREE)
def test_what_a_person_changes_while_nobody_works_is_theirs(workspace: Workspace, act: str) -> None:
    fingerprints.check(workspace)
    FREE[act](workspace)
    assert fingerprints.check(workspace) is None


@pytest.mark.requirement("WFL-REC-030")
@pytest.mark.parametrize("act", FREE)
def test_the_same_alarms_while_an_attempt_runs(workspace: Workspace, act: str) -> None:
    ran(workspace)
    FREE[act](workspace)
    alarm = fingerprints.check(workspace)
    assert alarm is not None
    assert alarm.facts["ran"].keys() == {f"{RUN}.a.1"}
    with pytest.raises(PausedError):
        fingerprints.begin(workspace, f"{RUN}.b.1")


@pytest.mark.sampled(6)
@pytest.mark.requirement("WFL-REC-035")
@pytest.mark.parametrize("act", HARMLESS)
def test_what_cannot_run_anything_alarms_never(workspace: Workspace, act: str) -> None:
    ran(workspace)
    HARMLESS[act](workspace)
    assert fingerprints.end(workspace, f"{RUN}.a.1") is None


@pytest.mark.requirement("WFL-REC-037")
def test_edited_fleet_file_enters_the_history_when_somebody_vouches_for_it(
    workspace: Workspace
) -> None:
    drive(workspace)
    ran(workspace)
    FREE["fleet.toml"](workspace)
    with pytest.raises(PausedError):
        vouching.fleet(workspace)
    drive(workspace)
    assert b"setup" not in (workspace.history.read("fleet.toml") or b"")
    trusting.accept(workspace)
    assert vouching.fleet(workspace).worktree.setup == "true"
    drive(workspace)
    assert b"setup" in (workspace.history.read("fleet.toml") or b"")


@pytest.mark.requirement("WFL-REC-036")
def test_name_that_a_worker_sets_signs_nothing(workspace: Workspace, tmp_path: Path) -> None:
    for key in list(os.environ):
        if key.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_")):
            del os.environ[key]
    outcome = worker(workspace, "git config user.name Forger; git config user.email f@x", tmp_path)
    assert outcome.verdict.state == "succeeded"
    names = set(git(workspace.main, "log", "--format=%an%n%cn", f"main..{BRANCH}").splitlines())
    assert names == {"Test Author", "wfledger"}


@pytest.mark.long
@pytest.mark.requirement("WFL-REC-035")
def test_user_who_works_with_git_beside_a_fleet_raises_no_alarm(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, TREE)
    main, stop = workspace.main, threading.Event()
    git(tmp_path, "clone", "-q", "--bare", str(main), "origin.git")
    git(main, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(main, "fetch", "-q", "origin")
    for number in range(_MANY):
        command = f"git commit -q --allow-empty -m x; echo {number} > src/f{number}.txt"
        add_task(workspace, f"t{number}", command=command, write=(f"src/f{number}.txt",),
                 limits=LIMITS)  # fmt: skip
    rounds = [0]
    user = threading.Thread(target=_use_git, args=(main, stop, rounds))
    user.start()
    try:
        outcome = drive(workspace, slots=_MANY)
    finally:
        stop.set()
        user.join()
    assert alarm_of(workspace) is None
    assert outcome.verdict.state == "succeeded"
    assert rounds[0] > 0
    assert len(workspace.ledger.names(Status.DONE)) == _MANY


def _use_git(main: Path, stop: threading.Event, rounds: list[int]) -> None:
    lines = (
        "commit -q --allow-empty -m mine", "fetch -q origin", "gc -q", "pack-refs --all",
        "branch -f topic", "branch -D topic", "worktree add -q ../mine -b mine",
        "worktree remove --force ../mine", "worktree prune", "branch -D mine",
        "checkout -q -b feature origin/main", "checkout -q main", "branch -D feature",
        "config user.name Me", "config --unset user.name", "remote add fork ../origin.git",
        "remote remove fork", "stash list", "status",
    )  # fmt: skip
    while not stop.is_set():
        for line in lines:
            subprocess.run(["git", *line.split()], cwd=main, capture_output=True, check=False)
        rounds[0] += 1


# -- the verb ------------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-REC-032")
def test_trust_shows_what_changed_and_who_ran_and_takes_it_or_puts_it_back(
    workspace: Workspace
) -> None:
    def trust(*args: str, status: int = 0) -> str:
        done = call("trust", *args, cwd=workspace.main)
        assert done.status == status, done
        return done.out + done.err

    assert "there is nothing to trust" in trust()
    for option in ((), ("--restore",)):
        ran(workspace)
        FREE["a hook"](workspace)
        FREE["a filter"](workspace)
        said = trust(status=2)
        assert all(word in said for word in (f"{RUN}.a.1", "filter.lfs.clean", "+#!/bin/sh"))
        assert '"alarm"' in call("doctor", "--json", cwd=workspace.main).out
        trust("--yes", *option)
        assert alarm_of(workspace) is None
        assert (workspace.common_dir / "hooks/pre-commit").exists() == (not option)
        git(workspace.main, "config", "--remove-section", "filter.lfs") if not option else None
        (workspace.common_dir / "hooks/pre-commit").unlink(missing_ok=True)
        fingerprints.check(open_workspace(workspace.main), end=f"{RUN}.a.1")
        trusting.accept(workspace)
    aside = workspace.ledger.layout.local / "aside"
    assert {path.name for path in aside.iterdir()} == {"config", "hooks.pre-commit"}


@pytest.mark.parametrize("left", range(3))
def test_shortage_of_descriptors_is_no_change_of_anything(workspace: Workspace, left: int) -> None:
    before = fingerprints.look_at(workspace)
    spare, soft = os.dup(0), resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare + left, soft[1]))
    found = before
    try:
        with suppress(OSError):
            found = fingerprints.look_at(workspace)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, soft)
    assert found.items == before.items
