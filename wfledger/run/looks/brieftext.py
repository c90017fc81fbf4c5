"""The words of a brief: bounded text from facts, whatever is in them (WFL-BRIEF-001).

Pure. Every part has bytes of its own, so that a long prompt never crowds out how to finish; what is
cut says how much was left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wfledger.core.text import clean, clean_line

#: Bytes of a whole brief.
BYTES: Final = 6_000
_PROMPT: Final = 1_700
_PART: Final = 380
_LINE: Final = 150
#: Lines of a list, and bytes of one about a task and of one about the ledger.
_LISTED: Final = 6
_LIST: Final = 400
_LONG_LIST: Final = 700
#: Of a long text no more than so many times its room is looked at.
_LOOKED_AT: Final = 8

#: What the words for doing something are, at each door.
DOORS: Final[Mapping[str, Mapping[str, str]]] = {
    "cli": {
        "claim": "wfledger claim [ID] --worktree",
        "complete": "wfledger complete --check",
        "ask": "wfledger fail --kind question --reason TEXT",
        "fail": "wfledger fail --reason TEXT",
        "release": "wfledger release",
        "expand": "wfledger expand --file -",
        "beat": "wfledger heartbeat",
        "look": "wfledger show ID, wfledger why ID, wfledger list --status pending",
        "stale": "exit status 4",
    },
    "mcp": {
        "claim": "wf_claim",
        "complete": "wf_complete",
        "ask": "wf_fail with kind=question",
        "fail": "wf_fail",
        "release": "wf_fail with kind=release",
        "expand": "wf_expand",
        "beat": "wf_heartbeat",
        "look": "wf_ready, wf_brief with a task, wf_status",
        "stale": "the code stale",
    },
}


@dataclass(frozen=True)
class TaskFacts:
    """What a brief about one task is made of."""

    task: str
    status: str
    title: str
    #: What is to be done: a prompt, or a command.
    work: str
    write: tuple[str, ...]
    verify: tuple[str, ...] = ()
    #: Name of a producer -> what it summed up.
    inputs: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    #: How earlier attempts ended, oldest first.
    attempts: tuple[str, ...] = ()
    #: Tasks that it added.
    children: tuple[str, ...] = ()
    #: Why it is where it is, and the command that ends that.
    why: str = ""
    command: str = ""


@dataclass(frozen=True)
class ClaimFacts:
    """What holds for an attempt that whoever reads the brief has."""

    attempt: int
    base: str = ""
    worktree: str = ""
    deadline: str = ""
    lease_s: float = 0.0
    #: Whether a runtime holds it, which hands in what the worker leaves.
    runtime: bool = False


@dataclass(frozen=True)
class LedgerFacts:
    """What a brief about a whole ledger is made of."""

    counts: Mapping[str, int]
    runs: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    working: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    #: How many tasks are on offer; `ready` has the first of them.
    offers: int = 0
    halted: str = ""
    #: Of a claim that is over.
    over: str = ""


def about_claim(task: TaskFacts, mine: ClaimFacts, door: str) -> str:
    """Return the brief of who holds a task: what to do, where, and how to finish."""
    words = DOORS[door]
    place = mine.worktree or "none was made: work in a checkout of your own"
    lines = [
        f"You hold attempt {mine.attempt} of {task.task}: {_short(task.title)}",
        f"worktree: {place}" + (" (work there, nowhere else)" if mine.worktree else ""),
        *([f"base: {mine.base[:12]}"] if mine.base else []),
        f"may write: {_scope(task.write)}",
        _time(mine, words),
        *_common(task),
        "",
        "How to finish:",
        *(_by_runtime() if mine.runtime else _by_hand(words)),
        f"{words['stale'].capitalize()} means that your claim is over: stop, another may be at it.",
        "Never edit .wfledger/ yourself; leave branches and other worktrees alone.",
    ]
    return bounded("\n".join(lines), BYTES)


def about_task(task: TaskFacts, door: str) -> str:
    """Return the brief about a task that whoever reads it does not hold."""
    words = DOORS[door]
    lines = [
        f"{task.task} is {task.status}: {_short(task.title)}",
        *([f"why: {_part(task.why)}"] if task.why else []),
        *([f"to end that: {_short(task.command)}"] if task.command else []),
        f"may write: {_scope(task.write)}",
        *_common(task),
        "",
        f"To take it while it is pending: {words['claim']}.",
    ]
    return bounded("\n".join(lines), BYTES)


def about_ledger(found: LedgerFacts, door: str) -> str:
    """Return the brief for who has just come: what there is, what is ready, what to do."""
    words = DOORS[door]
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items() if count)
    lines = [
        *([_part(found.over), ""] if found.over else []),
        "This repository has a wfledger: tasks as files that several workers share. Each task says",
        "what it may write; a result lands once it stays within that and passes its checks.",
        f"tasks: {counts or 'none'}",
        *([f"nothing starts: {_part(found.halted)}"] if found.halted else []),
        *_listed("runs", found.runs, room=_LONG_LIST),
        *_listed("ready to claim", found.ready, total=found.offers, room=_LONG_LIST),
        *_listed("at work", found.working, room=_LONG_LIST),
        *_listed("waiting for a person", found.needs, room=_LONG_LIST),
        "",
        "What to do:",
        f"- take a task: {words['claim']}; work in the worktree that it answers with",
        f"- hand it in: {words['complete']} (says what to mend; the claim is kept until it passes)",
        f"- ask a person: {words['ask']}; give up: {words['fail']} or {words['release']}",
        f"- look: {words['look']}",
        "Never edit .wfledger/ yourself.",
    ]
    return bounded("\n".join(lines), BYTES)


def bounded(text: str, limit: int) -> str:
    """Return *text* cleaned, in at most *limit* bytes; what is left out is counted."""
    raw = clean(text[: _LOOKED_AT * limit]).strip().encode()
    if len(raw) <= limit and len(text) <= _LOOKED_AT * limit:
        return raw.decode()
    note = f"… ({len(text.encode('utf-8', 'replace'))} bytes in all)"
    return raw[: limit - len(note.encode())].decode("utf-8", "ignore") + note


def _part(text: str, limit: int = _PART) -> str:
    return bounded(text, limit)


def _scope(write: Sequence[str]) -> str:
    return _part(", ".join(write)) if write else "nothing; it only reads and reports"


def _time(mine: ClaimFacts, words: Mapping[str, str]) -> str:
    if mine.runtime:
        return f"deadline: {mine.deadline}" if mine.deadline else "deadline: none"
    until = f"deadline: {mine.deadline}; " if mine.deadline else ""
    return f"{until}lease: {mine.lease_s:g} s, renewed by {words['beat']}"


def _common(task: TaskFacts) -> list[str]:
    """Return what matters to whoever does the task or decides about it."""
    lines = ["what to do:", _part(task.work, _PROMPT)]
    if task.answers:
        lines.append("answers to earlier questions: " + _part(" / ".join(task.answers)))
    for title, items in (
        ("results of others", [f"{name}: {said}" for name, said in task.inputs.items()]),
        ("missing results", list(task.missing)),
        ("it lands only if", list(task.verify)),
        ("earlier attempts", list(task.attempts)),
        ("tasks that it has added", list(task.children)),
    ):
        lines += _listed(title, items, newest=title == "earlier attempts")
    return lines


def _short(text: str) -> str:
    return bounded(clean_line(text[: _LOOKED_AT * _LINE], _LINE), _LINE)


def _listed(
    title: str, items: Sequence[str], *, total: int = 0, room: int = _LIST, newest: bool = False
) -> list[str]:
    """Return *items* as lines, as many as there is room for; the newest of them if so wanted."""
    taken: list[str] = []
    for item in reversed(items) if newest else items:
        line = f"- {_short(item)}"
        room -= len(line.encode()) + 1
        if len(taken) == _LISTED or room < 0:
            break
        taken.append(line)
    if newest:
        taken.reverse()
    more = max(total, len(items)) - len(taken)
    rest = [f"- and {more} {'before' if newest else 'more'}"] if more > 0 else []
    return [f"{title}:", *taken, *rest] if items else []


def _by_hand(words: Mapping[str, str]) -> list[str]:
    return [
        f"- {words['complete']}: checks scope and verification, then lands it; says what to mend",
        "  and keeps your claim where it does not pass. Nothing to change? Say no_change and why.",
        f"- a question only a person can answer: {words['ask']}",
        f"- cannot be done: {words['fail']}; give it back: {words['release']}",
        f"- more tasks within your scope: {words['expand']}",
    ]


def _by_runtime() -> list[str]:
    return [
        '- write {"status": "succeeded", "summary": "…"} to $WFLEDGER_RESULT_FILE and end; what is',
        "  in the worktree is then checked and landed for you. Nothing to change? status no_change",
        "  and why in summary; a question: status blocked and open_questions.",
    ]
