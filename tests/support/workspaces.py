"""Ledgers in real repositories, with runs, tasks and results, as the runtime finds them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.repos import git, make_repo
from wfledger.clock import Clock, SystemClock, iso
from wfledger.core.documents import Result, Run, Task, TaskSpec
from wfledger.core.policy import Policy
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.claims import claim
from wfledger.run.attempts.closing import close
from wfledger.run.setup import initialise
from wfledger.run.workspace import Workspace

RUN = "r1"
BRANCH = f"refs/heads/wf/{RUN}"
_WHO = "Worker <worker@example.org> 1767603600 +0000"


@dataclass(frozen=True)
class Special:
    """What is no ordinary file: its git mode, and its content or the commit it names."""

    mode: int
    data: str


def link(target: str) -> Special:
    """Return a symbolic link to *target*."""
    return Special(0o120000, target)


def script(text: str) -> Special:
    """Return an executable file."""
    return Special(0o100755, text)


def gitlink(oid: str) -> Special:
    """Return a repository inside the repository, at *oid*."""
    return Special(0o160000, oid)


Content = str | bytes | Special | None


def make_workspace(
    tmp_path: Path,
    files: Mapping[str, str | bytes] | None = None,
    *,
    policy: Policy | None = None,
    fleet: str = "",
    clock: Clock | None = None,
) -> Workspace:
    """Create `tmp_path/repo` with *files* on main, a ledger in it, and the run `r1` of main."""
    root = make_repo(tmp_path / "repo", files or {"README.md": "# sample\n"})
    clock = clock or SystemClock()
    initialise(root, clock=clock, policy=policy)
    workspace = open_workspace(root, clock=clock)
    (workspace.ledger.layout.root / "fleet.toml").write_text(fleet)
    add_run(workspace)
    return workspace


def open_workspace(root: Path, *, clock: Clock | None = None) -> Workspace:
    """Open the ledger of the repository at *root*, as another process would."""
    state_home = Path(os.environ["XDG_STATE_HOME"])
    return Workspace.open(root, clock=clock or SystemClock(), state_home=state_home)


def add_run(workspace: Workspace, run_id: str = RUN) -> Run:
    """Put a run into the ledger whose branch `wf/<run>` is at main's tip."""
    base = git(workspace.main, "rev-parse", "refs/heads/main")
    branch = f"refs/heads/wf/{run_id}"
    git(workspace.main, "update-ref", branch, base)
    run = Run(
        id=run_id, seq=1, created=iso(workspace.clock.now()), branch=branch,
        target="refs/heads/main", base=base,
    )  # fmt: skip
    with workspace.ledger.transaction("test") as changes:
        changes.put_run(run, why="submitted")
    return run


def add_task(workspace: Workspace, node: str, *, run_id: str = RUN, **spec: Any) -> Task:
    """Put a task into waiting/."""
    made = TaskSpec(**({"command": "true"} | spec))
    task = Task(
        id=f"{run_id}.{node}", run=run_id, seq=1, attempt=0, created=iso(workspace.clock.now()),
        spec=made, spec_sha256=made.digest(),
    )  # fmt: skip
    with workspace.ledger.transaction("test") as changes:
        changes.add(task)
    return task


def start(workspace: Workspace, task_id: str) -> Task:
    """Put a waiting task on offer and claim it."""
    with workspace.ledger.transaction("test") as changes:
        attempt = changes.get(task_id).task.attempt + 1
        changes.move(
            task_id, Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=attempt
        )
    return claim(workspace, worker="worker", task_id=task_id).task


def hand_in(
    workspace: Workspace, task: Task, files: Mapping[str, Content], *, base: str, **result: Any
) -> str:
    """End the attempt of a claimed task with *files* changed on *base*; returns the kept head."""
    head = base
    if files:
        ref = f"refs/wfledger/keep/{task.id}/{task.attempt}"
        head = change(workspace.main, ref, files, base=base)
    fields: dict[str, Any] = {"status": "succeeded", "exit_status": 0, "base": base, "head": head}
    fields |= result
    close(workspace, Result(task=task.id, attempt=task.attempt, **fields), by="test")
    return head


def put_merging(
    workspace: Workspace,
    node: str,
    files: Mapping[str, Content],
    *,
    base: str | None = None,
    result: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Task:
    """Put the task `r1.<node>`, whose first attempt changed *files*, into merging/."""
    spec = {"write": ("src",)} | spec
    base = base or git(workspace.main, "rev-parse", BRANCH)
    task = start(workspace, add_task(workspace, node, **spec).id)
    hand_in(workspace, task, files, base=base, **(result or {}))
    return workspace.ledger.get(task.id).task


def change(root: Path, ref: str, files: Mapping[str, Content], *, base: str) -> str:
    """Make *ref* a commit that changes *files* of *base* (None deletes); no checkout is needed."""
    head = f"commit {ref}\ncommitter {_WHO}\n".encode()
    stream = [head, _data("work"), f"from {base}\n".encode()]
    stream += [_line(name, content) for name, content in files.items()]
    if git(root, "for-each-ref", ref):
        git(root, "update-ref", "-d", ref)
    git(root, "fast-import", "--quiet", "--done", stdin=b"".join([*stream, b"\ndone\n"]))
    return git(root, "rev-parse", ref)


def move_branch(root: Path, files: Mapping[str, Content], *, ref: str = BRANCH) -> str:
    """Let somebody else commit *files* on *ref*; returns the new tip."""
    made = change(root, "refs/test/other", files, base=git(root, "rev-parse", ref))
    git(root, "update-ref", ref, made)
    return made


def _line(name: str, content: Content) -> bytes:
    if content is None:
        return f"D {name}\n".encode()
    if isinstance(content, Special) and content.mode == 0o160000:
        return f"M 160000 {content.data} {name}\n".encode()
    mode = content.mode if isinstance(content, Special) else 0o100644
    data = content.data if isinstance(content, Special) else content
    return f"M {mode:o} inline {name}\n".encode() + _data(data)


def _data(content: str | bytes) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return b"data %d\n%b\n" % (len(raw), raw)
