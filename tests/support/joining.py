"""Clones of a bare repository that come to share a ledger by the operations behind the verbs."""

import os
from pathlib import Path

from tests.support.repos import git, make_repo
from tests.support.workspaces import open_workspace
from wfledger.clock import SystemClock
from wfledger.run.hub import attaching, joining, reaching
from wfledger.run.hub.attaching import Attached
from wfledger.run.hub.joining import Joined
from wfledger.run.hub.probing import Means
from wfledger.run.setup import initialise
from wfledger.run.workspace import Workspace
from wfledger.vcs.repo import Repository

MEANS = Means("hidden", atomic=True)


def make_hub(folder: Path, name: str = "hub.git") -> Path:
    """Make a bare repository with one commit on main."""
    hub = folder / name
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(hub))
    seed = make_repo(folder / f"seed-{name}", {"README.md": "# sample\n"})
    git(seed, "push", "--quiet", str(hub), "main")
    return hub


def clone(hub: Path, path: Path, *options: str) -> Path:
    """Clone *hub* through git's own protocol, so that nothing but what was asked for comes."""
    git(hub, "clone", "--quiet", *options, f"file://{hub}", str(path))
    git(path, "remote", "set-url", "origin", str(hub))
    return path


def first(folder: Path, hub: Path, name: str = "one") -> Workspace:
    """Return a clone with a ledger of its own."""
    root = clone(hub, folder / name)
    initialise(root, clock=SystemClock())
    return open_workspace(root)


def attach(workspace: Workspace, *, means: Means = MEANS) -> Attached:
    """Put a ledger on the clone's origin."""
    repo = workspace.repo
    return attaching.attach(workspace, reaching.look(repo, reaching.address(repo, None)), means)


def join(root: Path, *, means: Means = MEANS) -> Joined:
    """Take part in the ledger of the clone's origin."""
    repo = Repository.discover(root)
    joining.refuse_kind(repo)
    found = reaching.look(repo, reaching.address(repo, None))
    fetched = reaching.fetch(repo, found, depth=reaching.DEPTH)
    state_home = Path(os.environ["XDG_STATE_HOME"])
    return joining.join(found, fetched, means, clock=SystemClock(), state_home=state_home)


def joined(folder: Path, hub: Path, name: str = "other") -> Workspace:
    """Return a fresh clone that takes part."""
    root = clone(hub, folder / name)
    join(root)
    return open_workspace(root)
