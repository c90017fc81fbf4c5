"""Running commands on a clean checkout of a commit, and remembering what passed.

Verification and gate ask whether a tree is good, so nothing may answer but the tree itself: the
checkout is fresh, prepared as fleet.toml says, and removed afterwards. What lay ignored in a
worker's worktree is not there. A verdict belongs to (tree, definition): the same question is not
asked twice; a failed one is asked again, for the world outside of the tree may have been at fault
(WFL-RESULT-030, WFL-LAND-030).
"""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

from wfledger import faults
from wfledger.core.records import Command, canonical_json
from wfledger.core.text import clean
from wfledger.errors import EnvironmentFailedError
from wfledger.run.attempts import worktrees
from wfledger.run.attempts.commanding import Order, argv_of, run_command, tag_for, tail_of
from wfledger.run.attempts.preparation import PreparationFailed
from wfledger.run.attempts.ready import make_ready
from wfledger.run.guard import fingerprints
from wfledger.run.processes.environment import build, redact, secrets_of
from wfledger.run.processes.process import Ended, sweep
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

faults.register("cleanroom.prepared", "cleanroom.remembered")

#: Remembered verdicts of one kind; the oldest are forgotten beyond it.
_KEPT_VERDICTS: Final = 1000
_GRACE_S: Final = 5.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One command of a trial."""

    #: What people read.
    label: str
    command: Command
    timeout_s: float


@dataclass(frozen=True)
class Trial:
    """Commands to be run in order on one clean checkout."""

    #: `verify` or `gate`.
    kind: str
    #: `<task>.<attempt>.<kind>`: names checkout, logs and processes.
    name: str
    commit: str
    tree: str
    steps: tuple[Step, ...]
    #: Variables that the commands see besides the standing list and `[env] pass`.
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What a trial came to. `stopped` is no verdict on the tree."""

    outcome: Literal["passed", "failed", "stopped"]
    #: One for each command that failed, with the end of its output.
    reasons: tuple[str, ...] = ()
    #: Paths of the logs of what failed.
    logs: tuple[str, ...] = ()
    #: Whether it was remembered, not found out now.
    remembered: bool = False


def hold_trial(
    workspace: Workspace, trial: Trial, *, stop: threading.Event, report: Report
) -> Verdict:
    """Run every command of *trial*, also after one that failed, and return the verdict.

    Raises `EnvironmentFailedError` when the checkout cannot be made or prepared: that says nothing
    about the tree.
    """
    if has_passed(workspace, trial):
        report(f"{trial.kind}: the same tree has passed before")
        return Verdict("passed", remembered=True)
    reasons, logs = [], []
    with (
        fingerprints.around(workspace, trial.name.rpartition(".")[0]),
        _prepared(workspace, trial, stop=stop, report=report) as place,
    ):
        for number, step in enumerate(trial.steps, start=1):
            if stop.is_set():
                return Verdict("stopped")
            report(f"{trial.kind}: {step.label}")
            log = log_path(workspace, f"{trial.name}.{number}")
            order = Order(step.command, place.folder, trial.name, log, step.timeout_s, trial.extra)
            ended = run_command(workspace, order, stop=stop)
            if ended.reason == "stopped":
                return Verdict("stopped")
            _refuse_trouble(step, ended, place.folder)
            if ended.status != 0 or ended.reason != "exited":
                reasons.append(_reason(workspace, trial, step=step, ended=ended, log=log))
                logs.append(str(log))
    if reasons:
        return Verdict("failed", tuple(reasons), tuple(logs))
    remember(
        workspace, _question(workspace, trial), labels=[step.label for step in trial.steps]
    )
    return Verdict("passed")


def _reason(
    workspace: Workspace, trial: Trial, *, step: Step, ended: Ended, log: Path
) -> str:
    """Return why *step* failed, with the end of its output, escapes and secrets removed."""
    known = build(workspace.fleet().env_pass, trial.extra, log.parent)
    tail = redact(clean(tail_of(log)), secrets_of(known))
    said = f"{step.label}: {ended.message}"
    return f"{said}\n{tail}" if tail else said


def _refuse_trouble(step: Step, ended: Ended, folder: Path) -> None:
    """Raise where *ended* says nothing about the tree (WFL-RESULT-032)."""
    program = argv_of(step.command)[0]
    missing = shutil.which(program) is None and not (folder / program).exists()
    if (ended.reason == "spawn_failed" and not missing) or ended.left:
        raise EnvironmentFailedError(f"{step.label}: {ended.message}")


@contextmanager
def _prepared(
    workspace: Workspace, trial: Trial, *, stop: threading.Event, report: Report
) -> Iterator[worktrees.Place]:
    clear(workspace, trial.name)
    report(f"{trial.kind}: making a clean checkout")
    with worktrees.scratch(workspace, trial.name, commit=trial.commit) as place:
        _prepare(workspace, place, trial=trial, stop=stop)
        faults.point("cleanroom.prepared")
        yield place


def _prepare(
    workspace: Workspace, place: worktrees.Place, *, trial: Trial, stop: threading.Event
) -> None:
    log = log_path(workspace, f"{trial.name}.setup")
    done = make_ready(workspace, place, log=log, stop=stop)
    if isinstance(done, PreparationFailed):
        raise EnvironmentFailedError(done.message, log=str(log))


def clear(workspace: Workspace, name: str) -> None:
    """End and remove what a merger that died has left of the trial *name*."""
    place = worktrees.find(workspace, name)
    if place is None:
        return
    sweep(tag_for(workspace, name), grace_s=_GRACE_S)
    worktrees.discard(workspace, place)


def log_path(workspace: Workspace, name: str) -> Path:
    """Return where the output of *name* is kept."""
    return workspace.ledger.layout.local / "logs" / f"{name}.log"


def passed_on(names: tuple[str, ...]) -> dict[str, str]:
    """Return the variables that a task is given by name, as far as they are set."""
    return {name: os.environ[name] for name in names if name in os.environ}


# -- verdicts ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """What is asked of a tree; the same one is not asked again once it was answered with yes."""

    #: `verify`, `gate` or `probe`.
    kind: str
    tree: str
    #: Everything besides the tree that the answer depends on.
    definition: Mapping[str, object]


def has_passed(workspace: Workspace, trial: Trial) -> bool:
    """Whether the tree of *trial* is known to have passed exactly these commands."""
    return is_remembered(workspace, _question(workspace, trial))


def _question(workspace: Workspace, trial: Trial) -> Question:
    fleet = workspace.fleet()
    definition = {
        "steps": [step.command for step in trial.steps],
        "worktree": asdict(fleet.worktree),
        "confinement": asdict(fleet.confinement),
        "env": [*fleet.env_pass, *sorted(trial.extra)],
    }
    return Question(trial.kind, trial.tree, definition)


def is_remembered(workspace: Workspace, question: Question) -> bool:
    """Whether *question* was answered with yes before."""
    return _verdict_path(workspace, question).exists()


def _verdict_path(workspace: Workspace, question: Question) -> Path:
    digest = hashlib.sha256(canonical_json(question.definition)).hexdigest()
    name = f"{question.kind}-{question.tree}-{digest[:16]}.json"
    return workspace.ledger.layout.local / "index" / name


def remember(workspace: Workspace, question: Question, *, labels: Sequence[str]) -> None:
    """Note that *question* was answered with yes; *labels* are for people."""
    path = _verdict_path(workspace, question)
    facts = {"tree": question.tree, "steps": list(labels)}
    atomic.replace(path, canonical_json(facts), tmp=workspace.ledger.layout.tmp)
    faults.point("cleanroom.remembered")
    known = sorted(path.parent.glob(f"{question.kind}-*.json"), key=_age)
    for old in known[:-_KEPT_VERDICTS]:
        old.unlink(missing_ok=True)


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # another merger forgot it
        return 0
