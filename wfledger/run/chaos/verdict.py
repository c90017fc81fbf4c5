"""What must hold when a torture is over: the invariants of the ledger, and what workers noted.

The ledger is held against `chaos.invariants`. What the workers and claimers wrote down beside it is
the other witness: what they were told must be there, and nothing may have been done twice.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from wfledger.core.statuses import Status
from wfledger.run.attempts.recovery import sweep_worktrees
from wfledger.run.chaos.invariants import Violation, guarded, of_files
from wfledger.run.chaos.remains import of_remains
from wfledger.run.chaos.replaying import of_history, of_landings
from wfledger.run.chaos.scene import Job, Scene
from wfledger.run.chaos.strangers import PREFIX
from wfledger.run.commit import commit_journal
from wfledger.run.doctor.checkup import Checkup
from wfledger.run.upkeep.clearing import clear_tmp
from wfledger.run.workspace import LOCAL, Workspace

#: Findings that no death and no stranger's file excuses.
_DAMAGE: Final = frozenset(
    {
        "two-places", "missing-task", "split", "behind-record", "edited", "unexplained-move",
        "journal-damaged", "missing-folder", "missing-document", "target-rewound", "taken-back",
    }
)  # fmt: skip


#: Reports that a verb writes about what nobody expected.
_REPORTS: Final = "wfledger-defect-*"


def of_damage(scene: Scene) -> Iterator[Violation]:
    """Yield what the check-up finds before it repairs anything, and that should never come about.

    Strangers' files and half-done changes are no damage: the check-up is there for them.
    """
    for finding in _checkup(scene).look():
        if finding.code in _DAMAGE and PREFIX not in finding.subject:
            yield Violation("damage", finding.subject, f"{finding.code}: {finding.message}")


def repair(scene: Scene) -> list[str]:
    """Repair as a person would on another day, and return what was done.

    Locks of git and temporary files are somebody's until they are old; nothing runs any more.
    """
    workspace = scene.workspace()
    for lock in workspace.common_dir.rglob("*.lock"):
        if LOCAL not in lock.relative_to(workspace.common_dir).parts[:1]:
            os.utime(lock, (0, 0))
    clear_tmp(workspace, older_s=0.0)
    done: list[str] = []
    _checkup(scene).fix(done.append)
    sweep_worktrees(workspace)
    return done


def _checkup(scene: Scene) -> Checkup:
    return Checkup(scene.repo, scene.clock, scene.state)


def violations(scene: Scene, *, seen: Iterable[str]) -> list[Violation]:
    """Return everything that must not be, once nothing runs any more and all was repaired."""
    workspace = scene.workspace()
    commit_journal(workspace)
    run = workspace.ledger.run(scene.run)
    parts = {
        "files": of_files(workspace.ledger, submitted=scene.jobs),
        "end": _of_end(scene, workspace),
        "branch": of_landings(workspace, run),
        "effects": of_effects(workspace, run.branch, scene.jobs),
        "history": of_history(workspace, seen=seen),
        "notes": _of_notes(scene, workspace),
        "remains": of_remains(workspace),
        "doctor": of_findings(scene),
        "fsck": of_objects(scene),
        "defects": of_defects(scene),
    }
    return list(chain.from_iterable(guarded(name, part) for name, part in parts.items()))


def _of_end(scene: Scene, workspace: Workspace) -> Iterator[Violation]:
    done = set(workspace.ledger.names(Status.DONE, run=scene.run))
    for name in sorted(set(scene.jobs) - done):
        entry = workspace.ledger.find(name)
        if entry is not None:
            why = entry.task.block.reason if entry.task.block else entry.task.hold
            yield Violation("unfinished", name, f"it is {entry.status.value}: {why}")


def of_effects(
    workspace: Workspace, branch: str, jobs: Mapping[str, Job]
) -> Iterator[Violation]:
    """Hold each file of a run's branch against the tasks that were to write it."""
    tip = workspace.repo.tip(branch)
    wanted: dict[str, Counter[str]] = {}
    for name, job in jobs.items():
        if job.path is not None:
            wanted.setdefault(job.path, Counter())[name] += 1
    for path, lines in sorted(wanted.items()):
        raw = (workspace.repo.read_blob(tip, path) if tip is not None else None) or b""
        there = Counter(raw.decode("utf-8", "replace").split())
        for name in sorted((lines - there).keys()):
            yield Violation("lost", name, f"its line is not in {path}")
        for name in sorted((there - lines).keys()):
            yield Violation("doubled", name, f"its line is in {path} {there[name]} times")


def _of_notes(scene: Scene, workspace: Workspace) -> Iterator[Violation]:
    """Hold what workers and claimers wrote down against each other and the ledger."""
    ran = Counter(tuple(line.split()[:2]) for line in _lines(scene, "ran"))
    for (name, attempt), count in sorted(ran.items()):
        if count > 1:
            yield Violation("doubled", name, f"attempt {attempt} was worked on {count} times")
    for line in _lines(scene, "not-alone"):
        yield Violation("orphan", line, "an earlier attempt still ran beside it")
    claimed: Counter[tuple[str, str]] = Counter()
    for line in _lines(scene, "acknowledged"):
        what, name, attempt, _ = line.split()
        if what == "claimed":
            claimed[name, attempt] += 1
        else:
            yield from _of_acknowledged(workspace, what, name, int(attempt))
    for (name, attempt), count in sorted(claimed.items()):
        if count > 1:
            yield Violation("doubled", name, f"attempt {attempt} was given to {count} claimers")


def _of_acknowledged(
    workspace: Workspace, what: str, name: str, attempt: int
) -> Iterator[Violation]:
    """Yield what is amiss with an acknowledgement: no result, or another attempt is done."""
    verb, _, status = what.partition(":")
    if verb == "complete" and workspace.ledger.result(name, attempt) is None:
        yield Violation("lost", name, f"attempt {attempt} was handed in, and has no result")
    entry = workspace.ledger.find(name)
    if status == "done" and (entry is None or entry.task.attempt != attempt):
        yield Violation("lost", name, f"attempt {attempt} was said to be done, and is not")


def _lines(scene: Scene, name: str) -> list[str]:
    return (scene.notes / name).read_text().splitlines()


def of_findings(scene: Scene) -> Iterator[Violation]:
    """Yield what the check-up finds, but for notes."""
    for finding in _checkup(scene).look():
        if finding.severity != "note":
            yield Violation("damage", finding.subject, f"{finding.code}: {finding.message}")


def of_defects(scene: Scene) -> Iterator[Violation]:
    """Yield the reports that verbs wrote about what nobody expected."""
    logs = scene.workspace().ledger.layout.local / "logs"
    for path in sorted([*scene.tmp.glob(_REPORTS), *logs.glob(_REPORTS)]):
        last = path.read_text("utf-8", "replace").strip().splitlines()[-1:]
        yield Violation("defect", str(path), " ".join(last))


def of_objects(scene: Scene) -> Iterator[Violation]:
    """Yield what git finds wrong with its objects."""
    done = scene.call("git", "fsck", "--full", "--no-dangling", "--no-progress")
    if done.returncode != 0:
        yield Violation("damage", "git fsck", (done.stdout + done.stderr)[-500:])
