"""What a server lets this user do, tried out with a scratch ref that is removed again."""

from dataclasses import dataclass
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.errors import RemoteError
from wfledger.run.hub import reaching
from wfledger.run.hub.names import Space
from wfledger.run.hub.reaching import Address
from wfledger.vcs import remote
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.remote import Pushed, RemoteUpdate
from wfledger.vcs.repo import Repository

#: Scratch refs by space: a name of wfledger's own in each.
_SCRATCH: Final[dict[Space, str]] = {
    "hidden": "refs/wfledger/probe/", "branches": "refs/heads/wfledger-probe/"
}  # fmt: skip


@dataclass(frozen=True)
class Means:
    """How a ledger can be kept at a remote."""

    space: Space
    #: Whether the server moves several refs all or none.
    atomic: bool
    #: What people should know of it.
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `--json` prints."""
        return {"space": self.space, "atomic": self.atomic, "notes": list(self.notes)}


def probe(repo: Repository, at: Address, *, clock: Clock, prefer: Space | None = None) -> Means:
    """Create, compare-and-swap and delete a scratch ref, in the first space that takes it.

    *prefer* is the space that the ledger is in there already: no other will do. Raises
    `RemoteError` where none takes it, `UnreachableError` where nobody answers.
    """
    notes: list[str] = []
    spaces = reaching.SPACES if prefer is None else (prefer,)
    refused: Pushed | None = None
    for space in spaces:
        done = _create(repo, at, space, clock)
        if isinstance(done, Means):
            return Means(done.space, done.atomic, (*notes, *done.notes))
        notes.append(f"{at.name} takes no refs like {_SCRATCH[space]}: {_why(done)}")
        refused = done
    if refused is not None and refused.trouble is not None:
        raise reaching.failure(at, refused.trouble)
    raise RemoteError("; ".join(notes), kind="refused")


def _create(repo: Repository, at: Address, space: Space, clock: Clock) -> Means | Pushed:
    """Go through the life of two scratch refs; returns the push that was refused, if one was."""
    one, other = (_scratch_commit(repo, clock) for _ in range(2))
    refs = [f"{_SCRATCH[space]}{clock.token()[:12]}" for _ in range(2)]
    made = [RemoteUpdate(ref, one, None) for ref in refs]
    done = remote.push(repo, at.url, made, atomic=True, timeout=reaching.CALL_S)
    atomic = done.outcome == "ok"
    if not atomic and "--atomic" in done.said:
        done = remote.push(repo, at.url, made, atomic=False, timeout=reaching.CALL_S)
    if done.outcome != "ok":
        return _unless_away(at, done)
    steps = [
        ("lost", [RemoteUpdate(refs[0], other, other)]),  # it must not be overwritten from there
        ("ok", [RemoteUpdate(refs[0], other, one)]),
        ("ok", [RemoteUpdate(refs[0], None, other), RemoteUpdate(refs[1], None, one)]),
    ]
    for wanted, updates in steps:
        done = remote.push(repo, at.url, updates, atomic=False, timeout=reaching.CALL_S)
        if done.outcome != wanted:
            return _unless_away(at, done)
    slow = () if atomic else (f"{at.name} moves refs one by one; a landing takes two pushes there",)
    return Means(space, atomic, slow)


def _unless_away(at: Address, done: Pushed) -> Pushed:
    if done.trouble is not None and done.trouble.passes:
        raise reaching.failure(at, done.trouble)
    return done


def _scratch_commit(repo: Repository, clock: Clock) -> str:
    empty = repo.objects.TreeBuilder().write()
    return repo.commit_tree(
        str(empty), [], message=f"Try out a remote\n\nWfledger-Nonce: {clock.token()}\n",
        author=AUTHOR, when=clock.now(),
    )


def _why(done: Pushed) -> str:
    if done.trouble is not None:
        return done.trouble.message
    return "it let a ref be overwritten" if done.outcome == "ok" else done.said[:200]
