"""A run's branch and the ledger's branch, gone through commit by commit (see `chaos.invariants`).

What landed is merged again and must give the same tree; the ledger's history must be one line that
never lost a commit and whose end is what the folders hold.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from wfledger.core.documents import Run
from wfledger.core.statuses import Status
from wfledger.run.chaos.invariants import Violation, of_faults
from wfledger.run.histories import check
from wfledger.run.refnames import LANDED, landed_ref
from wfledger.run.workspace import Workspace
from wfledger.vcs.merge import Merged, merge_trees
from wfledger.vcs.proc import run_git
from wfledger.vcs.refs import refs_under
from wfledger.vcs.repo import CommitInfo


class _Commit(NamedTuple):
    oid: str
    tree: str
    parents: tuple[str, ...]
    info: CommitInfo


def _line(workspace: Workspace, tip: str, *, since: str | None = None) -> list[_Commit]:
    """Return the commits of *tip* that *since* lacks, oldest first."""
    known = {info.oid: info for info in workspace.repo.walk(tip, since=since)}
    wanted = [tip, f"^{since}"] if since else [tip]
    listed = run_git(
        ["log", "--topo-order", "--reverse", "--format=%H %T %P", *wanted],
        git_dir=workspace.common_dir,
    )
    found = []
    for line in listed.text().splitlines():
        oid, tree, *parents = line.split()
        found.append(_Commit(oid, tree, tuple(parents), known[oid]))
    return found


# -- what landed ---------------------------------------------------------------------------------


def of_landings(workspace: Workspace, run: Run) -> Iterator[Violation]:
    """Yield what is wrong with the branch of *run*.

    It is one line of commits from the run's base; each has one task, and the tree that merging its
    head gives; each task that wrote and is done is there once, and nothing else.
    """
    tip = workspace.repo.tip(run.branch)
    if tip is None:
        yield Violation("landing", run.branch, "the run's branch is gone")
        return
    commits = _line(workspace, tip, since=run.base)
    parent = run.base
    landed: Counter[str] = Counter()
    for commit in commits:
        if commit.parents != (parent,):
            yield Violation("landing", commit.oid, f"its parents are not {parent[:12]} alone")
        parent = commit.oid
        yield from _of_landing(workspace, commit)
        landed.update(commit.info.values("Wfledger-Task"))
    yield from _of_landed(workspace, run, landed)


def _of_landing(workspace: Workspace, commit: _Commit) -> Iterator[Violation]:
    tasks = commit.info.values("Wfledger-Task")
    if len(tasks) != 1:
        yield Violation("landing", commit.oid, f"it names {len(tasks)} tasks")
        return
    trailers = commit.info.trailers
    merged = merge_trees(
        workspace.repo, base=trailers["Wfledger-Base"], ours=commit.parents[0],
        theirs=trailers["Wfledger-Head"],
    )  # fmt: skip
    if not isinstance(merged, Merged) or merged.tree != commit.tree:
        yield Violation("landing", commit.oid, f"merging {tasks[0]} again gives another tree")


def _of_landed(workspace: Workspace, run: Run, landed: "Counter[str]") -> Iterator[Violation]:
    refs = refs_under(workspace.repo, LANDED)
    for task in workspace.ledger.tasks(Status.DONE, run=run.id):
        if task.landed is None or task.landed.how != "merged":
            continue
        if landed[task.id] == 0:
            yield Violation("lost", task.id, "it is done, and its commit is not on the branch")
        if refs.get(landed_ref(task.id), task.landed.commit) != task.landed.commit:
            yield Violation("landing", task.id, "its proof names another commit than it does")
    done = set(workspace.ledger.names(Status.DONE, run=run.id))
    for name, count in sorted(landed.items()):
        if count > 1:
            yield Violation("doubled", name, f"it landed {count} times")
        if name not in done:
            yield Violation("landing", name, "it has landed and is not done")


# -- the ledger's own branch -----------------------------------------------------------------------


def of_history(workspace: Workspace, *, seen: Iterable[str] = ()) -> Iterator[Violation]:
    """Yield what is wrong with the ledger's branch, whose journal is committed.

    *seen* are tips that were read while others worked: none of them may have been lost.
    """
    history = workspace.history
    tip = history.tip()
    if tip is None:
        yield Violation("history", history.branch, "the ledger's branch is gone")
        return
    commits = _line(workspace, tip)
    parents: tuple[str, ...] = ()
    for commit in commits:
        if commit.parents != parents:
            yield Violation("history", commit.oid, "the ledger's history is not one line")
        parents = (commit.oid,)
    lost = set(seen) - {commit.oid for commit in commits}
    for oid in sorted(lost):
        yield Violation("history", oid, "it was the tip once, and is not in the history")
    yield from of_faults(check(workspace, tip=tip).faults)
    yield from of_content(workspace)


def of_content(workspace: Workspace) -> Iterator[Violation]:
    """Compare the files of tasks, runs and results with the branch."""
    root = workspace.ledger.layout.root
    folders = (*(status.value for status in Status), "runs", "results")
    branch = {
        path: raw for path, raw in workspace.history.files()
        if path.startswith(tuple(f"{folder}/" for folder in folders))
    }  # fmt: skip
    there = {
        path.relative_to(root).as_posix(): path
        for folder in folders for path in (root / folder).rglob("*")
        if path.is_file() and not path.is_symlink()
    }  # fmt: skip
    for name in sorted(branch.keys() ^ there.keys()):
        where = "the folder" if name in there else "the branch"
        yield Violation("history", name, f"only {where} has it")
    for name in sorted(branch.keys() & there.keys()):
        if there[name].read_bytes() != branch[name]:
            yield Violation("history", name, "the branch has another content")
