"""The gates: the ledger's and the run's test command on exactly the tree that would land.

A verdict belongs to the tree and the command, so the ledger's gate is one question and the run's
another, and runs that differ in theirs share the first (WFL-LAND-031).
"""

import threading

from wfledger.core.documents import Gate
from wfledger.run.attempts.worktrees import scratch_name
from wfledger.run.guard import vouching
from wfledger.run.merger.cleanroom import Report, Step, Trial, Verdict, has_passed, hold_trial
from wfledger.run.merger.merging import Errand
from wfledger.run.merger.verification import shown
from wfledger.run.workspace import Workspace


def trials_of(errand: Errand, commit: str) -> tuple[Trial, ...]:
    """Return the gates on *commit*, the ledger's first; none where nobody set one.

    The commands are told nothing about the task: their verdict is one on the tree.
    """
    workspace, task = errand.workspace, errand.task
    gates = (("gate", vouching.policy(workspace).gate), ("rungate", errand.run.gate))
    return tuple(
        _trial(workspace, gate, name=scratch_name(workspace, task, purpose), commit=commit)
        for purpose, gate in gates
        if gate is not None
    )


def _trial(workspace: Workspace, gate: Gate, *, name: str, commit: str) -> Trial:
    step = Step(shown(gate.command), gate.command, gate.timeout_s)
    tree = workspace.repo.tree_of(commit)
    return Trial(kind="gate", name=name, commit=commit, tree=tree, steps=(step,))


def gate(errand: Errand, commit: str, *, stop: threading.Event, report: Report) -> Verdict:
    """Return whether *commit*, a candidate to land, passes every gate; all that fail are named.

    A pass is remembered for the tree, so a landing that lost a race and comes to the same tree is
    not tested again. Raises `EnvironmentFailedError` when a gate cannot be run.
    """
    reasons: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    for trial in trials_of(errand, commit):
        verdict = hold_trial(errand.workspace, trial, stop=stop, report=report)
        if verdict.outcome == "stopped":
            return verdict
        reasons, logs = (*reasons, *verdict.reasons), (*logs, *verdict.logs)
    return Verdict("failed", reasons, logs) if reasons else Verdict("passed")


def known_good(errand: Errand, commit: str) -> bool:
    """Whether the gates have passed on the tree of *commit*; tells whose fault a failure is."""
    trials = trials_of(errand, commit)
    return bool(trials) and all(has_passed(errand.workspace, trial) for trial in trials)
