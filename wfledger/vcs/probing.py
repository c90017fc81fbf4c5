"""What a server lets this user do, tried out on scratch refs that are removed again.

Some six pushes: a forge's limit for a minute. What cannot be removed, because the server was gone
by then, is named, and removed by a later probe.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from wfledger.clock import Clock
from wfledger.vcs.history import AUTHOR
from wfledger.vcs.remote import Listing, Pushed, RemoteUpdate, Trouble, listing, push
from wfledger.vcs.repo import Repository

Space = Literal["hidden", "branches"]
SPACES: Final[tuple[Space, ...]] = ("hidden", "branches")
_SCRATCH: Final[dict[Space, str]] = {
    "hidden": "refs/wfledger/probe/",
    "branches": "refs/heads/wfledger-probe/",
}
_BRANCH: Final = "refs/heads/wf/probe-"
#: Hours after which a scratch ref is nobody's any more, whatever the clocks say.
_OLD_H: Final = 48
_STAMP: Final = re.compile(r"(\d{6,8})-[0-9a-f]{12}(?:/|\Z)")


@dataclass(frozen=True)
class Probe:
    """What a server is good for. `trouble` says why it is good for nothing, else it is None."""

    trouble: Trouble | None = None
    #: The first space of names that works; and the server's words about those that do not.
    space: Space | None = None
    refused: dict[Space, str] = field(default_factory=dict)
    #: Whether its refs can be read, and moved, by this user.
    reads: bool = False
    writes: bool = False
    #: Whether it moves several refs all or none.
    atomic: bool = False
    #: Whether a ref may move to what does not descend from what it was.
    rewrites: bool = False
    #: Whether refs may be deleted.
    deletes: bool = False
    #: Whether branches called wf/... may be made.
    branches: bool = False
    #: How many refs it has; it sends them all before each push.
    refs: int = 0
    #: Seconds that reading its refs takes, and a push.
    read_s: float = 0.0
    write_s: float = 0.0
    #: Scratch refs that are still there.
    leftover: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `--json` prints."""
        return asdict(self)


def probe(
    repo: Repository,
    url: str,
    *,
    clock: Clock,
    timeout: float = 30,
    spaces: Sequence[Space] = SPACES,
) -> Probe:
    """Try out the server at *url*, in the first of *spaces* that works; *timeout* is of each call.

    Scratch refs are removed however it ends, unless the server is gone or takes no deletions.
    """
    begun = clock.elapsed()
    seen = listing(repo, url, timeout=timeout)
    if isinstance(seen, Trouble):
        return Probe(trouble=seen)
    known = Probe(reads=True, refs=len(seen.refs), read_s=round(clock.elapsed() - begun, 3))
    refused: dict[Space, str] = {}
    last: Trouble | None = None
    for space in spaces:
        trial = _Trial(repo, url, space, clock, timeout=timeout)
        try:
            found = trial.run()
        finally:
            deletes, leftover = trial.clean()
        if not isinstance(found, Trouble):
            return Probe(
                space=space, refused=refused, reads=True, writes=True, refs=known.refs,
                read_s=known.read_s, deletes=deletes, leftover=leftover, **found,
            )  # fmt: skip
        last, refused[space] = found, found.message
        if found.passes or leftover:
            break
    return Probe(trouble=last, refused=refused, reads=True, refs=known.refs, read_s=known.read_s,
                 leftover=leftover if refused else ())  # fmt: skip


class _Trial:
    """The life of scratch refs in one space."""

    def __init__(
        self, repo: Repository, url: str, space: Space, clock: Clock, *, timeout: float
    ) -> None:
        self._repo, self._url, self._clock, self._timeout = repo, url, clock, timeout
        self._prefix = _SCRATCH[space]
        hours = int(clock.now().timestamp()) // 3600
        token = clock.token()[:12]
        self._ref = f"{self._prefix}{hours:07d}-{token}"
        self._second = f"{self._ref}-2"
        self._branch = f"{_BRANCH}{token}"
        self._hours = hours

    def run(self) -> dict[str, Any] | Trouble:
        """Return what works, or why this space is no good."""
        begun = self._clock.elapsed()
        at = self._race()
        if isinstance(at, Trouble):
            return at
        write_s = round(self._clock.elapsed() - begun, 3)
        strange = self._push([RemoteUpdate(self._ref, self._commit(), self._commit())])
        if strange.outcome == "ok":
            return Trouble("protocol", "the server let a ref be overwritten from what it was not")
        moved = self._moved(at)
        if isinstance(moved, Trouble):
            return moved
        atomic = self._is_atomic()
        made = self._push([RemoteUpdate(self._branch, self._commit(), None)])
        return {"atomic": atomic, "rewrites": moved, "branches": made.outcome == "ok",
                "write_s": write_s}  # fmt: skip

    def clean(self) -> tuple[bool, tuple[str, ...]]:
        """Delete what there is of ours, and what earlier probes left; whether it went."""
        patterns = [f"{self._prefix}*", f"{_BRANCH}*"]
        there = listing(self._repo, self._url, patterns, timeout=self._timeout)
        if isinstance(there, Trouble):
            return False, (self._ref, self._second, self._branch)
        ours = [RemoteUpdate(ref, None, oid) for ref, oid in there.refs.items() if self._goes(ref)]
        done = self._push(ours)
        left = tuple(one.ref for one in ours if done.per_ref.get(one.ref, ("",))[0] != "ok")
        return not left, tuple(ref for ref in left if ref.startswith((self._ref, self._branch)))

    def _race(self) -> str | Trouble:
        """Let two create the same ref at the same moment: one may be told that it did."""
        rivals = [self._commit(), self._commit()]
        updates = [[RemoteUpdate(self._ref, oid, None)] for oid in rivals]
        with ThreadPoolExecutor(2) as both:
            ends = list(both.map(self._push, updates))
        winners = [oid for oid, end in zip(rivals, ends, strict=True) if end.outcome == "ok"]
        if len(winners) == 2:
            return Trouble("protocol", "the server told two rivals that each made the same ref")
        if winners:
            return winners[0]
        return next((end.trouble for end in ends if end.trouble is not None), _NOT_MADE)

    def _moved(self, at: str) -> bool | Trouble:
        """Move the ref by a right expectation: to anything, or where that is forbidden, forward."""
        done = self._push([RemoteUpdate(self._ref, self._commit(), at)])
        if done.outcome == "ok":
            return True
        if done.outcome == "refused":
            done = self._push([RemoteUpdate(self._ref, self._commit(at), at)])
        if done.outcome == "ok":
            return False
        return done.trouble or Trouble("protocol", f"the server does not move refs: {done.said}")

    def _is_atomic(self) -> bool:
        """Ask for one ref that can be made, and one that no server can make beside the first."""
        updates = [
            RemoteUpdate(self._second, self._commit(), None),
            RemoteUpdate(f"{self._ref}/below", self._commit(), None),
        ]
        done = push(self._repo, self._url, updates, atomic=True, timeout=self._timeout)
        if (
            done.outcome in {"ok", "unknown"}
            or done.trouble is None
            or done.trouble.kind == "atomic"
        ):
            return done.outcome == "ok"
        there = listing(self._repo, self._url, [self._second], timeout=self._timeout)
        return isinstance(there, Listing) and not there.refs

    def _push(self, updates: Sequence[RemoteUpdate]) -> Pushed:
        return push(self._repo, self._url, updates, atomic=False, timeout=self._timeout)

    def _commit(self, parent: str | None = None) -> str:
        empty = self._repo.objects.TreeBuilder().write()
        return self._repo.commit_tree(
            str(empty), [parent] if parent else [],
            message=f"Try out a server\n\nWfledger-Nonce: {self._clock.token()}\n",
            author=AUTHOR, when=self._clock.now(),
        )  # fmt: skip

    def _goes(self, ref: str) -> bool:
        if ref.startswith((self._ref, self._branch)):
            return True
        stamp = _STAMP.match(ref.removeprefix(self._prefix))
        return stamp is not None and int(stamp[1]) < self._hours - _OLD_H


_NOT_MADE: Final = Trouble("protocol", "the server made no ref and did not say why")
