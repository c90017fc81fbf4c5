"""What of a user's branch goes to the remote with the branch of a run (WFL-HUB-078).

A run begins at the user's last commit, and machines that are to work on it need that commit: what
the user has not pushed himself is pushed below the run's name. He is told so when that is decided.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core.documents import Run
from wfledger.errors import WfledgerError
from wfledger.run.hub import branches, reaching
from wfledger.run.hub.state import Hub
from wfledger.run.refnames import HEADS, HUB, RUNS
from wfledger.run.workspace import Workspace
from wfledger.vcs import addresses
from wfledger.vcs.refs import refs_under

#: What was seen on the remote, as this machine names it.
_SEEN: Final = ("heads/", "target/", "land/", "keep/")


@dataclass(frozen=True)
class Departing:
    """Commits that the remote is not known to have, and that go there."""

    commits: int
    #: Full names of the user's branch, and of the ref that takes them along; "" while it has none.
    branch: str
    ref: str
    #: What people call the remote.
    remote: str

    @property
    def sentence(self) -> str:
        """What a person is told."""
        many = self.commits != 1
        what = f"{self.commits} commit{'s' if many else ''} of {self.branch.removeprefix(HEADS)}"
        under = f"under {self.ref.removeprefix(HEADS) if self.ref else 'wf/ and the id of the run'}"
        return (
            f"{what} that {self.remote} is not known to have {'go' if many else 'goes'} there "
            f"with it, {under}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `run --json` and `add --json` print."""
        return {"commits": self.commits, "branch": self.branch, "ref": self.ref}


def underway(workspace: Workspace) -> frozenset[str]:
    """Return the commits that go there already, with what was asked for up to now."""
    return frozenset((*refs_under(workspace.repo, RUNS).values(), *branches.wished(workspace)))


def departing(
    workspace: Workspace, commit: str, *, branch: str, ref: str = "", but: frozenset[str]
) -> Departing | None:
    """Return what goes to the remote with *commit*, besides what goes with *but*; None: nothing."""
    hub = workspace.hub
    if hub is None:
        return None
    there = {oid for oid in (*but, *_seen(workspace, hub)) if workspace.repo.has_commit(oid)}
    count = 0 if commit in there else workspace.repo.count(commit, without=there)
    return Departing(count, branch, ref, hub.name) if count else None


def with_run(workspace: Workspace, run: Run, *, but: frozenset[str]) -> Departing | None:
    """Return what goes with the branch of a run, as that is or will be when it has followed."""
    repo = workspace.repo
    tip, target = repo.tip(run.branch), repo.tip(run.target)
    follows = run.plan is None and tip and target and repo.is_ancestor(tip, target)
    commit = target if follows else tip
    if commit is None:
        return None
    return departing(workspace, commit, branch=run.target, ref=run.branch, but=but)


def _seen(workspace: Workspace, hub: Hub) -> Iterator[str]:
    """Yield the commits that were seen on the remote, by meetings and by the user's own git."""
    for part in _SEEN:
        yield from refs_under(workspace.repo, f"{HUB}/{part}").values()
    for name in _called(workspace, hub):
        yield from refs_under(workspace.repo, f"refs/remotes/{name}").values()


def _called(workspace: Workspace, hub: Hub) -> Iterator[str]:
    """Yield the names that the user's git has for the remote."""
    for name in reaching.remotes(workspace.repo):
        try:
            if name == hub.name or addresses.url_of(workspace.repo, name) == hub.url:
                yield name
        except WfledgerError:  # an address that is not used
            continue
