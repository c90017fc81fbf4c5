"""Where everything of a ledger lies (spec 10).

`root` is the ledger itself (`.wfledger/`, a worktree of the ledger branch); `local` is this
machine's own state (`<git common dir>/wfledger/`), which is never committed.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from wfledger.core.ids import check_id
from wfledger.core.statuses import Status

#: Folders of the ledger besides those of the statuses.
OTHER_FOLDERS: Final = ("runs", "results", "quarantine")
#: Folders of this machine's own state.
LOCAL_FOLDERS: Final = (
    "locks", "journal", "claims", "tmp", "logs", "live", "beats", "tokens", "attempts", "index",
)
#: Files of the ledger that people edit in place.
EDITABLE: Final = ("ledger.json", "fleet.toml")
SUFFIX: Final = ".json"


def run_of(task_id: str) -> str:
    """Return the run that a task belongs to: its id up to the first dot (WFL-TASK-002)."""
    return task_id.partition(".")[0]


def is_id(text: str) -> bool:
    """Whether *text* may name a task or a run."""
    try:
        check_id(text)
    except ValueError:
        return False
    return True


class Named(NamedTuple):
    """What a local file's name says: `<task>.<attempt>`, and what follows it."""

    task_id: str
    attempt: int
    rest: str


def split_attempt(name: str) -> Named | None:
    """Return what *name* is made of, or None for a file that belongs to no attempt.

    A task's id may itself have parts that are numbers, so the last such part is the attempt.
    """
    parts = name.split(".")
    at = max((i for i, part in enumerate(parts) if i and part.isascii() and part.isdigit()),
             default=0)  # fmt: skip
    task_id = ".".join(parts[:at])
    if not at or not is_id(task_id):
        return None
    return Named(task_id, int(parts[at]), ".".join(parts[at + 1 :]))


@dataclass(frozen=True)
class Layout:
    """Paths of one ledger on this machine."""

    root: Path
    local: Path

    @cached_property
    def machine(self) -> str:
        """The id of this machine, as drawn when the ledger came to it; "" before that."""
        try:
            facts = json.loads((self.local / "machine.json").read_text("utf-8"))
            return str(facts["id"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def folder(self, status: Status) -> Path:
        """Return the folder of *status*."""
        return self.root / status.value

    def relative(self, status: Status, task_id: str) -> str:
        """Return the path of a task's file, relative to the ledger."""
        name = check_id(task_id) + SUFFIX
        if status.is_cold:
            return f"{status.value}/{run_of(task_id)}/{name}"
        return f"{status.value}/{name}"

    def task(self, status: Status, task_id: str) -> Path:
        """Return the path of a task's file."""
        return self.root / self.relative(status, task_id)

    def run(self, run_id: str) -> str:
        """Return the path of a run's document, relative to the ledger."""
        return f"runs/{check_id(run_id)}{SUFFIX}"

    def result(self, task_id: str, attempt: int) -> str:
        """Return the path of a result, relative to the ledger."""
        return f"results/{check_id(task_id)}/{attempt}{SUFFIX}"

    def attempt_name(self, task_id: str, attempt: int) -> str:
        """Return the name that claims, locks, tokens and logs of an attempt share."""
        return f"{check_id(task_id)}.{attempt}"

    def claim(self, task_id: str, attempt: int) -> Path:
        """Return the path of a claim record."""
        return self.local / "claims" / self.attempt_name(task_id, attempt)

    def token(self, task_id: str, attempt: int) -> Path:
        """Return the path of the secret token, readable by its owner only."""
        return self.local / "tokens" / self.attempt_name(task_id, attempt)

    def beat(self, task_id: str, attempt: int) -> Path:
        """Return the path of the heartbeat counter of a claimer who drives himself."""
        return self.local / "beats" / self.attempt_name(task_id, attempt)

    def live(self, task_id: str, attempt: int) -> Path:
        """Return the path of the lock that the attempt's runtime holds while it lives."""
        return self.local / "live" / self.attempt_name(task_id, attempt)

    def reap(self, task_id: str, attempt: int) -> Path:
        """Return the path of the lock that a finder holds while it ends a lost attempt."""
        return self.local / "live" / (self.attempt_name(task_id, attempt) + ".reap")

    def merge(self, task_id: str, attempt: int) -> Path:
        """Return the path of the lock that the merger of an attempt's result holds."""
        return self.local / "live" / (self.attempt_name(task_id, attempt) + ".merge")

    def tree(self, task_id: str, attempt: int) -> Path:
        """Return the path of the lock that the attempt's processes inherit."""
        return self.local / "live" / (self.attempt_name(task_id, attempt) + ".tree")

    def stop(self, task_id: str, attempt: int) -> Path:
        """Return the path of a person's request to end an attempt; its content is the reason."""
        return self.local / "index" / ("stop-" + self.attempt_name(task_id, attempt))

    def attempt(self, task_id: str, attempt: int) -> Path:
        """Return the path of the local record of an attempt's worktree."""
        return self.local / "attempts" / (self.attempt_name(task_id, attempt) + SUFFIX)

    def log(self, task_id: str, attempt: int) -> Path:
        """Return the path of an attempt's output."""
        return self.local / "logs" / (self.attempt_name(task_id, attempt) + ".log")

    def lock(self, name: str) -> Path:
        """Return the path of a named lock."""
        return self.local / "locks" / f"{name}.lock"

    @property
    def beats(self) -> Path:
        """The folder of heartbeat counters."""
        return self.local / "beats"

    @property
    def journal(self) -> Path:
        """The folder of the journal."""
        return self.local / "journal"

    @property
    def tmp(self) -> Path:
        """The folder that files are written in before they are renamed into place."""
        return self.local / "tmp"
