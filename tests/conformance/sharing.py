"""The vectors of the operations `replay` and `silence`: what a meeting makes of what it finds."""

from typing import Any

from tests.support.ledgers import make_task
from wfledger.core.documents import Grant, Intent, Task
from wfledger.core.records import plain
from wfledger.core.replaying import Seen, Taken, judge
from wfledger.core.silence import Hearing, limit_s, look, window_s
from wfledger.core.statuses import Status

Answer = dict[str, Any]
_AT = "2026-01-05T09:00:00.000Z"
_OID = "1" * 40


def replay(when: dict[str, Any]) -> Answer:
    """Say what becomes of a record, and in which status the task is then on the remote."""
    told, seen = when["record"], when["seen"]
    after = _task(told)
    found = judge(_record(told, after), _seen(seen, after), here=when["here"])
    verdict = type(found).__name__.lower()
    if not isinstance(found, Taken):
        return {"verdict": verdict, "as": None}
    return {
        "verdict": verdict,
        "as": {"from": found.record["from"], "to": found.after.status.value,
               "seq": found.record["seq"], "attempt": found.record["attempt"]},
    }  # fmt: skip


def silence(when: dict[str, Any]) -> Answer:
    """Say for how long each machine has been silent after the last of some fetches."""
    interval, lease = when["interval_s"], when["lease_s"]
    hearing = Hearing()
    for fetch in when["fetches"]:
        hearing = look(
            hearing, now=fetch["at"], window=window_s(interval, lease),
            beats={**dict.fromkeys(when["holders"], ""), **fetch["beats"]},
            wrote=fetch["wrote"], took_s=fetch.get("took", 0.0),
        )  # fmt: skip
    silent = {machine: round(seconds, 3) for machine, seconds in hearing.silence().items()}
    limit = limit_s(interval, lease)
    return {"silent": silent, "gone": sorted(m for m, s in silent.items() if s >= limit)}


def _task(facts: dict[str, Any], **more: Any) -> Task:
    machine = facts["grant"]
    grant = None if machine is None else Grant(machine=machine, since=_AT)
    return make_task("r.a", seq=facts["seq"], attempt=facts["attempt"], grant=grant, **more)


def _record(told: dict[str, Any], after: Task) -> dict[str, Any]:
    content = plain(after) if told["kind"] == "task" else None
    return {
        "kind": told["kind"], "task": after.id, "attempt": after.attempt, "seq": after.seq,
        "from": told["from"], "to": told["to"], "why": "why", "by": "ana", "at": _AT,
        "content": content,
    }  # fmt: skip


def _seen(facts: dict[str, Any] | None, after: Task) -> Seen | None:
    if facts is None:
        return None
    status = Status(facts["status"])
    if facts["is"] == "that":
        return Seen(after, status)
    more: dict[str, Any] = {}
    if facts["is"] == "another":
        more["created"] = "2026-02-05T09:00:00.000Z"
    if facts["intent"]:
        more["intent"] = Intent(
            round=1, target="refs/heads/wf/r", tip=_OID, candidate=_OID, tree=_OID, epoch=1
        )
    return Seen(_task(facts, **more), status)
