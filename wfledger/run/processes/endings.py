"""How a process tree is ended: asked, given a grace, then killed until nothing is left.

`JobTree` sees every process of a job through /proc. `GroupTree` is for systems without /proc: it
reaches the process group only, so what has left the group survives (`capabilities` says so).
"""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from wfledger.clock import Clock
from wfledger.run.processes import proctree
from wfledger.run.processes.proctree import LOOKS, Process

#: Rounds of stopping what is new, before anything is killed; a fork bomb stands still long before.
_FREEZE_ROUNDS: Final = 64
#: Looks at what SIGKILL left, 50 ms apart, before the tree is reported as not ended.
_KILL_LOOKS: Final = 200
_POLL_S: Final = 0.05

#: Tries to hit, in each round, what is never alive long enough to be seen.
_CHASES: Final = 500

#: Lets at most that many seconds pass.
Pause = Callable[[float], None]


@dataclass(frozen=True)
class Glimpse:
    """What one look at a tree found."""

    #: Pids that run.
    running: tuple[int, ...]
    #: Pids that had ended since the last look.
    ended: tuple[int, ...] = ()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing runs, nor ran a moment ago and may have started something since."""
        return not self.running and not self.ended


@dataclass(frozen=True)
class Signs:
    """What tells whether a tree works."""

    #: CPU time of all of it so far.
    cpu_s: float = 0.0
    pids: frozenset[int] = frozenset()
    #: Whether each of its processes is stopped by a signal.
    is_halted: bool = False


class Tree(Protocol):
    """The processes of one job."""

    def look(self) -> Glimpse:
        """Return what there is now; what has ended is reaped on the way."""

    def signal(self, number: int) -> None:
        """Send *number* to everything that runs."""

    def kill(self) -> None:
        """Stop everything first, so that nothing is started meanwhile, then SIGKILL it."""


class JobTree:
    """The processes of the job with a tag; *root* is its first process, an unreaped child.

    As long as the root is not waited for, the kernel gives its number to no other process, group
    or session: membership by session cannot hit a stranger.
    """

    def __init__(
        self, tag: str, *, root: Process | None, clock: Clock, is_wrapped: bool = False
    ) -> None:
        self._tag = tag
        self._mark = proctree.mark_of(tag)
        self._root = root
        self._clock = clock
        #: Whether the root only waits for a sandbox, which dies with it at once.
        self._is_wrapped = is_wrapped
        self._spared = proctree.lineage()
        #: What was seen to belong, by pid and start: descent is lost when a parent ends.
        self._known: dict[int, int] = {}

    def members(self, table: proctree.Table) -> list[Process]:
        """Return the processes of *table* that belong, zombies too, the root not."""
        found: dict[int, Process] = {}
        queue = self._certain(table)
        while queue:
            process = queue.pop()
            if process.pid not in found and process.pid not in self._spared:
                found[process.pid] = process
                queue.extend(table.children(process.pid))
        for pid in found.keys() - self._known.keys():
            # A job inside this one has its own marks, which stay.
            if table.owner(found[pid]) in {0, self._mark}:
                proctree.set_mark(pid, self._tag)
        self._known = {process.pid: process.started for process in found.values()}
        if self._root is not None:
            found.pop(self._root.pid, None)
        return list(found.values())

    def watch(self, *, age_s: float) -> Signs:
        """Return the signs of life of the tree, from a look of about *age_s* ago.

        Reaps on the way, so that a long job collects no zombies.
        """
        table = LOOKS.recent(self._clock, age_s=age_s)
        members = self.members(table)
        for process in members:
            proctree.reap(process)
        if self._root is not None and self._root.pid in table.processes:
            members.append(table.processes[self._root.pid])
        running = [one for one in members if not one.is_zombie]
        return Signs(
            cpu_s=sum(one.cpu_s for one in members), pids=frozenset(one.pid for one in members),
            is_halted=bool(running) and all(one.is_stopped for one in running),
        )  # fmt: skip

    def look(self) -> Glimpse:
        """See `Tree.look`; includes the root while it runs."""
        running, ended = self._look()
        return Glimpse(tuple(one.pid for one in running), tuple(one.pid for one in ended))

    def signal(self, number: int) -> None:
        """See `Tree.signal`."""
        root = self._root.pid if self._root is not None and self._is_wrapped else None
        for process in self._look()[0]:
            if process.pid != root:
                proctree.send(process, number)

    def kill(self) -> None:
        """See `Tree.kill`."""
        frozen: dict[tuple[int, int], Process] = {}
        for _ in range(_FREEZE_ROUNDS):
            running, _ = self._look()
            new = {(one.pid, one.started): one for one in running}
            for identity in new.keys() & frozen.keys():
                del new[identity]
            if not new:
                break
            for process in new.values():
                proctree.send(process, signal.SIGSTOP)
            frozen.update(new)
        for process in frozen.values():
            proctree.send(process, signal.SIGKILL)
        if not frozen:
            self._chase()

    def _chase(self) -> None:
        """Kill what forks and ends faster than /proc can be read: only its zombies were seen."""
        for _ in range(_CHASES):
            if proctree.kill_newest_orphan(self._mark):
                return

    def _look(self) -> tuple[list[Process], list[Process]]:
        """Return the members that run, and the ones that had ended and were reaped now."""
        table = LOOKS.fresh(self._clock)
        running, ended = [], []
        for process in self.members(table):
            if not process.is_zombie:
                running.append(process)
            elif proctree.reap(process):
                ended.append(process)
        root = table.processes.get(self._root.pid) if self._root is not None else None
        if root is not None and not root.is_zombie:
            running.append(root)
        return running, ended

    def _certain(self, table: proctree.Table) -> list[Process]:
        """Return the members that are known without looking at their parents."""
        root = self._root
        certain = table.owned(self._mark, since=root.started if root is not None else 0)
        if root is not None:
            # The root's own entry leads to its children, in whatever session they are.
            certain += [one for one in (table.processes.get(root.pid),) if one is not None]
            certain += table.session(root.pid)
        for pid, started in self._known.items():
            process = table.processes.get(pid)
            if process is not None and process.started == started:
                certain.append(process)
        return certain


class GroupTree:
    """The process group of *root*, which is a child that was started as its leader."""

    def __init__(self, root: "subprocess.Popen[bytes]") -> None:
        self._root = root

    def look(self) -> Glimpse:
        """See `Tree.look`; one pid, the group's, stands for all."""
        if self._root.poll() is not None:
            with suppress(ChildProcessError):
                while os.waitpid(-self._root.pid, os.WNOHANG)[0]:
                    pass
        try:
            os.killpg(self._root.pid, 0)
        except PermissionError:  # macOS says so of a group of zombies
            return Glimpse((self._root.pid,) if self._root.poll() is None else ())
        except ProcessLookupError:
            return Glimpse(())
        return Glimpse((self._root.pid,))

    def signal(self, number: int) -> None:
        """See `Tree.signal`."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._root.pid, number)

    def kill(self) -> None:
        """See `Tree.kill`; one call reaches the whole group, so nothing is stopped before."""
        self.signal(signal.SIGKILL)


def end(tree: Tree, *, grace_s: float, clock: Clock, pause: Pause) -> tuple[int, ...]:
    """End *tree*: SIGTERM, *grace_s*, SIGKILL; return the pids that outlived even that.

    Such are in an uninterruptible wait of the kernel, or belong to another user.
    """
    tree.signal(signal.SIGTERM)
    tree.signal(signal.SIGCONT)
    deadline = clock.elapsed() + grace_s
    step = 0.002
    while clock.elapsed() < deadline:
        if tree.look().is_quiet:
            break
        pause(min(step, max(deadline - clock.elapsed(), 0.0)))
        step = min(step * 2, _POLL_S)
    return _kill(tree, pause)


def _kill(tree: Tree, pause: Pause) -> tuple[int, ...]:
    step = 0.001
    clean = 0
    sight = Glimpse(())
    for _ in range(_KILL_LOOKS):
        sight = tree.look()
        clean = clean + 1 if sight.is_quiet else 0
        # One quiet look may have missed a process that forks and ends while /proc is read.
        if clean == 2:
            return ()
        if not sight.is_quiet:
            tree.kill()
            pause(step)
            step = min(step * 2, _POLL_S)
    return sight.running or sight.ended
