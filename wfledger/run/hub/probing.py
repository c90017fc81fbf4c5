"""What a server lets this user do, as far as it matters for a ledger."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.errors import RemoteError
from wfledger.run.hub import reaching
from wfledger.run.hub.names import Space
from wfledger.run.hub.reaching import Address
from wfledger.vcs import probing
from wfledger.vcs.probing import Probe
from wfledger.vcs.repo import Repository

#: From so many refs on each push takes noticeably longer, for servers send all of them first.
_MANY_REFS: Final = 2000


@dataclass(frozen=True)
class Means:
    """How a ledger can be kept at a remote."""

    space: Space
    #: Whether the server moves several refs all or none.
    atomic: bool
    #: What people should know of it.
    notes: tuple[str, ...] = ()
    #: All that was tried out, for programs.
    probe: Probe | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `--json` prints."""
        tried = {} if self.probe is None else self.probe.as_json()
        return {**tried, "space": self.space, "atomic": self.atomic, "notes": list(self.notes)}


def probe(repo: Repository, at: Address, *, clock: Clock, prefer: Space | None = None) -> Means:
    """Try out with scratch refs what the server at a remote lets this user do.

    *prefer* is the space that the ledger is in there already: no other will do. Raises
    `RemoteError` where it cannot hold a ledger, `UnreachableError` where nobody answers.
    """
    spaces = probing.SPACES if prefer is None else (prefer,)
    found = probing.probe(repo, at.url, clock=clock, timeout=reaching.CALL_S, spaces=spaces)
    if found.trouble is not None:
        raise reaching.failure(at, found.trouble)
    if found.space is None:
        words = "; ".join(found.refused.values())
        raise RemoteError(
            f"{at.name} takes no refs of a ledger{f': {words}' if words else ''}", kind="refused",
            hint="let the server's rules (hooks, protected branches) allow refs/wfledger/*",
        )
    if not found.branches:
        raise RemoteError(
            f"{at.name} takes no branches like wf/RUN, which results land on", kind="refused",
            hint="let the server's rules (hooks, protected branches) allow refs/heads/wf/*",
        )
    return Means(found.space, found.atomic, tuple(_notes(at, found)), found)


def _notes(at: Address, found: Probe) -> Iterator[str]:
    for space, words in found.refused.items():
        yield f"{at.name} takes no refs of the kind {space}: {words}"
    if not found.atomic:
        yield f"{at.name} moves refs one by one, so a landing takes several pushes"
    if not found.deletes:
        yield f"{at.name} lets nobody delete refs: those of kept work stay there for ever"
    if found.refs > _MANY_REFS:
        yield f"{at.name} has {found.refs} refs and sends all of them before each push: it is slow"
    if found.leftover:
        yield f"left behind there, to be removed: {', '.join(found.leftover)}"
