"""`land` where machines share the ledger: the remote is looked at first, and may be brought along.

Only the verb does this, for a person. The branch that results are for is the user's: it is pushed
by nobody else, with a lease on what was seen there, and never forced.
"""

from dataclasses import dataclass
from shlex import quote
from typing import Final

from wfledger import faults
from wfledger.core.documents import Run
from wfledger.errors import BusyError, PausedError, StaleError, TransitionError, UsageError
from wfledger.run.hub import branches
from wfledger.run.hub.state import Hub
from wfledger.run.merger.targets import contains, safe_name
from wfledger.run.refnames import HEADS, HUB
from wfledger.run.workspace import Workspace
from wfledger.vcs.remote import RemoteUpdate, Trouble, fetch, push

faults.register("deliver.pushed")

#: Seconds for one call.
_CALL_S: Final = 60.0


@dataclass(frozen=True)
class Beyond:
    """What the remote has of a run's target; seen now."""

    hub: Hub
    target: str
    #: None where the remote has no such branch.
    commit: str | None
    #: Commits there that the branch here lacks.
    ahead: int
    #: Why it could not be asked; then nothing above is known.
    trouble: str = ""

    @property
    def warning(self) -> str:
        """What a person has to know before he lands; "" for nothing."""
        name = self.target.removeprefix(HEADS)
        if self.trouble:
            return f"{self.hub.name} was not asked: {self.trouble}"
        if self.ahead:
            count = f"{self.ahead} commit{'s' if self.ahead > 1 else ''}"
            return f"{name} of {self.hub.name} has {count} that {name} here lacks"
        return ""


def look(workspace: Workspace, run: Run) -> Beyond | None:
    """Fetch a run's branch and its target; the branch here is brought along. None: no remote."""
    hub = workspace.hub
    if hub is None:
        return None
    there, ours = seen_target(run.target), f"{HUB}/land/{safe_name(run.branch)}"
    wanted = [f"+{run.branch}:{ours}", f"+{run.target}:{there}"]
    came = fetch(workspace.repo, hub.url, wanted, timeout=_CALL_S)
    if isinstance(came, Trouble):
        return Beyond(hub, run.target, None, 0, came.message)
    if run.branch in came.refs:
        branches.follow(workspace, {run.branch: came.refs[run.branch]})
    commit, here = came.refs.get(run.target), workspace.repo.tip(run.target)
    ahead = 0
    if commit is not None and here is not None and not contains(workspace.repo, commit, here):
        ahead = sum(1 for _ in workspace.repo.walk(commit, since=here))
    return Beyond(hub, run.target, commit, ahead)


def seen_target(target: str) -> str:
    """Return the ref that says where a run's target was on the remote when it was looked at."""
    return f"{HUB}/target/{safe_name(target)}"


def require_pushable(beyond: Beyond | None, run: Run) -> Beyond:
    """Return what `--push` goes by; raises where a push could not come through (WFL-HUB-082)."""
    if beyond is None:
        raise UsageError(
            "this ledger has no remote", hint=f"git push origin {run.target.removeprefix(HEADS)}"
        )
    if beyond.trouble:
        raise BusyError(beyond.warning, hint=f"wfledger land {run.id} --push")
    if beyond.ahead:
        hint = f"git pull {beyond.hub.name} {run.target.removeprefix(HEADS)}"
        raise StaleError(beyond.warning, hint=hint)
    return beyond


def deliver(workspace: Workspace, run: Run, beyond: Beyond) -> bool:
    """Push the run's target as it is here; False where the remote has it already.

    Raises `StaleError` where it has moved there since it was looked at, `PausedError` with the
    server's words where it is not wanted, `BusyError` where nobody knows whether it came through;
    then the same command finds out.
    """
    tip = workspace.repo.tip(run.target)
    if tip is None or tip == beyond.commit:
        return False
    update = RemoteUpdate(run.target, tip, beyond.commit)
    done = push(workspace.repo, beyond.hub.url, [update], atomic=False, timeout=_CALL_S)
    faults.point("deliver.pushed")
    name, where = run.target.removeprefix(HEADS), beyond.hub.name
    if done.outcome == "ok":
        return True
    if done.outcome == "lost":
        raise StaleError(
            f"{name} has moved on {where} meanwhile; {run.id} is on {name} here, and not there",
            hint=f"git pull {quote(where)} {name} && wfledger land {run.id} --push", run=run.id,
        )
    if done.outcome == "unknown":
        raise BusyError(
            f"{where} did not say whether {name} was pushed", hint=f"wfledger land {run.id} --push"
        )
    words = done.trouble.message if done.trouble is not None else done.said
    raise PausedError(
        f"{where} refuses {name}: {words}; {run.id} is on {name} here, and not there",
        hint=f"wfledger land {run.id} --branch NAME, and a pull request", run=run.id,
    )


def require_undelivered(workspace: Workspace, run: Run) -> None:
    """Raise `TransitionError` where the remote has what `land --undo` would take back."""
    hub, landed = workspace.hub, run.landed
    if hub is None or landed is None or landed.commit is None:
        return
    beyond = look(workspace, run)
    if beyond is not None and contains(workspace.repo, landed.commit, beyond.commit):
        name = run.target.removeprefix(HEADS)
        raise TransitionError(
            f"{name} of {hub.name} has {landed.commit[:12]} already",
            hint=f"git revert {landed.commit[:12]}", run=run.id,
        )
