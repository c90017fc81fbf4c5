"""Dispatch paused: by a person for the whole ledger, or by an alarm on this machine alone.

While it is, nothing is put on offer, offers are withdrawn and no claim is handed out; what runs
goes on. An alarm is raised where going on could run what nobody has agreed to, and stays until a
person has looked (WFL-CLAIM-060).
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from wfledger.clock import iso
from wfledger.core.records import canonical, canonical_json
from wfledger.core.text import clean_line
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

_ALARM = "alarm.json"
_CONFIG = "ledger.json"


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


def pause_of(workspace: Workspace) -> Pause | None:
    """Return why nothing is dispatched on this machine, or None; an alarm comes first."""
    alarm = alarm_of(workspace)
    if alarm is not None:
        return alarm
    paused = workspace.config().paused
    if paused is None:
        return None
    return Pause("paused", clean_line(paused) or "by hand", "wfledger resume")


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


def set_paused(workspace: Workspace, reason: str | None) -> bool:
    """Pause the whole ledger, or with None let it go on; False when it was so already."""
    with workspace.ledger.transaction("person") as changes:
        config = workspace.config()
        if config.paused == reason:
            return False
        said = config.but(paused=reason)
        why = "paused" if reason is not None else "resumed"
        changes.put_file(_CONFIG, canonical(said), why=why)
    return True
