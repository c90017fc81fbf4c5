"""The scratch world of a torture of many machines: a hub, and clones that share a ledger by it.

Each clone has a home, a state home, a wall clock and a way to the hub of its own. What the workers
write down lies beside them all.
"""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wfledger.clock import SKEW, Clock
from wfledger.core.policy import Policy, RemotePolicy
from wfledger.errors import EnvironmentFailedError
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.hubs import Hub, Kind
from wfledger.run.chaos.links import Link, is_inside
from wfledger.run.chaos.proxy import Proxy
from wfledger.run.chaos.scene import Job, Scene, furnish_notes, plan, start_repository, submit
from wfledger.run.chaos.servers import HERE
from wfledger.run.setup import initialise

#: As often as a server of one's own may be asked, and the lease that leaves room for turns.
_INTERVAL_S: Final = 1.0
_LEASE_S: Final = 3.0
_SHORTEST_S: Final = 10.0
_DAY_S: Final = 86_400
#: One machine of so many may be gone for good.
_ALONE: Final = 4


@dataclass
class Clone(Scene):
    """One machine."""

    number: int = 0
    #: The folder that all machines share with whoever watches; no machine looks there.
    world: Path = Path()
    #: Seconds by which its wall clock is wrong.
    skew_s: int = 0
    #: What stands between it and the hub; None where the hub is a path.
    proxy: Proxy | None = None
    #: How it is joined to the hub where it is in a network of its own.
    link: Link | None = None
    #: Whether it sleeps.
    is_asleep: bool = False
    #: Whether people work at other machines only: it may be gone for good one day.
    is_alone: bool = False
    #: What its git needs to know of the server.
    client: dict[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> Path:
        """Where workers and claimers of all machines write down what they do."""
        return self.world / "notes"

    @property
    def name(self) -> str:
        """What it is called in the notes."""
        return self.folder.name

    @property
    def is_there(self) -> bool:
        """Whether it does anything just now."""
        return not self.is_off and not self.is_asleep

    def environment(self) -> dict[str, str]:
        """Return the environment of each of its processes."""
        return {**super().environment(), **self.client, SKEW: str(self.skew_s)}

    def inside(self, argv: list[str]) -> list[str]:
        """Return what runs *argv* in its network."""
        return argv if self.link is None else self.link.inside(argv)


@dataclass
class World:
    """All machines and their hub."""

    folder: Path
    clock: Clock
    hub: Hub
    clones: list[Clone] = field(default_factory=list)
    #: Tasks whose adding was acknowledged, and what each writes.
    jobs: dict[str, Job] = field(default_factory=dict)
    #: Tasks that somebody wanted to be cancelled: they may be done, or not.
    unwanted: set[str] = field(default_factory=set)

    #: After so much silence a machine loses what it has.
    lease_s: float = _SHORTEST_S

    @property
    def notes(self) -> Path:
        """Where workers and claimers write down what they do."""
        return self.folder / "notes"

    @property
    def partitions(self) -> str:
        """What cuts machines off from the hub."""
        if self.hub.server is None:
            return "nothing: the hub is a path"
        return "network namespaces" if self.clones[0].link is not None else "TCP proxies"

    def remove(self) -> None:
        """Take everything away again."""
        for clone in self.clones:
            if clone.proxy is not None:
                clone.proxy.close()
            if clone.link is not None:
                clone.link.close()
        self.hub.down()
        shutil.rmtree(self.folder, ignore_errors=True)


def build(clock: Clock, chance: Chance, kind: Kind, *, clones: int, jobs: list[Job]) -> World:
    """Make the hub and the clones, share a ledger, and submit the plan on the first of them.

    Raises `EnvironmentFailedError` where that cannot be done; nothing is left then.
    """
    folder = Path(tempfile.mkdtemp(prefix="wfledger-torture-")).resolve()
    try:
        lease_s = max(_SHORTEST_S, _LEASE_S * clones)
        world = World(folder, clock, Hub(folder / "hub", kind), lease_s=lease_s)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        furnish_notes(world.notes)
        alone = chance.some_of(range(clones), clones // _ALONE)
        for number in range(clones):
            skew = chance.one_of((0, -_DAY_S, _DAY_S, 3600, -47))
            world.clones.append(_clone(world, number, skew))
            world.clones[-1].is_alone = number in alone
        first = world.clones[0]
        submit(first, jobs)
        world.jobs |= first.jobs
    except BaseException:
        world.remove()
        raise
    return world


def jobs_of(chance: Chance, *, tasks: int, mean_s: float) -> list[Job]:
    """Return the plan of a torture of many machines; its workers leave nothing behind."""
    return [job._replace(leaves_child=False) for job in plan(chance, tasks=tasks, mean_s=mean_s)]


def _clone(world: World, number: int, skew_s: int) -> Clone:
    hub = world.hub
    link = Link(number) if hub.port is not None and is_inside() else None
    host = HERE if link is None else link.address
    proxy = Proxy(hub.port, at=host) if hub.port is not None else None
    clone = Clone(
        world.folder / "clones" / str(number), world.clock, number=number, world=world.folder,
        skew_s=skew_s, proxy=proxy, link=link, client=hub.client(),
    )  # fmt: skip
    for path in (clone.disk, clone.logs, clone.tmp, clone.folder / "home"):
        path.mkdir(parents=True)
    port = proxy.port if proxy is not None else None
    home = clone.folder / "home"
    # Not git's own store, which forgets a password as soon as a server refuses it once.
    helper = home / "credentials.sh"
    helper.write_text(hub.credentials())
    helper.chmod(0o755)
    (home / ".gitconfig").write_text(
        "[user]\n\tname = torture\n\temail = torture@example.invalid\n"
        f"[credential]\n\thelper = {helper}\n"
    )
    if number == 0:
        clone.repo.mkdir()
        start_repository(clone)
        clone.git("remote", "add", "origin", hub.url(port, host))
        clone.git("push", "--quiet", "origin", "main")
        policy = Policy(
            lease_s=world.lease_s, claim_grace_s=2.0, offer_ttl_s=5.0,
            remote=RemotePolicy(interval_s=_INTERVAL_S),
        )  # fmt: skip
        initialise(clone.repo, clock=world.clock, policy=policy)
        _verb(clone, "remote", "set", "origin")
    else:
        first = world.clones[0]
        first.call("git", "clone", "--quiet", "--no-local", str(hub.repo), str(clone.repo))
        clone.git("remote", "set-url", "origin", hub.url(port, host))
        _verb(clone, "join", "--trust")
    return clone


def _verb(clone: Clone, *args: str) -> None:
    status, said = clone.verb(*args)
    if status != 0:
        raise EnvironmentFailedError(f"wfledger {' '.join(args)}: {said.get('message', said)}")
