"""What another machine's wall clock shows beside ours; nobody can say better than by a heartbeat.

Moments that one machine has written and another reads are compared by this. Each of them is either
bounded besides (a backoff) or read by the machine alone that wrote it (WFL-HUB-060).
"""

from datetime import datetime, timedelta
from typing import Final

from wfledger.clock import iso, parse_iso
from wfledger.run.hub import silence
from wfledger.run.workspace import Workspace

#: A heartbeat is seen with the next fetch: what looks like less of a difference may be none.
_BLUR_S: Final = 120.0


def apart_s(workspace: Workspace, machine: str | None) -> float:
    """Return what to add to a moment that *machine* wrote to have it by the clock of this one.

    0 for this machine, where nothing is known, and where the difference may be that of the network.
    """
    if machine is None or machine == workspace.machine.id or not workspace.is_shared:
        return 0.0
    known = silence.dated(workspace).get(machine)
    apart = known.apart_s if known is not None and known.apart_s is not None else 0.0
    return apart if abs(apart) > _BLUR_S else 0.0


def here(workspace: Workspace, moment: str, machine: str | None) -> datetime:
    """Return *moment*, written by *machine*, by the clock of this one."""
    return parse_iso(moment) + timedelta(seconds=apart_s(workspace, machine))


def there(workspace: Workspace, machine: str | None) -> str:
    """Return what time it is now on *machine*, as it would write it."""
    return iso(workspace.clock.now() - timedelta(seconds=apart_s(workspace, machine)))
