"""`demo`: a small fleet at work in a repository of its own, offline and without keys.

What it shows is real: the plan of `examples/demo`, real commands in real worktrees, and at the end
the ledger as `ls` and `git log` show it.
"""

import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from wfledger.cli.common import App, pass_app, state_home, worker_name
from wfledger.cli.progress import progress
from wfledger.cli.render import say
from wfledger.cli.running import say_outcome
from wfledger.core.documents import Run
from wfledger.core.policy import GatePolicy, Policy
from wfledger.errors import UsageError, WfledgerError

if TYPE_CHECKING:
    from wfledger.run.session import Outcome
    from wfledger.run.workspace import Workspace

_SLOTS: Final = 6
#: The gate: all tests, on the exact tree that is about to be the branch.
_GATE: Final = "python3 -m unittest -q"
#: The task that steps out of its scope, and must be stopped for it.
_OFFENDER: Final = "changelog"


class DemoError(WfledgerError):
    """The demonstration did not come out as it must."""

    code = "demo"


@click.command("demo")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@pass_app
def demo(app: App, *, folder: Path | None) -> int:
    """Watch a small fleet work in a repository of its own.

    Makes FOLDER (by default a new one under the system's folder for temporary files) with a small
    Python project, and runs a plan over it: commands in parallel worktrees, two of which want the
    same path, one that fails and is tried again, and one that steps out of its scope.
    """
    root = _fresh(folder)
    say(f"a small Python project in {root}")
    _make_project(root)
    workspace, run = _submit(app, root)
    say("its plan is examples/demo/plan.yaml; the gate on each merged tree: " + _GATE)
    outcome = _drive(workspace, run)
    say("")
    say_outcome(outcome)
    _show(root, outcome)
    _check(outcome)
    return 0


def _fresh(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="wfledger-demo-")).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already", hint="name a folder that is not")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _make_project(root: Path) -> None:
    from wfledger.vcs.checkout import Checkout
    from wfledger.vcs.proc import run_git

    with resources.as_file(resources.files("wfledger.cli") / "demo_files") as files:
        shutil.copytree(
            files / "project", root, dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        shutil.copyfile(files / "plan.yaml", root / "plan.yaml")
    run_git(["init", "--quiet", "--initial-branch=main", str(root)])
    checkout = Checkout(root, root / ".git")
    for key, value in (("user.name", "wfledger demo"), ("user.email", "demo@example.com")):
        checkout.git(["config", key, value])
    (root / ".gitignore").write_text("__pycache__/\n", "utf-8")
    checkout.git(["add", "--all"])
    checkout.git(["commit", "--quiet", "--message", "A small project"])


def _submit(app: App, root: Path) -> tuple["Workspace", Run]:
    from wfledger.cli.planfiles import plan_of
    from wfledger.plans.checking import check_text
    from wfledger.run.setup import initialise
    from wfledger.run.submit import Submission, submit
    from wfledger.run.workspace import Workspace

    initialise(root, clock=app.clock, policy=Policy(gate=GatePolicy(command=_GATE)))
    workspace = Workspace.open(root, clock=app.clock, state_home=state_home())
    text = (root / "plan.yaml").read_bytes()
    compiled = plan_of(check_text(text, "plan.yaml", lenient=False), "plan.yaml")
    given = Submission(plan=compiled, text=text.decode(), source="plan.yaml", name="demo")
    return workspace, submit(workspace, given)


def _drive(workspace: "Workspace", run: Run) -> "Outcome":
    from wfledger.run.session import Session

    with progress(workspace, run, err=False) as listener:
        session = Session(
            workspace, run, slots=_SLOTS, worker=worker_name(), listener=listener
        )
        return session.drive()


def _show(root: Path, outcome: "Outcome") -> None:
    run = outcome.run
    branch = f"wf/{run.id}"
    for line in (
        "ls .wfledger/*/ | head -40",
        f"git log --oneline --stat --format='%h %s' main..{branch}",
        "git log --oneline -5 wfledger",
        f"git log --oneline --grep 'Wfledger-Task: {run.id}.{_OFFENDER}' wfledger",
    ):
        say(f"\n$ {line}")
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=root, capture_output=True, check=False, timeout=60
        )
        say(done.stdout.decode("utf-8", "replace").rstrip())
    offender = f"{run.id}.{_OFFENDER}"
    say("\nGo on from here:")
    for command in (
        f"cd '{root}'",
        f"wfledger why {offender}",
        f"wfledger diff {offender}",
        *(need.command for need in outcome.needs),
        f"wfledger run {run.id}",
        f"wfledger land {run.id}",
    ):
        say(f"  {command}")


def _check(outcome: "Outcome") -> None:
    """Raise `DemoError` unless everything came out as the plan's comments say."""
    needs = [(need.task.partition(".")[2], need.code) for need in outcome.needs]
    if needs != [(_OFFENDER, "out_of_scope")] or outcome.verdict.state != "waits":
        raise DemoError(
            f"the demonstration came out otherwise than it must: {outcome.verdict.state}, {needs}",
            hint=f"wfledger status {outcome.run.id}",
        )
