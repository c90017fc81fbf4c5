"""Putting a ledger that was this machine's alone on a remote, for others to join (spec 97).

Nothing may be at work here, and the history must hold everything: a task that somebody works on
would otherwise be granted to nobody. First the remote takes the history, by a push that creates
its ref and replaces nothing; last this machine notes that it has a remote. Killed in between,
doing it again finds its own history there and goes on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from shlex import quote
from typing import Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core.policy import Policy
from wfledger.core.records import canonical
from wfledger.core.statuses import Status
from wfledger.core.text import listed
from wfledger.errors import BusyError, LedgerDamagedError, PausedError, RemoteError
from wfledger.run.attempts.keeping import kept_head
from wfledger.run.commit import commit_journal
from wfledger.run.hub import beating, reaching, trusting
from wfledger.run.hub.detaching import detach
from wfledger.run.hub.names import Names
from wfledger.run.hub.probing import Means
from wfledger.run.hub.reaching import Address, Found
from wfledger.run.hub.state import Hub, State, left, write_hub, write_state
from wfledger.run.pausing import alarm_of, withdraw_offers
from wfledger.run.presence import driven
from wfledger.run.workspace import Workspace
from wfledger.store.layout import EDITABLE
from wfledger.vcs import remote
from wfledger.vcs.remote import ANY, RemoteUpdate

faults.register("attaching.committed", "attaching.pushed", "attaching.stated")

_ROUNDS: Final = 5
_HINT: Final = "to take part in it: git clone {} NEW, then in it: wfledger join"
_NAMED: Final = 3
_PUSH_S: Final = 600.0


@dataclass(frozen=True)
class Attached:
    """What `attach` did."""

    hub: Hub
    #: False where it had this remote already.
    fresh: bool
    #: Whether the history was put there, and not found there.
    pushed: bool


def attach(workspace: Workspace, found: Found, means: Means) -> Attached:
    """Make what was *found* the remote of the ledger; done again it changes nothing.

    Raises `BusyError` while work goes on here, `RemoteError` where another ledger is there, or one
    that has gone another way than this one.
    """
    alarm = alarm_of(workspace)
    if alarm is not None:
        raise PausedError(f"dispatch is paused: {alarm.reason}", hint=alarm.command)
    before = workspace.hub
    if before is not None:
        return _moved(workspace, before, found, means)
    if left(workspace.ledger.layout.local) is not None:
        detach(workspace)  # what somebody has begun: no grant of then may stay
    for _ in range(_ROUNDS):
        _refuse_work(workspace)
        if found.space is not None:
            _require_same(workspace, found)  # before our offers are withdrawn for nothing
        _settle(workspace)
        faults.point("attaching.committed")
        tip = _tip(workspace)
        pushed = _hand_over(workspace, found, means, tip)
        faults.point("attaching.pushed")
        hub = _hub(workspace, found.address, means)
        beating.take_for_ours(workspace, found.refs.get(hub.names.beat(workspace.machine.id)))
        if _note(workspace, hub, tip):
            return Attached(hub, fresh=True, pushed=pushed)
        found = reaching.look(workspace.repo, found.address)
    raise BusyError(
        "others keep changing the ledger", hint="when they are done: wfledger remote set"
    )


def set_policy(workspace: Workspace, changed: Mapping[str, object]) -> Policy:
    """Change the settings that `with_changes` knows, for all machines; returns the policy."""
    with workspace.ledger.transaction("person") as changes:
        config = workspace.config()
        policy = with_changes(config.policy, changed)
        if policy != config.policy:
            changes.put_file("ledger.json", canonical(config.but(policy=policy)), why="remote set")
    return policy


def with_changes(policy: Policy, changed: Mapping[str, object]) -> Policy:
    """Return *policy* with `lease_s`, and settings of `remote`, as *changed* says."""
    of_remote = {key: value for key, value in changed.items() if key != "lease_s"}
    of_all = {"lease_s": changed["lease_s"]} if "lease_s" in changed else {}
    return policy.but(remote=policy.remote.but(**of_remote), **of_all)


def _moved(workspace: Workspace, before: Hub, found: Found, means: Means) -> Attached:
    """Note another address of the same remote, or the same one again."""
    hub = Hub(found.address.name, found.address.url, means.space, means.atomic, before.root)
    agreed = trusting.recorded(workspace)
    if hub == before and found.space is None:  # or another process has just put it there
        found = reaching.look(workspace.repo, found.address)
    if hub == before and found.space is None:
        raise RemoteError(
            f"{hub.name} has no ledger any more", kind="no_ledger", hint="wfledger remote restore"
        )
    if hub == before and (agreed is None or agreed.url == hub.url):
        return Attached(before, fresh=False, pushed=False)
    if found.space is None:
        raise RemoteError(
            f"{found.address.name} has no ledger, and this one is shared through {before.name}",
            kind="no_ledger", hint="copy the whole repository there first (git clone --mirror, git "
            "push --mirror), or: wfledger remote unset",
        )  # fmt: skip
    _require_same(workspace, found)
    trusting.inherit(workspace, agreed and replace(agreed, url=hub.url))
    write_hub(workspace.ledger.layout.local, hub)
    return Attached(hub, fresh=True, pushed=False)


# -- this side -----------------------------------------------------------------------------------


def _settle(workspace: Workspace) -> None:
    """See to it that nothing is at work or on offer, and that the history holds everything."""
    with workspace.ledger.transaction("person") as changes:
        withdraw_offers(workspace, changes, run=None, reason="the ledger gets a remote")
    commit_journal(workspace)


def _refuse_work(workspace: Workspace) -> None:
    drivers = driven(workspace)
    if drivers:
        is_daemon = "*" in drivers
        raise BusyError(
            "a daemon works on the ledger" if is_daemon else "a run goes on in another process",
            hint="wfledger daemon stop" if is_daemon else "wait for it, or interrupt it",
        )
    working = workspace.ledger.names(Status.IN_PROGRESS)
    if working:
        raise BusyError(
            f"{_named(working)} at work; nobody else would know whose work that is",
            hint=f"wait for it, or: wfledger stop {working[0]}", tasks=list(working),
        )
    merging = workspace.ledger.names(Status.MERGING)
    if merging:
        raise BusyError(
            f"{_named(merging)} about to land", hint="wfledger tick", tasks=list(merging)
        )


def _named(names: "list[str] | tuple[str, ...]") -> str:
    return f"{listed(names, _NAMED)} {'is' if len(names) == 1 else 'are'}"


def _tip(workspace: Workspace) -> str:
    tip = workspace.history.tip()
    if tip is None:
        raise LedgerDamagedError("the ledger has no history", hint="wfledger doctor --fix")
    return tip


def _hub(workspace: Workspace, at: Address, means: Means) -> Hub:
    oldest = [info.oid for info in workspace.repo.walk(_tip(workspace))][-1]
    return Hub(at.name, at.url, means.space, means.atomic, oldest)


def _note(workspace: Workspace, hub: Hub, tip: str) -> bool:
    """Note the remote, unless something has happened since *tip*; nothing can happen meanwhile."""
    ledger = workspace.ledger
    with ledger.locks.hold("history"), ledger.transaction("person"):
        held = (Status.PENDING, Status.IN_PROGRESS, Status.MERGING)
        if any(ledger.names(status) for status in held):
            return False
        if not ledger.journal.is_empty() or _tip(workspace) != tip:
            return False
        layout = ledger.layout
        trusting.agree(
            trusting.path_of(workspace.state.parent.parent, workspace.ledger_id, layout.machine),
            ledger=workspace.ledger_id, url=hub.url, at=iso(workspace.clock.now()),
            files={name: (ledger.read_text(name) or "").encode() for name in EDITABLE},
        )  # fmt: skip
        layout.local.joinpath("hub").mkdir(exist_ok=True)
        now = iso(workspace.clock.now())
        write_state(layout.local, State(applied=tip, seen=now, pushed=now))
        faults.point("attaching.stated")
        write_hub(layout.local, hub)
    return True


# -- the other side ------------------------------------------------------------------------------


def _require_same(workspace: Workspace, found: Found) -> None:
    """Raise `RemoteError` unless the ledger there is this one, and one follows from the other.

    What was fetched stays reachable by nothing, and here for as long as git keeps such objects.
    """
    there = reaching.fetch(workspace.repo, found, depth=None)
    reaching.forget(there.repo)
    name, ours = found.address.name, workspace.config().id
    if there.config.id != ours:
        raise RemoteError(
            f"{name} has another ledger ({there.config.id}, begun {there.config.created}); "
            f"this one is {ours}",
            kind="other_ledger", hint=_HINT.format(quote(found.address.url)),
            theirs=there.config.id, ours=ours,
        )  # fmt: skip
    tip, repo = _tip(workspace), there.repo
    if not (repo.is_ancestor(tip, there.tip) or repo.is_ancestor(there.tip, tip)):
        raise RemoteError(
            f"the ledger at {name} and this one have gone different ways since they were one",
            kind="forked", hint=_HINT.format(quote(found.address.url)),
        )  # fmt: skip


def _hand_over(workspace: Workspace, found: Found, means: Means, tip: str) -> bool:
    """Bring the history and what it speaks of to the remote; False where it has it already.

    The ledger comes last: whoever finds it finds the branches and the work that it names.
    """
    names = Names(means.space)
    there = found.refs.get(names.ledger)
    if there is not None:
        _require_same(workspace, found)  # of what was committed meanwhile (WFL-HUB-001)
        if workspace.repo.is_ancestor(tip, there):
            return False
    _push(workspace, found, [*_branches(workspace, found), *_kept(workspace, names)])
    _push(workspace, found, [RemoteUpdate(names.ledger, tip, there)])
    return True


def _branches(workspace: Workspace, found: Found) -> Iterator[RemoteUpdate]:
    """Yield the branches of open runs that the remote lacks, or has as they were before."""
    for run in workspace.ledger.runs():
        tip, there = workspace.repo.tip(run.branch), found.refs.get(run.branch)
        if run.state not in {"open", "paused"} or tip is None or tip == there:
            continue
        if there is not None and not _is_before(workspace, there, tip):
            raise RemoteError(
                f"{found.address.name} has another {run.branch}, which is the run's here",
                kind="moved", hint=f"if nobody needs it: git push {quote(found.address.url)} "
                f":{run.branch}", ref=run.branch,
            )  # fmt: skip
        yield RemoteUpdate(run.branch, tip, there)


def _is_before(workspace: Workspace, old: str, new: str) -> bool:
    return workspace.repo.has_commit(old) and workspace.repo.is_ancestor(old, new)


def _kept(workspace: Workspace, names: Names) -> Iterator[RemoteUpdate]:
    """Yield the work of earlier attempts that somebody may go on with."""
    for status in (Status.WAITING, Status.BLOCKED):
        for task in workspace.ledger.tasks(status):
            head = kept_head(workspace, task.id, task.attempt) if task.attempt else None
            if head is not None:
                yield RemoteUpdate(names.keep(task.id, task.attempt), head, ANY)


def _push(workspace: Workspace, found: Found, updates: list[RemoteUpdate]) -> None:
    at = found.address
    done = remote.push(workspace.repo, at.url, updates, atomic=False, timeout=_PUSH_S)
    if done.outcome == "ok":
        return
    if done.outcome == "lost":
        refs = ", ".join(ref for ref, (status, _) in done.per_ref.items() if status == "lost")
        raise RemoteError(
            f"{at.name} has another {refs} than this ledger knows of", kind="moved",
            hint="look what it is: git ls-remote; doing it again tells more",
        )
    if done.trouble is not None:
        raise reaching.failure(at, done.trouble)
    raise RemoteError(
        f"{at.name} did not take the ledger: {done.said[:400]}", kind="refused",
        hint=f"wfledger remote probe {quote(at.name)}",
    )
