"""Who is still there: a lock that a runtime holds, and a number that whoever lives raises.

An observer counts on its own clock how long something has not changed, and only while it could
see; no two clocks are compared and no pid is believed (WFL-CLAIM-030…038). Observations are kept
between processes of one boot.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from wfledger.core.documents import Task
from wfledger.core.hub import is_elsewhere
from wfledger.run.beating import beats, process_of, signed_by
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.locks import is_alive

#: What an observer remembers of a thing: its value, for how many seconds it has been that, and
#: when it was last looked at.
Seen = tuple[str, float, float]
_FOREVER: Final = float("inf")


@dataclass
class Observations:
    """For how long each observed thing has not changed, by this machine's clock of this boot."""

    path: Path
    tmp: Path
    boot: str
    now: float
    seen: dict[str, Seen]
    used: set[str]
    #: Runtimes that are stopped, once somebody has asked.
    stopped: frozenset[str] | None = None

    @classmethod
    def load(cls, workspace: Workspace) -> "Observations":
        """Read what earlier processes of this boot observed."""
        layout, boot = workspace.ledger.layout, workspace.machine.boot
        path = layout.local / "index" / "observed.json"
        try:
            data = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            data = {}
        seen = data.get("seen", {}) if data.get("boot") == boot else {}
        try:
            entries = {key: (str(one), float(age), float(at))
                       for key, (one, age, at) in seen.items()}  # fmt: skip
        except (ValueError, TypeError):
            entries = {}
        return cls(path, layout.tmp, boot, workspace.clock.awake(), entries, set())

    def age(self, key: str, value: object, *, at_most_s: float = _FOREVER) -> float:
        """Return for how many seconds *key* has been seen to have *value*.

        Between two looks no more than *at_most_s* counts: the machine may have slept meanwhile, and
        who would have changed the value with it.
        """
        self.used.add(key)
        known, age = self.seen.get(key), 0.0
        if known is not None and known[0] == str(value) and known[2] <= self.now:
            age = known[1] + min(self.now - known[2], at_most_s)
        self.seen[key] = (str(value), age, self.now)
        return age

    def save(self, *kinds: str) -> None:
        """Keep what was observed; of *kinds* (`offer`, `beat` …) only what was asked about now.

        Each observer names the kinds that it looks after, and so never forgets for another.
        """
        prefixes = tuple(f"{kind}:" for kind in kinds)
        kept = {
            key: value
            for key, value in self.seen.items()
            if key in self.used or not key.startswith(prefixes)
        }
        raw = json.dumps({"boot": self.boot, "seen": kept}).encode()
        atomic.replace(self.path, raw, tmp=self.tmp)


def stopped_runtimes(
    workspace: Workspace, observations: Observations, lease_s: float
) -> frozenset[str]:
    """Return the runtimes whose number has not changed for the lease (WFL-CLAIM-037).

    A renewal at least every half of the lease is never missed: that much of a gap counts at most.
    """
    if observations.stopped is None:
        ages = {
            name: observations.age(f"runtime:{name}", number, at_most_s=lease_s / 2)
            for name, number in beats(workspace).items()
        }
        folder = workspace.ledger.layout.beats
        observations.stopped = frozenset(
            # Of one that is dead only the number is left: it holds nothing that it signed.
            name for name, age in ages.items() if age >= lease_s and is_alive(folder / name)
        )
    return observations.stopped


def look_for_stopped(workspace: Workspace, *, remember: bool = True) -> frozenset[str]:
    """Return the runtimes that are stopped, as seen by all who looked; *remember* counts this look.

    Takes the ledger lock to remember.
    """
    lease_s = workspace.policy().lease_s
    if not remember:
        return stopped_runtimes(workspace, Observations.load(workspace), lease_s)
    with workspace.ledger.locks.hold("ledger"):
        observations = Observations.load(workspace)
        stopped = stopped_runtimes(workspace, observations, lease_s)
        observations.save("runtime")
    return stopped


Owner = Literal["alive", "dead", "expired", "unrecorded"]


def owner_of(workspace: Workspace, task: Task, observations: Observations, lease_s: float) -> Owner:
    """Say whether the claimant of an in-progress *task* is still there.

    `dead` is certain, told by the lock that a runtime held. `expired`: the runtime, or a claimant
    who drives himself, has not raised his number for the lease. `unrecorded`: nobody has said who
    it is. Of what another machine works on nothing is known here, and so it lives: only its silence
    at the remote says otherwise (WFL-HUB-052).
    """
    ledger, attempt = workspace.ledger, task.attempt
    if is_elsewhere(task, ledger.layout.machine):
        return "alive"
    if not ledger.is_claimed(task.id, attempt):
        return "unrecorded"
    live = ledger.layout.live(task.id, attempt)
    if has_runtime(workspace, task):
        if not is_alive(live):
            return "dead"
        stopped = signed_by(live) in stopped_runtimes(workspace, observations, lease_s)
        return "expired" if stopped else "alive"
    return "expired" if _age_of(workspace, task, observations, lease_s) >= lease_s else "alive"


def has_runtime(workspace: Workspace, task: Task) -> bool:
    """Whether a runtime holds, or held, the present attempt of *task*, and no claimant of his own.

    The lock by itself does not say so: a runtime takes it before it claims, and may lose the race
    to somebody who drives himself, or die in it (WFL-CLAIM-030).
    """
    live = workspace.ledger.layout.live(task.id, task.attempt)
    if not live.exists():
        return False
    record, pid = workspace.ledger.claim_record(task.id, task.attempt), process_of(live)
    return record is None or pid is None or record.pid in {0, pid}


def _age_of(
    workspace: Workspace, task: Task, observations: Observations, lease_s: float
) -> float:
    key = f"beat:{task.id}.{task.attempt}"
    return observations.age(key, beat_of(workspace, task), at_most_s=lease_s / 2)


def beat_of(workspace: Workspace, task: Task) -> str:
    """Return how often the claimant of an attempt, who drives himself, has renewed."""
    try:
        return workspace.ledger.layout.beat(task.id, task.attempt).read_text("ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return "0"


def lease_left(
    workspace: Workspace, task: Task, observations: Observations, lease_s: float
) -> float | None:
    """Return seconds until the lease of a claimant who drives himself is over, as seen so far.

    None where a runtime holds the attempt, which renews by itself.
    """
    if has_runtime(workspace, task):
        return None
    return max(lease_s - _age_of(workspace, task, observations, lease_s), 0.0)
