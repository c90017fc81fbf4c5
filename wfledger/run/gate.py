"""The gate: the user's test command on exactly the tree that would land (WFL-LAND-031)."""

import threading

from wfledger.core.documents import Task
from wfledger.run.cleanroom import Report, Step, Trial, Verdict, has_passed, hold_trial
from wfledger.run.verification import shown
from wfledger.run.workspace import Workspace


def trial_of(workspace: Workspace, name: str, commit: str) -> Trial | None:
    """Return the gate on *commit*, or None when the policy has none.

    The command is told nothing about the task: its verdict is one on the tree.
    """
    gate = workspace.policy().gate
    if gate is None:
        return None
    step = Step(shown(gate.command), gate.command, gate.timeout_s)
    tree = workspace.repo.tree_of(commit)
    return Trial(kind="gate", name=f"{name}.gate", commit=commit, tree=tree, steps=(step,))


def gate(
    workspace: Workspace, task: Task, commit: str, *, stop: threading.Event, report: Report
) -> Verdict:
    """Return whether *commit*, a candidate to land for *task*, passes the gate.

    A pass is remembered for the tree, so a landing that lost a race and comes to the same tree is
    not tested again. Raises `EnvironmentFailedError` when the gate cannot be run.
    """
    name = workspace.ledger.layout.attempt_name(task.id, task.attempt)
    trial = trial_of(workspace, name, commit)
    if trial is None:
        return Verdict("passed")
    return hold_trial(workspace, trial, stop=stop, report=report)


def known_good(workspace: Workspace, commit: str) -> bool:
    """Whether the gate has passed on the tree of *commit*; tells whose fault a failure is."""
    trial = trial_of(workspace, "", commit)
    return trial is not None and has_passed(workspace, trial)
