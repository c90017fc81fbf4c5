"""One meeting because somebody asks for it, and all that has happened since somebody last asked."""

from dataclasses import dataclass
from typing import Final

from wfledger.clock import iso
from wfledger.core.statuses import Status
from wfledger.errors import UsageError
from wfledger.run.hub import diary, losses, poking, takeover
from wfledger.run.hub.attending import meet_here
from wfledger.run.hub.diary import News, Record, Told
from wfledger.run.hub.meeting import Lost, Outcome
from wfledger.run.workspace import Workspace

#: Longest wait for a meeting of the process that syncs, and how often it is looked for.
_ANSWER_S: Final = 70.0
_LOOK_S: Final = 0.05


@dataclass(frozen=True)
class Taken:
    """An attempt of this machine that another one has ended: it was silent for too long."""

    task: str
    attempt: int
    #: Who did, by its id.
    machine: str


@dataclass(frozen=True)
class Synced:
    """What a meeting came to that was asked for."""

    outcome: Outcome
    said: str
    hint: str | None
    #: What has happened since this was asked last, and when that was; None for never.
    news: News
    lost: tuple[Lost, ...]
    taken: tuple[Taken, ...]
    since: str | None
    #: Changes made here that the remote does not have yet.
    unconfirmed: int


def sync(workspace: Workspace, *, waits: bool) -> Synced:
    """Have one meeting now, by whoever syncs here or else by ourselves.

    With *waits* again and again, until the remote has everything that was made here, or a person
    has to decide. Raises `UsageError` where there is no remote.
    """
    if not workspace.is_shared:
        raise UsageError("this ledger has no remote", hint="wfledger remote set origin")
    record = meet_now(workspace)
    while waits and record.outcome != "stopped" and not workspace.ledger.journal.is_empty():
        workspace.clock.wait(max(record.interval_s, _LOOK_S))
        record = meet_now(workspace)
    before, end = diary.told(workspace), diary.position(workspace)
    lost = losses.read(workspace)
    news = diary.news(workspace, before.news)
    found = Synced(
        record.outcome, record.said, record.hint, news,
        tuple(lost[before.lost :]), _taken(workspace, news), before.at,
        sum(1 for _ in workspace.ledger.journal.records()),
    )  # fmt: skip
    diary.note_told(workspace, Told(iso(workspace.clock.now()), end, len(lost)))
    return found


def _taken(workspace: Workspace, news: News) -> tuple[Taken, ...]:
    ended = [
        one for one in news.came
        if one.by == takeover.BY and one.source == Status.IN_PROGRESS.value
    ]  # fmt: skip
    if not ended:
        return ()
    begun = {(one.task, one.attempt) for one in diary.news(workspace).went}
    return tuple(
        Taken(one.task, one.attempt, one.machine)
        for one in ended if (one.task, one.attempt) in begun
    )  # fmt: skip


def meet_now(workspace: Workspace, *, within_s: float = _ANSWER_S) -> Record:
    """Have one meeting that begins now; whoever has the turn, it is the last when this returns.

    `failed` where nobody has had one within so many seconds.
    """
    clock = workspace.clock
    deadline = clock.elapsed() + within_s
    asked = poking.ask(workspace)
    while clock.elapsed() < deadline:
        record = diary.last(workspace)
        if record is not None and record.asked >= asked:
            return record
        met = None if poking.is_synced_here(workspace) else meet_here(workspace, force=True)
        if met is not None and not met.is_well:  # perhaps it could not even be noted
            return Record(iso(clock.now()), 0.0, met.outcome, met.said, met.hint)
        if met is None:
            clock.wait(_LOOK_S)
    said = "the process that syncs on this machine does not answer"
    return Record(iso(clock.now()), within_s, "failed", said, "wfledger daemon status")
