"""Where a server takes nothing but branches, and keeps them from being rewritten."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.repos import git
from tests.support.sharing import share
from wfledger.run.hub import beating
from wfledger.run.hub.state import write_hub
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
        done = push(workspace.repo, hub.url, [update], atomic=False, timeout=20)
        assert done.outcome == "ok", done.said
        beating.confirmed(workspace, beat.new, workspace.clock.elapsed())
        found = beating.read(workspace, beat.new)
        assert found is not None
        assert found.number == number
        seen = beat.new
