"""A fresh worktree is made ready for work as fleet.toml says; attempts and trials alike."""

import threading
from dataclasses import replace
from pathlib import Path

from wfledger.run.attempts.commanding import TAG, tag_for
from wfledger.run.attempts.preparation import Means, PreparationFailed, Prepared, prepare
from wfledger.run.attempts.surveying import survey
from wfledger.run.attempts.worktrees import Place
from wfledger.run.config.roles import Worktree
from wfledger.run.guard import vouching
from wfledger.run.processes.environment import build
from wfledger.run.processes.sandbox import sandbox_for
from wfledger.run.workspace import Workspace


def make_ready(
    workspace: Workspace, place: Place, *, log: Path, stop: threading.Event
) -> Prepared | PreparationFailed:
    """Copy, link and set up *place*; what was put there is in the answer's `excluded`."""
    fleet = vouching.fleet(workspace)
    if fleet.worktree == Worktree():
        return Prepared(())
    tag, confinement = tag_for(workspace, place.name), fleet.confinement
    if fleet.worktree.network is not None:
        confinement = replace(confinement, network=fleet.worktree.network)
    scratch = workspace.ledger.layout.tmp
    means = Means(
        env=build(fleet.env_pass, {TAG: tag}, place.folder), log=log, tag=tag, stop=stop,
        clock=workspace.clock, sandbox=sandbox_for(workspace, confinement, (place.folder,)),
        survey=lambda: survey(workspace.repo, place.folder, scratch=scratch),
    )
    return prepare(place.folder, workspace.main, fleet.worktree, means=means)
