"""How a machine stands with its remote, and who else works there, as lines for people."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from wfledger.cli.render import ago, plural, say, span
from wfledger.core.text import listed

if TYPE_CHECKING:
    from wfledger.cli.common import App
    from wfledger.run.looks.remote import MachineRow, RemoteView

#: Tasks of one machine that are named.
_NAMED: Final = 3
#: The stop of a remote that has lost what it had confirmed, out of which there are two ways.
_REWOUND: Final = "rewound"


def say_age(app: "App", *, others: bool) -> None:
    """Say how old what was just shown of *others*, if anything, is; beside what is printed."""
    from wfledger.run.looks.remote import as_of

    found = as_of(app.workspace) if others else None
    if found is not None:
        age = "nothing seen yet" if found.age_s is None else f"as of {span(found.age_s)} ago"
        say(f"remote {found.name}: {age}", err=True)


def age_json(app: "App") -> dict[str, Any]:
    """Return what `--json` adds where machines share the ledger."""
    from wfledger.run.looks.remote import as_of

    found = as_of(app.workspace)
    return {} if found is None else {"remote": found.as_json()}


def remote_lines(one: "RemoteView", machines: int) -> list[str]:
    """Return how this machine stands with its remote; the first line is all where all is well."""
    view = "nothing seen yet" if one.age_s is None else f"as of {span(one.age_s)} ago"
    said = [f"remote {one.name}: {view}", plural(machines, "machine")]
    said.append(f"one push in {one.interval_s:g} s each")
    if one.unconfirmed:
        said.append(f"{plural(one.unconfirmed, 'change')} not confirmed yet")
    lines = [", ".join(said)]
    if one.stopped is not None:
        lines.append(f"  stopped ({one.stopped}): {one.trouble}")
        other = ", or to go on with less: wfledger remote accept" if one.stopped == _REWOUND else ""
        lines.append(f"  nothing comes or goes until you decide: {one.hint}{other}")
    elif one.trouble:
        since = f" since {one.away}" if one.away else ""
        lines.append(f"  out of step{since}: {one.trouble}" + (f"; {one.hint}" if one.hint else ""))
        lines.append("  what was granted goes on; nothing new is granted, and nothing lands")
    lines += [f"  {note}" for note in one.notes]
    if one.lost:
        lines.append(f"  {plural(one.lost, 'change')} made here came too late: wfledger sync")
    if not one.is_synced and one.stopped is None:
        lines.append("  nobody syncs on this machine: wfledger sync, or wfledger daemon --detach")
    return lines


def machine_rows(found: "Sequence[MachineRow]", now: datetime) -> list[tuple[str, ...]]:
    """Return a row for each machine: its name, how it is, its places, and what it works on."""
    return [
        (one.name, _state(one, now), _places(one), _tasks(one, now))
        for one in found
    ]


def _state(one: "MachineRow", now: datetime) -> str:
    if one.is_here:
        return "this machine"
    if one.is_gone:
        what = "its work is taken over" if one.tasks or one.offered else "taken for gone"
        return f"silent for {span(one.silent_s)}: {what}"
    return f"heard of {ago(one.seen, now)} ago" if one.seen else "not heard of yet"


def _places(one: "MachineRow") -> str:
    if one.drives and not one.slots:
        return f"{len(one.tasks)} at work, begins nothing"
    if not one.slots and not one.tasks:
        return "dispatches nothing"
    return f"{len(one.tasks)}/{one.slots} at work" if one.slots else f"{len(one.tasks)} at work"


def _tasks(one: "MachineRow", now: datetime) -> str:
    said = listed(one.tasks, _NAMED)
    given = f"{one.offered} given to it" if one.offered else ""
    refused = f"cannot push for {ago(one.refused_since, now)}: {one.refused}" if one.refused else ""
    return "; ".join(part for part in (said, given, refused) if part)
