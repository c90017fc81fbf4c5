"""What people and workers of several machines do at random, from a seed."""

import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.support.sharing import granting, reopened
from tests.support.workspaces import add_task, open_workspace
from wfledger.core.documents import Result, Task
from wfledger.core.statuses import Actor, Status
from wfledger.errors import WfledgerError
from wfledger.run.attempts.claims import claim
from wfledger.run.attempts.closing import close
from wfledger.run.byhand.adopting import Adopter
from wfledger.run.commit import TRANSITION, transition_of
from wfledger.run.hub import losses
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.workspace import Workspace

#: Task, status, attempt, author, reason.
Said = tuple[str, str, int, str, str]
_OPS = ("add", "claim", "claim", "end", "end", "cancel", "edit", "retry", "mv", "pause", "config")


class Chance:
    """One machine's people and workers; remembers what was acknowledged to them."""

    def __init__(self, workspace: Workspace, rng: random.Random) -> None:
        self.workspace = workspace
        self._rng = rng
        #: What was acknowledged, by what the history or the losses have to say of it.
        self.told: Counter[Said] = Counter()
        self._serial = 0

    def act(self) -> str:
        """Do one thing; what is refused is no failure."""
        name, log = self._rng.choice(_OPS), self.workspace.ledger.journal
        before = len(list(log.records()))
        try:
            getattr(self, f"_{name}")()
        except (WfledgerError, FileNotFoundError, IndexError):
            name = f"{name} (refused)"
        fresh = list(log.records())[before:]
        self.told.update(
            (r["task"], r["to"], r["attempt"], r["by"], r["why"])
            for r in fresh if r["kind"] != "file"
        )  # fmt: skip
        return name

    def _one(self, *statuses: Status) -> Task:
        ledger = self.workspace.ledger
        found = [task for status in statuses for task in ledger.tasks(status)]
        return self._rng.choice(sorted(found, key=lambda task: task.id))

    def _mine(self, status: Status) -> Task:
        here = self.workspace.machine.id
        found = [t for t in self.workspace.ledger.tasks(status) if t.grant and t.grant.machine == here]
        return self._rng.choice(sorted(found, key=lambda task: task.id))

    def _add(self) -> None:
        self._serial += 1
        add_task(self.workspace, f"{self.workspace.main.name}-{self._serial}")

    def _claim(self) -> None:
        claim(self.workspace, worker="w", task_id=self._mine(Status.PENDING).id)

    def _mv(self) -> None:
        """Claim as a shell does, and be seen."""
        task = self._mine(Status.PENDING)
        layout = self.workspace.ledger.layout
        layout.task(Status.PENDING, task.id).rename(layout.task(Status.IN_PROGRESS, task.id))
        record = f"worker sh\nmachine {self.workspace.machine.id}\npid 1\nboot \ntoken-sha256 \n"
        layout.claim(task.id, task.attempt).write_text(record)
        if self._rng.random() < 0.7:
            Adopter(self.workspace).step()

    def _end(self) -> None:
        task = self._mine(Status.IN_PROGRESS)
        result = Result(task=task.id, attempt=task.attempt, status="failed")
        if self._rng.random() < 0.5:
            result = result.but(status="succeeded")
        close(self.workspace, result, by="w")

    def _cancel(self) -> None:
        task = self._one(Status.WAITING, Status.PENDING, Status.BLOCKED)
        with self.workspace.ledger.transaction("people") as changes:
            changes.move(task.id, Status.CANCELLED, actor=Actor.PERSON, why="not needed")

    def _edit(self) -> None:
        task = self._one(Status.WAITING, Status.BLOCKED)
        with self.workspace.ledger.transaction("people") as changes:
            changes.update(task.id, why="said", answers=(*task.answers, self._rng.choice("abc")))

    def _retry(self) -> None:
        task = self._one(Status.BLOCKED)
        with self.workspace.ledger.transaction("people") as changes:
            changes.move(task.id, Status.WAITING, actor=Actor.PERSON, why="retry", block=None)

    def _pause(self) -> None:
        run = self._rng.choice(self.workspace.ledger.runs())
        state = "paused" if run.state == "open" else "open"
        with self.workspace.ledger.transaction("people") as changes:
            changes.put_run(run.but(seq=run.seq + 1, state=state), why=state)

    def _config(self) -> None:
        text = f"# {self.workspace.main.name} {self._rng.random()}\n"
        with self.workspace.ledger.transaction("people") as changes:
            changes.put_file("fleet.toml", text.encode(), why="edited")


def meet_at(root: Path, seed: int) -> None:
    """Meet the remote as a new process would, asking for some of what waits."""
    workspace, rng = open_workspace(root), random.Random(seed)

    def some(workspace: Workspace, sight: Sight) -> list[Proposal]:
        return [one for one in granting(workspace, sight) if rng.random() < 0.5]

    meet(workspace, (some,), timeout_s=20)


def vanished(machines: Iterable[Chance]) -> list[Said]:
    """Return what was acknowledged and is neither in the history nor said to be lost."""
    machines = list(machines)
    told: Counter[Said] = sum((one.told for one in machines), Counter())
    found: Counter[Said] = Counter()
    workspace = reopened(machines[0].workspace)
    for info in workspace.repo.walk(workspace.history.tip() or ""):
        for value in info.values(TRANSITION):
            said = transition_of(value)
            if said is not None:
                found[said.task, said.target, said.attempt, said.by, said.why] += 1
    for machine in machines:
        for lost in losses.read(machine.workspace):
            found[lost.task, lost.target, lost.attempt, lost.by, lost.why] += 1
    # A cancellation is made anew on what the task has become, and two of them may be one.
    cancelled = {name for name, status, *_ in found if status == Status.CANCELLED.value}
    return [
        said for said, count in told.items()
        if found[said] < count and not (said[1] == Status.CANCELLED.value and said[0] in cancelled)
    ]  # fmt: skip
