"""The processes of a torture: supervisors, claimers and the user's git, started again when killed.

Every process descends from this one, whatever dies in between: orphans come here (subreaper), so
they are found without their help.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.scene import Scene
from wfledger.run.processes import proctree
from wfledger.run.processes.proctree import Process

Kind = Literal["supervisor", "claimer", "user", "git", "worker"]
#: Statuses by which a process may end: done, failed and said so, degraded, a person, busy, ended.
EXPECTED: Final = frozenset({0, 1, 9, 10, 75, 130, -signal.SIGKILL, -signal.SIGTERM})
_REST_S: Final = (0.1, 1.5)
#: How often a machine is looked through for what it has just started.
_LOOKS: Final = 6


@dataclass
class Member:
    """One process that the torture started, and what it is started again with."""

    kind: Kind
    name: str
    argv: list[str]
    #: Where it works.
    scene: Scene
    #: None for what is not started again.
    again: bool = True
    process: "subprocess.Popen[bytes] | None" = None
    #: When it is to be started again.
    due: float = 0.0
    #: Where its output lies.
    log: Path = Path("/dev/null")


@dataclass
class Fleet:
    """All processes of a torture."""

    scene: Scene
    chance: Chance
    members: list[Member] = field(default_factory=list)
    #: (name of the member, exit status) of what ended by itself, for the report.
    ended: "Counter[str]" = field(default_factory=Counter)
    #: What ended in a way that it never should.
    odd: list[str] = field(default_factory=list)
    started: int = 0

    def enlist(
        self, kind: Kind, name: str, argv: list[str], *, again: bool = True,
        scene: Scene | None = None,
    ) -> Member:  # fmt: skip
        """Start a process that is started again until `dismiss`, or once; *scene*: of its own."""
        scene = scene or self.scene
        member = Member(kind, name, argv, scene, again, log=scene.logs / f"{name}.log")
        self.members.append(member)
        self._start(member)
        return member

    def _start(self, member: Member) -> None:
        self.started += 1
        with member.log.open("ab") as log:
            member.process = subprocess.Popen(
                member.scene.inside(member.argv), cwd=member.scene.repo,
                env=member.scene.environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def look_after(self) -> None:
        """Reap what has ended, and start again what is due."""
        now = self.scene.clock.elapsed()
        for member in list(self.members):
            if member.process is not None and member.process.poll() is not None:
                self._ended(member, member.process.returncode, now)
            is_due = member.process is None and member.again and now >= member.due
            if is_due and not member.scene.is_off:
                self._start(member)
        self._reap_orphans()

    def _ended(self, member: Member, status: int, now: float) -> None:
        member.process = None
        member.due = now + self.chance.between(*_REST_S)
        self.ended[f"{member.kind} {status}"] += 1
        if member.kind in {"supervisor", "claimer"} and status not in EXPECTED:
            self.odd.append(f"{member.name} ended with {status}, see {member.log}")
        if not member.again:
            self.members.remove(member)

    def _reap_orphans(self) -> None:
        own = {member.process.pid for member in self.members if member.process is not None}
        for process in proctree.look().children(os.getpid()):
            if process.is_zombie and process.pid not in own:
                proctree.reap(process)

    def running(self) -> dict[Kind, list[Process]]:
        """Return every living process that descends from this one, by what it is."""
        table = proctree.look()
        known = {m.process.pid: m.kind for m in self.members if m.process is not None}
        found: dict[Kind, list[Process]] = {}
        queue: list[tuple[Process, Kind | None]] = [
            (child, None) for child in table.children(os.getpid())
        ]
        while queue:
            process, inherited = queue.pop()
            kind = known.get(process.pid) or _kind(process.pid, inherited)
            if not process.is_zombie:
                found.setdefault(kind, []).append(process)
            queue += [(child, kind) for child in table.children(process.pid)]
        return found

    def of_scene(self, scene: Scene) -> list[Process]:
        """Return the living processes of the members of one *scene*, with all that they started.

        Those whose members have died are known by where they stand.
        """
        table = proctree.look()
        own = {m.process.pid for m in self.members if m.process and m.scene is scene}
        queue = [(child, False) for child in table.children(os.getpid())]
        found = []
        while queue:
            process, is_ours = queue.pop()
            is_ours = is_ours or process.pid in own or proctree.stands_in(process.pid, scene.folder)
            if is_ours and not process.is_zombie:
                found.append(process)
            queue += [(child, is_ours) for child in table.children(process.pid)]
        return found

    def signal_scene(self, scene: Scene, number: int) -> list[Process]:
        """Send a signal to all that run in a scene, also to what they start meanwhile."""
        sent: dict[Process, None] = {}
        for _ in range(_LOOKS):
            fresh = [one for one in self.of_scene(scene) if one not in sent]
            if not fresh:
                break
            sent |= {one: None for one in fresh if proctree.send(one, number)}
        return list(sent)

    def wind_up(self) -> None:
        """Start nothing again, and ask those to end who would not by themselves."""
        for member in self.members:
            member.again = False
            if member.process is not None and "daemon" in member.argv:
                member.process.terminate()

    def dismiss(self, *, grace_s: float = 10.0) -> None:
        """End everything that the torture started, and all that came of it."""
        clock = self.scene.clock
        for member in self.members:
            member.again = False
        deadline = clock.elapsed() + grace_s
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        while any(self.running().values()):
            if clock.elapsed() > deadline:
                self._signal(signal.SIGKILL)
            clock.wait(0.05)
            self.look_after()
        self.look_after()

    def _signal(self, number: int) -> None:
        for found in self.running().values():
            for process in found:
                proctree.send(process, number)


def _kind(pid: int, inherited: Kind | None) -> Kind:
    """Say what a process is that no member is: by its program, its environment, its parent."""
    name = ""
    with suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    if inherited == "user":
        return "user"
    if name.startswith("git"):
        return "git"
    with suppress(OSError):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        if b"\0WFLEDGER_ATTEMPT=" in b"\0" + environment:
            return "worker"
    return inherited or "worker"


def supervisor(scene: Scene, *, workers: int, verb: str) -> list[str]:
    """Return the argument vector of a supervisor: `run` of the scene's run, or `daemon`."""
    what = [scene.run] if verb == "run" else []
    return scene.command(verb, *what, "--workers", str(workers))


def claimer(scene: Scene, name: str) -> list[str]:
    """Return the argument vector of a claimer."""
    return [sys.executable, "-m", "wfledger.run.chaos.claimer", str(scene.notes), name]
