"""What the checks of a task say of a result (spec 60, section 4).

Pure: it is told what lies in the snapshot, how the worker ended and where a verifier stands, and
answers with reasons. Nothing here reads a file.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from wfledger.core import scopes
from wfledger.core.documents import (
    Block,
    Check,
    Limits,
    Result,
    Retry,
    Task,
    TaskSpec,
    Verifies,
)
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.errors import InvalidPatternError

#: Kinds whose answer is computed from one file's content, in a process of its own.
PROBES: Final = frozenset({"regex", "json_path"})
#: Bytes of a file that a probe looks into.
PROBED_BYTES: Final = {"regex": 1_000_000, "json_path": 10_000_000}
#: Checks of kind `task` of one task: each has a letter in the name of its verifier.
VERIFIERS: Final = 26
_ID_CHARS: Final = 64
_VERIFIER_NAME: Final = re.compile(r"-v[1-9][0-9]*[b-z]?(?:\.[1-9][0-9]*)?\Z")
#: What `outputs.verdict` of a verifier may say for a pass; any other word is a refusal.
_PASSES: Final = frozenset(
    {"pass", "passed", "ok", "yes", "accept", "accepted", "approve", "approved"}
)
#: Blocks by which a verifier itself says that something is wrong; any other one is no verdict.
_SAID: Final = frozenset({"task", "question"})

Kind = Literal["file", "link", "folder", "repository"]
_NOT_A_FILE: Final[dict[str, str]] = {
    "link": "a symbolic link", "folder": "a folder", "repository": "a repository of its own",
}  # fmt: skip


class Tree(Protocol):
    """What a snapshot holds; no symbolic link is ever followed."""

    def kind_at(self, path: str) -> Kind | None:
        """Return what lies at *path*, or None."""

    def files(self) -> Iterable[str]:
        """Return the paths of the regular files."""


def exit_status_reasons(checks: Iterable[Check], status: int | None) -> tuple[str, ...]:
    """Return what is wrong with the worker's exit status; None is one that nobody knows."""
    expected = {check.expect for check in checks if check.kind == "exit_code"}
    if not expected or status in expected:
        return ()
    said = "none is known" if status is None else f"it was {status}"
    return (f"the worker's exit status must be {' or '.join(map(str, sorted(expected)))}; {said}",)


def missing_file(tree: Tree, text: str) -> str | None:
    """Return why no regular file is at *text*, a path or a pattern; None if one is."""
    try:
        pattern = scopes.parse(text)
    except InvalidPatternError as error:
        return error.message
    if not pattern.is_literal:
        found = any(scopes.matches(pattern, path) for path in tree.files())
        return None if found else f"no file matches {text}"
    kind = tree.kind_at(pattern.text)
    if kind == "file":
        return None
    return f"{text} is missing" if kind is None else f"{text} is {_NOT_A_FILE[kind]}, not a file"


@dataclass(frozen=True)
class Delivered:
    """Which files the declared deliverables stand for, and what is missing of them."""

    paths: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def delivered(tree: Tree, declared: Sequence[str]) -> Delivered:
    """Return the files of *declared*; a folder stands for what is in it (WFL-RESULT-050)."""
    if not declared:
        return Delivered()
    files = sorted(tree.files())
    paths: dict[str, None] = {}
    reasons = []
    for text in declared:
        try:
            pattern = scopes.parse(text)
        except InvalidPatternError as error:
            reasons.append(f"deliverable {text}: {error.message}")
            continue
        found = [path for path in files if scopes.matches(pattern, path)]
        paths.update(dict.fromkeys(found))
        if not found:
            kind = tree.kind_at(pattern.text) if pattern.is_literal else None
            what = f"is {_NOT_A_FILE[kind]}" if kind in _NOT_A_FILE else "is missing"
            reasons.append(f"deliverable {text} {what}")
    return Delivered(tuple(paths), tuple(reasons))


# -- verdicts of people --------------------------------------------------------------------------


def asked_of_people(checks: Iterable[Check]) -> str | None:
    """Return what a person is to look at, or None where nobody is asked."""
    asked = [check for check in checks if check.kind == "manual"]
    if not asked:
        return None
    texts = [clean_line(check.prompt) for check in asked if check.prompt]
    return "; ".join(texts) or "a person has to look at it"


def approved(task: Task, *, attempt: int, head: str | None) -> bool:
    """Whether a person said yes to exactly this result, and nobody no after that."""
    said = [one.verdict for one in task.approvals if (one.attempt, one.head) == (attempt, head)]
    return said[-1:] == ["yes"]


# -- verifiers -----------------------------------------------------------------------------------


def verifier_id(task_id: str, attempt: int, *, check: int, turn: int) -> str:
    """Return the id of the task that verifies an attempt, the same each time.

    *check* counts the task's checks of that kind from 0, *turn* from 1 those asked one after the
    other.
    """
    suffix = f"-v{attempt}" + ("" if check == 0 else chr(ord("a") + check))
    suffix += "" if turn == 1 else f".{turn}"
    room = _ID_CHARS - len(suffix)
    if len(task_id) > room:
        digest = hashlib.sha256(task_id.encode()).hexdigest()[:8]
        task_id = f"{task_id[: room - 9].rstrip('.')}-{digest}"
    return task_id + suffix


def may_be_verifier(task_id: str) -> bool:
    """Whether *task_id* has the form of a verifier's; its spec alone says whether it is one."""
    return _VERIFIER_NAME.search(task_id) is not None


def verifier_spec(
    task: Task, check: Check, subject: Verifies, *, limits: Limits, role: str | None
) -> TaskSpec:
    """Return what the verifier of a result is to do; it reads only."""
    wall = check.timeout_s or task.spec.limits.wall_s or limits.wall_s
    return TaskSpec(
        title=f"verify attempt {subject.attempt} of {subject.task}",
        command=check.command,
        prompt=check.prompt,
        role=role if check.prompt is not None else None,
        agent_type="verifier",
        priority=task.spec.priority,
        env=task.spec.env,
        limits=task.spec.limits.but(wall_s=wall),
        # What the result is attempted again for is no matter of its verifier.
        retry=task.spec.retry.but(on=Retry().on),
        at=subject.head,
        verifies=subject,
    )


@dataclass(frozen=True)
class Judgement:
    """What a verifier has come to. `abstained`: it ended without a verdict."""

    kind: Literal["pending", "passed", "failed", "abstained"]
    reason: str = ""


def has_spoken(status: Status, block: Block | None) -> bool:
    """Whether a verifier has come to its end; one that a person stopped goes on when he says so."""
    if status is Status.BLOCKED:
        return block is None or block.code != "stopped"
    return status.is_final


def judgement(status: Status, result: Result | None, block: Block | None) -> Judgement:
    """Return the verdict of a verifier: by its envelope, never by what it printed."""
    if status is Status.DONE:
        return _judgement_of(result)
    if status is Status.CANCELLED:
        return Judgement("abstained", "it was cancelled")
    if not has_spoken(status, block):
        return Judgement("pending")
    code = block.code if block else "unknown"
    reason = clean_line(block.reason if block else "it does not say why", 1000)
    return Judgement("failed" if code in _SAID else "abstained", reason)


def is_pass(verdict: object) -> bool:
    """Whether *verdict*, as an envelope's `outputs` has it, says yes."""
    return verdict is True or str(verdict).strip().lower() in _PASSES


def _judgement_of(result: Result | None) -> Judgement:
    if result is None:
        return Judgement("abstained", "its result is gone")
    verdict = result.outputs.get("verdict")
    reason = clean_line(result.summary, 1000) or _first_finding(result) or "it gives no reason"
    if verdict is None:
        refused = bool(result.findings) or result.status not in {"succeeded", "no_change"}
    else:
        refused = not is_pass(verdict)
    return Judgement("failed", reason) if refused else Judgement("passed")


def _first_finding(result: Result) -> str:
    texts = [value for found in result.findings for value in found.values()]
    return clean_line(next((text for text in texts if isinstance(text, str)), ""), 1000)
