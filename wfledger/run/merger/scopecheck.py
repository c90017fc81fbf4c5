"""What may land at all: the recorded head, the frozen spec, and changes within the scope.

Everything is read from the ledger and from git's objects; the worktree and what a worker said do
not matter. What is refused is a `Refusal` that names every reason at once (WFL-RESULT-025).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from wfledger.core import bounds
from wfledger.core.changes import Change, Rules, Violation, violations
from wfledger.core.documents import Task
from wfledger.core.policy import Policy
from wfledger.core.scopes import parse, parse_all
from wfledger.core.segments import is_ledger_name
from wfledger.errors import InvalidPatternError
from wfledger.run.attempts.keeping import kept_head
from wfledger.run.merger.merging import Refusal, Subject
from wfledger.run.merger.spilling import spilt
from wfledger.run.workspace import Workspace
from wfledger.vcs.merge import Conflict
from wfledger.vcs.repo import Repository
from wfledger.vcs.trees import diff, path_siblings

#: Violations that end when the task is allowed the path.
_WIDENABLE: Final = frozenset({"out_of_scope", "protected", "gitlink"})
#: Bytes of a list in a task file; what is longer is cut and counted.
_LISTED_BYTES: Final = 8_000
#: Paths that one command names.
_NAMED_PATHS: Final = 16


def subject_of(workspace: Workspace, task: Task) -> Subject:
    """Return what is to land for *task*: what a person accepted, else what its attempt left."""
    accepted = task.accepted
    if accepted is not None:
        result = workspace.ledger.result(task.id, accepted.attempt)
        return Subject(
            accepted.attempt, accepted.base, accepted.head, result, accepted.waive, accepted=True,
            unheard=accepted.unheard,
        )  # fmt: skip
    result = workspace.ledger.result(task.id, task.attempt)
    base, head = (result.base, result.head) if result else (None, None)
    return Subject(task.attempt, base, head, result)


def record_problem(workspace: Workspace, task: Task, subject: Subject) -> Refusal | None:
    """Return what is wrong with the records that a landing relies on (WFL-LAND-001, 002).

    Workers can reach the ledger's files, so what was frozen at submission is compared.
    """
    if task.spec.digest() != task.spec_sha256:
        reason = "the task's spec is not what was submitted; it was changed past the verbs"
        # Its work was done for what was submitted, which `accept` puts back.
        return Refusal("spec_changed", reason, command=f"wfledger accept {task.id}")
    if subject.result is None and not subject.accepted:
        return Refusal("task", f"attempt {subject.attempt} handed in no result")
    if subject.head is None or subject.head == subject.base:
        return None
    kept = kept_head(workspace, task.id, subject.attempt)
    if not subject.accepted and kept != subject.head:
        found = kept[:12] if kept else "nothing"
        reason = f"the result names {subject.head[:12]}; what was kept is {found}"
        command = None if kept else f"wfledger retry {task.id}"
        return Refusal("result_changed", reason, command=command)
    if subject.base is None or not workspace.repo.is_ancestor(subject.base, subject.head):
        based = subject.base[:12] if subject.base else "no commit"
        reason = f"the result does not build on {based}, from which the attempt started"
        return Refusal("conflict", reason)
    return None


@dataclass(frozen=True)
class Judged:
    """What a subject changes, all of it allowed. No changes: there is nothing to merge."""

    changes: tuple[Change, ...] = ()

    @property
    def paths(self) -> frozenset[bytes]:
        """The paths that are changed."""
        return frozenset(change.path for change in self.changes)


def judge(workspace: Workspace, task: Task, subject: Subject) -> Judged | Refusal:
    """Return what *subject* changes, or why that may not land (WFL-LAND-004)."""
    changes = _changes(workspace.repo, subject)
    if not task.spec.writes:
        return _read_only(changes) if changes else Judged()
    if not changes:
        return Judged() if _may_be_empty(task, subject) else _nothing_done()
    base = subject.base or ""
    found = find_violations(workspace, task, changes, before=base)
    found += spilt(workspace, task, subject, changes)
    return refusal_of(task, found) if found else Judged(changes)


def _changes(repo: Repository, subject: Subject) -> tuple[Change, ...]:
    if subject.base is None or subject.head is None or subject.base == subject.head:
        return ()
    return diff(repo, subject.base, subject.head)


def _read_only(changes: Sequence[Change]) -> Refusal:
    listed = _listed(change.text for change in changes)
    reason = f"the task declares no write scope and changed {len(changes)} paths:\n{listed}"
    return Refusal("read_only_violation", reason)


def _may_be_empty(task: Task, subject: Subject) -> bool:
    """Whether nothing changed is an answer here (WFL-RESULT-008)."""
    result = subject.result
    explained = result is not None and result.status == "no_change" and bool(result.summary.strip())
    return task.spec.allow_no_change or explained or "no_change" in subject.waive


def _nothing_done() -> Refusal:
    reason = "the task writes, changed nothing, and gave no reason"
    return Refusal("no_change", reason)


def find_violations(
    workspace: Workspace, task: Task, changes: Sequence[Change], *, before: str
) -> tuple[Violation, ...]:
    """Return every rule that *changes* to the tree of *before* break."""
    policy: Policy = workspace.policy()
    siblings = path_siblings(workspace.repo, before)
    return violations(
        changes, parse_all(task.spec.write), Rules.of(policy), siblings=siblings
    )


def refusal_of(task: Task, found: Sequence[Violation]) -> Refusal:
    """Return the refusal that names all of *found* and the command that helps."""
    count = "1 violation" if len(found) == 1 else f"{len(found)} violations"
    reason = f"{count} of the task's scope:\n{_listed(map(str, found))}"
    facts = {"violations": _facts(found)}
    paths = tuple(dict.fromkeys(violation.path for violation in found))
    room = min(_NAMED_PATHS, bounds.PATTERNS - len(task.spec.write))
    if all(_is_widenable(violation) for violation in found) and len(paths) <= room:
        return Refusal("out_of_scope", reason, widen=paths, facts=facts)
    return Refusal("out_of_scope", reason, command=f"wfledger open {task.id}", facts=facts)


def _is_widenable(violation: Violation) -> bool:
    """Whether `widen` with the path as it is printed allows it."""
    path = violation.path
    if violation.code not in _WIDENABLE or is_ledger_name(path.split("/", 1)[0]):
        return False
    try:
        return parse(path).text == path
    except InvalidPatternError:
        return False


def _facts(found: Sequence[Violation]) -> list[dict[str, str]]:
    taken, size = [], 0
    for violation in found:
        size += len(violation.path) + len(violation.code)
        if size > _LISTED_BYTES:
            break
        taken.append({"code": violation.code, "path": violation.path})
    return taken


def escape_of(workspace: Workspace, task: Task, tip: str, tree: str, *, judged: Judged) -> (
    Refusal | None
):
    """Return why the merged *tree* may not follow *tip*, though the result itself was allowed.

    Without rename detection the paths are always among those of the result: else the merge is not
    to be trusted (WFL-LAND-007).
    """
    changes = diff(workspace.repo, tip, tree)
    strays = [change for change in changes if change.path not in judged.paths]
    if strays:
        listed = _listed(change.text for change in strays)
        reason = f"the merge changes paths that the result does not:\n{listed}"
        return Refusal("out_of_scope", reason, command=f"wfledger open {task.id}")
    found = find_violations(workspace, task, changes, before=tip)
    return refusal_of(task, found) if found else None


def conflict_refusal(conflict: Conflict, tip: str) -> Refusal:
    """Return the refusal of a merge that has conflicts; nobody's side was picked."""
    listed = _listed(path.path for path in conflict.paths)
    reason = f"conflicts with what landed meanwhile, in {len(conflict.paths)} paths:\n{listed}"
    sides = [
        {"path": path.path, "base": path.base, "ours": path.ours, "theirs": path.theirs}
        for path in conflict.paths[:_NAMED_PATHS]
    ]
    return Refusal("conflict", reason, facts={"tip": tip, "conflicts": sides})


def _listed(lines: Iterable[str]) -> str:
    """Return *lines* one below the other, bounded; what is left out is counted."""
    taken: list[str] = []
    size = left = 0
    for line in lines:
        size += len(line) + 1
        if size > _LISTED_BYTES:
            left += 1
        else:
            taken.append(f"  {line}")
    return "\n".join([*taken, f"  and {left} more"] if left else taken)
