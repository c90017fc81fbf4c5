"""How a worker is kept apart: the keys of fleet.toml about sandbox, network and isolation.

`[defaults]` says it for command tasks, worktree setup, checks and the gate; a role starts from
there and says what differs. What cannot be held together is refused when the file is read.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, cast

from wfledger.core.documents import Confined
from wfledger.run.config.settings import Reader

#: What a sandbox hides of a home where fleet.toml does not say what: keys and credentials.
HIDDEN: Final = (
    "~/.ssh", "~/.gnupg", "~/.aws", "~/.azure", "~/.kube", "~/.docker", "~/.netrc",
    "~/.git-credentials", "~/.config/gh", "~/.config/gcloud",
)  # fmt: skip
_ONLY_INSIDE: Final = ("network", "writable", "readable", "hidden")

Sandboxed = Literal["none", "bwrap", "own"]
Isolation = Literal["worktree", "clone"]


@dataclass(frozen=True)
class Confinement:
    """What fleet.toml says of one kind of worker."""

    #: `own`: an agent's program shuts itself in; `auto`: the best that this machine and the agent
    #: have (`run.workers.confining` decides).
    sandbox: Sandboxed | Literal["auto"] = "none"
    #: Whether it reaches the network; always, without a sandbox.
    network: bool = True
    isolation: Isolation = "worktree"
    #: Paths outside of its worktree that a sandboxed worker may write: `/…` or `~/…`.
    writable: tuple[str, ...] = ()
    #: Paths that a sandboxed worker cannot read.
    hidden: tuple[str, ...] = HIDDEN
    #: Paths that a sandboxed worker reads although they lie in /tmp or /run, where nothing is seen.
    readable: tuple[str, ...] = ()

    @property
    def seen(self) -> tuple[str, ...]:
        """Paths that are there besides what every sandbox shows."""
        return (*self.readable, *self.writable)

    @property
    def settled(self) -> Sandboxed:
        """Which sandbox it is; `ValueError` where nobody has decided that yet."""
        if self.sandbox == "auto":
            raise ValueError("nobody has decided yet how it is kept apart")
        return self.sandbox

    def without_network(self) -> "Confinement":
        """Return the same with no network, where a sandbox can keep it away."""
        return replace(self, network=False) if self.sandbox == "bwrap" else self

    def noted(self, isolation: Isolation) -> Confined:
        """Return what goes into the result of an attempt that was run so, in such a place."""
        return Confined(sandbox=self.settled, network=self.network, isolation=isolation)


UNCONFINED: Final = Confinement()


def read_confinement(
    table: Reader, base: Confinement = UNCONFINED, *, is_agent: bool = False
) -> Confinement:
    """Read the keys of *table*; what it does not say is as in *base*.

    An agent that nothing is said of is shut in as well as it can be.
    """
    known = ("none", "bwrap", "own") if is_agent else ("none", "bwrap")
    preset = "auto" if is_agent and base.sandbox == "none" else base.sandbox
    sandbox = table.choice("sandbox", known, preset)
    boxed = sandbox in {"bwrap", "auto"}
    # A commit in a linked worktree writes to the directory that all worktrees share.
    apart = "clone" if sandbox != "none" else base.isolation
    isolation = table.choice("isolation", ("worktree", "clone"), apart)
    if boxed and isolation == "worktree":
        table.wrong("isolation", 'must be "clone" with sandbox = "bwrap"; it is when left out')
    network = table.flag("network")
    if is_agent and network is False:
        table.wrong("network", "an agent reaches its model over the network")
    writable, readable, hidden = (table.each(key, _path_problem) for key in _ONLY_INSIDE[1:])
    for key in _ONLY_INSIDE:
        if table.has(key) and not boxed:
            table.wrong(key, 'has no effect without sandbox = "bwrap"')
    found = replace(
        base,
        sandbox=cast("Literal[Sandboxed, 'auto']", sandbox), isolation=cast("Isolation", isolation),
        network=(base.network or is_agent) if network is None else network,
        writable=(*base.writable, *writable), readable=(*base.readable, *readable),
        hidden=hidden if table.has("hidden") else base.hidden,
    )
    return found if boxed else Confinement(found.sandbox, isolation=found.isolation)



def _path_problem(path: str) -> str | None:
    if not path.startswith(("/", "~/")) or ".." in Path(path).parts:
        return "must begin with / or ~/ and hold no .."
    return None
