"""Whatever a worker plants for git to run, none of it ever runs in the supervisor (I20)."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.engines import LIMITS, drive, statuses
from tests.support.planting_git import (
    CONFIGURATION,
    FILES,
    OWN,
    canaries,
    planting,
    touched,
)
from tests.support.repos import git
from tests.support.terminal import call
from tests.support.workspaces import BRANCH, RUN, add_task, make_workspace, open_workspace
from wfledger.errors import PausedError
from wfledger.run.guard import trusting
from wfledger.run.pausing import alarm_of
from wfledger.run.workspace import Workspace

TREE = {"README.md": "# sample\n", "src/a.txt": "a\n"}
EVIL, NEXT = f"{RUN}.evil", f"{RUN}.next"
#: Masked or masking where they are planted together with others.
ALONE = {
    "alias", "include.path", "includeIf", "core.hooksPath", "core.attributesFile",
    "commondir", "unreadable config", "commondir of the ledger",
    "gitdir of the ledger", "fleet.toml", "ledger.json",
    "unreadable fleet.toml", "unreadable ledger.json",
}  # fmt: skip
TOGETHER = [name for name in (*CONFIGURATION, *FILES) if name not in ALONE]
ALL = {**CONFIGURATION, **FILES, **OWN}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return canaries(tmp_path / "canaries")


def live(workspace: Workspace, lines: str, folder: Path) -> None:
    """Let a worker plant, and then everything else happen that a ledger sees in its life."""
    work = planting(lines, folder) + "echo evil >> src/a.txt\n"
    add_task(workspace, "evil", command=work, write=("src",), limits=LIMITS,
             verify=({"kind": "command", "command": "test -d src"},))  # fmt: skip
    add_task(workspace, "next", command="echo b > src/b.txt", write=("src",), limits=LIMITS,
             after=(EVIL,))  # fmt: skip
    with suppress(PausedError):  # where what was left cannot be read
        drive(workspace)


def look(root: Path) -> Iterator[int]:
    """Call every verb that looks at what came of it, or brings it somewhere."""
    for line in ("status", f"why {EVIL}", f"diff {EVIL}", f"open {EVIL}", f"accept {EVIL}",
                 f"land {RUN} --yes", "doctor", "tick", f"history {EVIL}"):  # fmt: skip
        yield call(*line.split(), cwd=root).status


def go_on(root: Path, folder: Path) -> None:
    """Put back what was there, and let the run come to its end."""
    list(look(root))
    assert touched(folder) == []
    if alarm_of(open_workspace(root)) is not None:
        assert trusting.restore(open_workspace(root)) == ()
    drive(open_workspace(root))
    list(look(root))
    assert touched(folder) == []


@pytest.mark.long
@pytest.mark.requirement("WFL-REC-033")
def test_nothing_that_a_worker_plants_runs(tmp_path: Path, folder: Path) -> None:
    workspace = make_workspace(tmp_path, TREE)
    live(workspace, "\n".join(ALL[name] for name in TOGETHER), folder)
    assert alarm_of(workspace) is not None
    assert len(trusting.suspicion(workspace).changes) > 40
    go_on(workspace.main, folder)
    assert statuses(workspace) == {EVIL: "done", NEXT: "done"}


@pytest.mark.long
@pytest.mark.parametrize("name", sorted({*ALONE, *OWN}))
def test_nothing_that_a_worker_plants_runs_alone_either(
    tmp_path: Path, folder: Path, name: str
) -> None:
    workspace = make_workspace(tmp_path, TREE)
    live(workspace, ALL[name], folder)
    assert (alarm_of(workspace) is None) == (name in OWN)
    go_on(workspace.main, folder)
    assert statuses(workspace)[NEXT] == "done" or name == ".gitattributes"


@pytest.mark.long
@pytest.mark.parametrize("name", ["core.fsmonitor", "core.hooksPath", "hooks", "info/attributes"])
def test_the_canaries_sing(tmp_path: Path, folder: Path, name: str) -> None:
    """What the tests above rest on: git itself does run what was planted."""
    workspace = make_workspace(tmp_path, TREE)
    live(workspace, ALL[name], folder)
    (workspace.main / "src/a.txt").write_text("changed\n")
    git(workspace.main, "commit", "-qam", "one")
    git(workspace.main, "checkout", "-q", "-b", "other")
    assert touched(folder) != []


@pytest.mark.requirement("WFL-REC-033")
def test_the_users_own_filters_run_when_results_are_brought(tmp_path: Path, folder: Path) -> None:
    workspace = make_workspace(tmp_path, TREE | {".gitattributes": "*.txt filter=own\n"})
    git(workspace.main, "config", "filter.own.smudge", f"touch {folder / 'own'}; cat")
    git(workspace.main, "config", "filter.own.clean", "cat")
    add_task(workspace, "a", command="echo b > src/b.txt", write=("src",), limits=LIMITS)
    drive(workspace)
    assert git(workspace.main, "rev-parse", BRANCH) != git(workspace.main, "rev-parse", "main")
    assert call("land", RUN, "--yes", cwd=workspace.main).status == 0
    assert (folder / "own").exists()
