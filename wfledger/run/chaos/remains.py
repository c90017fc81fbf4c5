"""What must not be left when nothing runs: processes, worktrees, branches, records, locks."""

from collections.abc import Iterator

from wfledger.run.attempts import worktrees
from wfledger.run.attempts.commanding import tag_for
from wfledger.run.chaos.invariants import Violation
from wfledger.run.processes.process import tagged
from wfledger.run.refnames import TRY
from wfledger.run.workspace import LOCAL, Workspace
from wfledger.vcs.refs import refs_under
from wfledger.vcs.registry import listed, normal


def of_remains(workspace: Workspace) -> Iterator[Violation]:
    """Yield what attempts and landings that are over have left on this machine."""
    for tag, pids in sorted(tagged(tag_for(workspace, "")).items()):
        yield Violation("orphan", tag, f"processes of it are alive: {', '.join(map(str, pids))}")
    root = normal(workspace.ledger.layout.root)
    for info in listed(workspace.repo):
        if normal(info.path) != root:
            yield Violation("leftover", str(info.path), "a worktree is left")
    for place in worktrees.recorded(workspace):
        yield Violation("leftover", place.name, "the record of a worktree is left")
    for ref in sorted(refs_under(workspace.repo, TRY)):
        yield Violation("leftover", ref, "the branch of an attempt is left")
    if workspace.state.is_dir():
        for path in sorted(workspace.state.iterdir()):
            yield Violation("leftover", str(path), "a folder of an attempt is left")
    for path in sorted(workspace.common_dir.rglob("*.lock")):
        if LOCAL not in path.relative_to(workspace.common_dir).parts[:1]:
            yield Violation("leftover", str(path), "a lock of git is left")
