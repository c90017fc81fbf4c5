"""The scratch world of a torture: a repository with a ledger, a plan, and the workers' script.

Everything lies in one temporary folder: the user's repositories, configuration and state are never
touched. The workers write down what they do beside the repository, where no fault reaches.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import wfledger
from wfledger.clock import Clock
from wfledger.core.policy import Policy
from wfledger.errors import EnvironmentFailedError
from wfledger.run.chaos.chance import Chance
from wfledger.run.setup import initialise
from wfledger.run.workspace import Workspace

#: Size of the scratch disk; most of it stays free. Files are bounded by it, sparse ones are not.
DISK_BYTES: Final = 1 << 30
#: A claimer that says nothing for so long loses its task; short, so that stops outlast it.
LEASE_S: Final = 6.0
_POLICY: Final = Policy(lease_s=LEASE_S, claim_grace_s=2.0, offer_ttl_s=5.0)
RETRY: Final = {
    "max_attempts": 100, "backoff_s": 0.2, "backoff_max_s": 1.0,
    "on": ["task", "transport", "lost", "environment", "idle", "silence", "timeout"],
}  # fmt: skip
#: Files that several tasks add a line to, so that their scopes overlap.
_SHARED: Final = 8
_WORK: Final = """\
#!/bin/sh
# What a task of the torture does: wait, then add its name to one file. $1: the file or -, $2: s.
notes=$(dirname "$0")
me="$WFLEDGER_TASK $WFLEDGER_ATTEMPT"
# The folder of the machine: each clone of many has its own.
machine=${PWD%%/disk/*} machine=${machine##*/}
echo "$me $machine $$" >>"$notes/ran"
# Who works for a claimer is ended by nobody else.
if [ -z "$WFLEDGER_TORTURE_CLAIMER" ]; then
    # Held by all that this attempt starts: who finds it taken runs beside an attempt that is over.
    exec 7>"$notes/alone/$machine-$WFLEDGER_TASK"
    ! command -v flock >/dev/null || flock -n 7 || { echo "$me" >>"$notes/not-alone"; exit 9; }
    [ "$3" != child ] || (setsid sleep 600 >/dev/null 2>&1 &)
fi
[ -e "$notes/calm" ] || sleep "$2"
[ "$1" = - ] || { mkdir -p "$(dirname "$1")" && echo "$WFLEDGER_TASK" >>"$1"; } || exit 7
echo "$me $machine" >>"$notes/finished"
"""


class Job(NamedTuple):
    """One task of the plan: what it writes, after what, for how long."""

    node: str
    #: The file that gets a line with the task's name; None for a reader.
    path: str | None
    after: tuple[str, ...]
    seconds: float
    #: Whether it leaves a process behind, which the runtime has to end.
    leaves_child: bool


def plan(chance: Chance, *, tasks: int, mean_s: float) -> list[Job]:
    """Return the jobs of a torture: dependencies on earlier ones, some files shared by several."""
    jobs: list[Job] = []
    for number in range(tasks):
        node = f"t{number:04}"
        earlier = [job.node for job in jobs[-24:]]
        after = chance.some_of(earlier, chance.below(3)) if chance.often(0.6) else []
        path: str | None = f"out/{number % 10}/{node}"
        if chance.often(0.2):
            path = f"shared/{chance.below(_SHARED)}"
        elif chance.often(0.1):
            path = None
        seconds = round(chance.between(0.2, 1.8) * mean_s, 2)
        jobs.append(Job(node, path, tuple(sorted(after)), seconds, chance.often(0.2)))
    return jobs


@dataclass
class Scene:
    """Where a torture takes place."""

    folder: Path
    clock: Clock
    #: Whether the repository lies on a small disk of its own, which can be filled.
    own_disk: bool = False
    #: Ids of the tasks whose submission was acknowledged, and what each writes.
    jobs: dict[str, Job] = field(default_factory=dict)
    run: str = ""
    #: Whether nothing may be started here just now: it has no power.
    is_off: bool = False

    @property
    def disk(self) -> Path:
        """What holds the repository and the worktrees."""
        return self.folder / "disk"

    @property
    def repo(self) -> Path:
        """The repository."""
        return self.disk / "repo"

    @property
    def state(self) -> Path:
        """The state home."""
        return self.disk / "state"

    @property
    def notes(self) -> Path:
        """Where workers and claimers write down what they do; beside the disk."""
        return self.folder / "notes"

    @property
    def logs(self) -> Path:
        """Output of the processes."""
        return self.folder / "logs"

    @property
    def tmp(self) -> Path:
        """Temporary files of the processes; where they report their own defects as well."""
        return self.folder / "tmp"

    def environment(self) -> dict[str, str]:
        """Return the environment of every process of the torture."""
        kept = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("GIT_", "WFLEDGER_", "XDG_", "PYTHON"))
        }  # fmt: skip
        home = self.folder / "home"
        package = str(Path(wfledger.__file__).resolve().parents[1])
        own = {"HOME": str(home), "XDG_STATE_HOME": str(self.state), "TMPDIR": str(self.tmp),
               "PYTHONPATH": package, "GIT_CONFIG_NOSYSTEM": "1", "NO_COLOR": "1",
               "TERM": "dumb"}  # fmt: skip
        return kept | own

    def workspace(self) -> Workspace:
        """Open the ledger anew."""
        return Workspace.open(self.repo, clock=self.clock, state_home=self.state)

    def command(self, *args: str) -> list[str]:
        """Return the argument vector of a verb."""
        return [sys.executable, "-m", "wfledger", *args]

    def inside(self, argv: list[str]) -> list[str]:
        """Return what runs *argv* where the processes of this scene run."""
        return argv

    def call(self, *argv: str, timeout: float = 120.0) -> "subprocess.CompletedProcess[str]":
        """Run a program in the repository to its end."""
        return subprocess.run(
            self.inside([*argv]), cwd=self.repo, env=self.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False, timeout=timeout,
        )  # fmt: skip

    def git(self, *args: str) -> str:
        """Run the user's git; raises `EnvironmentFailedError` where it fails."""
        done = self.call("git", *args)
        if done.returncode != 0:
            raise EnvironmentFailedError(f"git {args[0]}: {done.stderr.strip()}")
        return done.stdout

    def verb(self, *args: str, timeout: float = 120.0) -> tuple[int, dict[str, Any]]:
        """Run a verb with `--json`; return its status and what it printed."""
        done = self.call(*self.command(*args, "--json"), timeout=timeout)
        try:
            said = json.loads(done.stdout)
        except ValueError:
            said = {"error": "unreadable", "message": (done.stdout + done.stderr)[-2000:]}
        return done.returncode, said if isinstance(said, dict) else {"said": said}

    def remove(self) -> None:
        """Take everything away again."""
        if self.own_disk:
            subprocess.run(["umount", "-l", str(self.disk)], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def build(clock: Clock, *, chance: Chance, tasks: int, mean_s: float) -> Scene:
    """Make the scratch repository and its ledger, and submit the plan.

    Raises `EnvironmentFailedError` where that cannot be done; nothing is left then.
    """
    scene = Scene(Path(tempfile.mkdtemp(prefix="wfledger-torture-")).resolve(), clock)
    try:
        _furnish(scene)
        jobs = plan(chance, tasks=tasks, mean_s=mean_s)
        submit(scene, jobs)
    except BaseException:
        scene.remove()
        raise
    return scene


def _furnish(scene: Scene) -> None:
    furnish_notes(scene.notes)
    for path in (scene.disk, scene.logs, scene.tmp, scene.folder / "home"):
        path.mkdir(parents=True)
    scene.own_disk = _mount(scene.disk)
    scene.repo.mkdir()
    start_repository(scene)
    initialise(scene.repo, clock=scene.clock, policy=_POLICY)


def furnish_notes(notes: Path) -> None:
    """Make the folder that workers write to, with the script that they run."""
    (notes / "alone").mkdir(parents=True)
    for name in ("ran", "not-alone", "finished", "acknowledged"):
        (notes / name).touch()
    (notes / "work.sh").write_text(_WORK)


def start_repository(scene: Scene) -> None:
    """Make the user's repository, with one commit on main."""
    (scene.repo / "README.md").write_text("# scratch repository of wfledger torture\n")
    for args in (
        ("init", "--quiet", "--initial-branch=main"), ("config", "user.name", "torture"),
        ("config", "user.email", "torture@example.invalid"), ("add", "--all"),
        ("commit", "--quiet", "--message=start"),
    ):  # fmt: skip
        scene.git(*args)


def _mount(folder: Path) -> bool:
    """Put a small disk in memory at *folder*; False where that is not allowed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    argv = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "wfledger", str(folder)]
    with suppress(OSError):
        return subprocess.run(argv, check=False, capture_output=True).returncode == 0
    return False


def submit(scene: Scene, jobs: list[Job]) -> None:
    """Bring the plan of *jobs* into the ledger; the scene knows its run and tasks afterwards."""
    listed = [_task(scene, job) for job in jobs]
    path = scene.folder / "plan.json"
    path.write_text(json.dumps({"goal": "survive", "tasks": listed}, indent=1))
    status, said = scene.verb("run", "--yes", str(path), "--detach")
    if status != 0:
        raise EnvironmentFailedError(f"the plan was refused: {said.get('message', said)}")
    scene.run = said["run"]
    by_node = {job.node: job for job in jobs}
    scene.jobs = {name: by_node[name.partition(".")[2]] for name in said["tasks"]}


def work(notes: Path, job: Job) -> list[str]:
    """Return the command of a job."""
    return ["sh", str(notes / "work.sh"), job.path or "-", str(job.seconds)]


def _task(scene: Scene, job: Job) -> dict[str, Any]:
    child = "child" if job.leaves_child else "alone"
    argv = [*work(scene.notes, job), child]
    task: dict[str, Any] = {"id": job.node, "command": argv, "retry": RETRY}
    if job.path is not None:
        task["write"] = [job.path]
    if job.after:
        task["after"] = list(job.after)
    return task
