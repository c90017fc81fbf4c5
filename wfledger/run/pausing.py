"""Dispatch paused: by a person for the whole ledger, or by an alarm on this machine alone.

While it is, nothing is put on offer, offers are withdrawn and no claim is handed out; what runs
goes on. An alarm is raised where going on could run what nobody has agreed to, and stays until a
person has looked (WFL-CLAIM-060).
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from wfledger.clock import iso
from wfledger.core.documents import Hold
from wfledger.core.records import canonical, canonical_json
from wfledger.core.statuses import Actor, Status
from wfledger.core.text import clean_line
from wfledger.errors import StaleError, TransitionError
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.transaction import Transaction

_ALARM = "alarm.json"
_CONFIG = "ledger.json"
_BY_HAND = "paused"


@dataclass(frozen=True)
class Pause:
    """Why nothing is dispatched, and the command that lets it go on."""

    #: `paused` by a person; else the code of the alarm.
    code: str
    reason: str
    #: Ready to paste.
    command: str
    #: When it began (UTC, ISO 8601); None where that is not recorded.
    since: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_alarm(self) -> bool:
        """Whether nothing lands either, since that runs what nobody has agreed to."""
        return self.code != _BY_HAND


def pause_of(workspace: Workspace) -> Pause | None:
    """Return why nothing is dispatched on this machine, or None; an alarm comes first."""
    alarm = alarm_of(workspace)
    if alarm is not None:
        return alarm
    paused = workspace.config().paused
    if paused is None:
        return None
    return Pause(_BY_HAND, clean_line(paused) or "by hand", "wfledger resume")


def alarm_of(workspace: Workspace) -> Pause | None:
    """Return the alarm of this machine, or None; one that cannot be read still is an alarm."""
    try:
        found = json.loads((workspace.ledger.layout.local / "index" / _ALARM).read_bytes())
        return Pause(**found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Pause("alarm", "an alarm was raised that cannot be read", "wfledger trust")


def raise_alarm(
    workspace: Workspace, code: str, reason: str, *, command: str, **facts: object
) -> Pause:
    """Pause dispatch on this machine; an earlier alarm stays and is returned instead."""
    present = alarm_of(workspace)
    if present is not None:
        return present
    alarm = Pause(code, reason, command, iso(workspace.clock.now()), dict(facts))
    layout = workspace.ledger.layout
    atomic.replace(layout.local / "index" / _ALARM, canonical_json(asdict(alarm)), tmp=layout.tmp)
    return alarm


def clear_alarm(workspace: Workspace) -> bool:
    """Let this machine go on; False when there was no alarm."""
    try:
        (workspace.ledger.layout.local / "index" / _ALARM).unlink()
    except FileNotFoundError:
        return False
    return True


def pause_run(
    workspace: Workspace, run_id: str, *, reason: str, why: str = "paused", ends: bool = False
) -> bool:
    """Let a run start nothing more; what runs of it goes on. False when it was so already.

    With *ends* other machines that share the ledger end what they run of it, when they hear of it.
    """
    with workspace.ledger.transaction("person") as changes:
        run = workspace.ledger.run(run_id)
        is_more = ends and run.state == "paused" and not run.ends
        if run.state == "open" or is_more:  # what has landed or was aborted starts nothing anyway
            paused = run.but(
                seq=run.seq + 1, state="paused", reason=clean_line(reason), ends=ends
            )
            changes.put_run(paused, why=why)
        withdraw_offers(workspace, changes, run=run_id, reason=f"the run was {why}")
    return run.state == "open"


def withdraw_offers(
    workspace: Workspace, changes: Transaction, *, run: str | None, reason: str,
    to_people: bool = True,
) -> None:  # fmt: skip
    """Take back what is on offer of a run, or of all; with or without what only people take."""
    hold = Hold(code="withdrawn", reason=reason)
    for task in workspace.ledger.tasks(Status.PENDING, run=run):
        if task.spec.manual and not to_people:
            continue
        with suppress(StaleError, TransitionError):  # it was claimed meanwhile
            changes.move(
                task.id, Status.WAITING, actor=Actor.SCHEDULER, why=f"withdrawn: {reason}",
                hold=hold,
            )  # fmt: skip


def set_paused(workspace: Workspace, reason: str | None) -> bool:
    """Pause the whole ledger, or with None let it go on; False when it was so already.

    Offers go with it, those for people too: a raw rename asks nobody whether it may.
    """
    with workspace.ledger.transaction("person") as changes:
        config = workspace.config()
        if reason is not None:
            withdraw_offers(workspace, changes, run=None, reason="paused")
        if config.paused == reason or (config.paused is not None and reason == ""):
            return False  # whoever gives no reason does not take another's away
        said = config.but(paused=reason)
        why = "paused" if reason is not None else "resumed"
        changes.put_file(_CONFIG, canonical(said), why=why)
    return True
