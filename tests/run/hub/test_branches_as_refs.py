"""Where a server takes nothing but branches, keeps them from being rewritten, or refuses some."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.repos import git
from tests.support.sharing import granting, share, synced
from tests.support.workspaces import add_run, add_task
from wfledger.core.statuses import Status
from wfledger.run.hub import beating
from wfledger.run.hub.proposals import Proposal, Sight, TargetPush
from wfledger.run.hub.state import write_hub
from wfledger.run.workspace import Workspace
from wfledger.vcs.remote import RemoteUpdate, push


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-049")
def test_heartbeats_go_on_where_branches_only_move_forward(tmp_path: Path) -> None:
    workspace = share(tmp_path, 1)[0]
    assert workspace.hub is not None
    hub = replace(workspace.hub, space="branches")
    write_hub(workspace.ledger.layout.local, hub)
    git(Path(hub.url), "config", "receive.denyNonFastForwards", "true")
    seen = None
    for number in (1, 2, 3):
        beat = beating.compose(workspace, seen, interval_s=1.0)
        assert beat.ref.startswith("refs/heads/wfledger-beat/")
        update = RemoteUpdate(beat.ref, beat.new, beat.old)
        done = push(workspace.repo, hub.url, [update], atomic=False, timeout=60)
        assert done.outcome == "ok", done.said
        beating.confirmed(workspace, beat.new, workspace.clock.elapsed())
        found = beating.read(workspace, beat.new)
        assert found is not None
        assert found.number == number
        seen = beat.new


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-035")
def test_a_branch_that_was_refused_when_its_run_came_is_made_by_what_lands_on_it(
    tmp_path: Path,
) -> None:
    workspace = share(tmp_path, 1)[0]
    assert workspace.hub is not None
    hub = Path(workspace.hub.url)
    hook = hub / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/heads/wf/*) exit 1;; esac\n')
    hook.chmod(0o755)
    run = add_run(workspace)
    add_task(workspace, "a")
    assert [met.outcome for met in synced(workspace, proposers=[granting])] == ["ok"]
    assert workspace.ledger.names(Status.PENDING)
    hook.unlink()
    base = git(workspace.main, "rev-parse", "main")
    tree = git(workspace.main, "rev-parse", "main^{tree}")
    landed = git(workspace.main, "commit-tree", "-p", base, "-m", "landed", tree)

    def landing(workspace: Workspace, sight: Sight) -> list[Proposal]:
        del workspace, sight
        return [Proposal("land", targets=(TargetPush(run.branch, None, landed),))]

    assert [met.outcome for met in synced(workspace, proposers=[landing])] == ["ok"]
    assert git(hub, "rev-parse", run.branch) == landed
