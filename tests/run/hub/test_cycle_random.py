"""Three machines at random: pushes are cut, processes killed, and all of them agree at the end."""

import random
from pathlib import Path

import pytest

from tests.support.crashing import die_at
from tests.support.randomfleet import Chance, meet_at, vanished
from tests.support.sharing import on_hub, reopened, share, shows_the_tip, synced
from tests.support.workspaces import add_run
from wfledger.run.byhand.adopting import Adopter
from wfledger.run.hub import losses

MACHINES, STEPS = 3, 20


def cut(hub: Path, name: str) -> None:
    """Let a server die at a push for which the file `cut-NAME` is there."""
    path, mark = hub / "hooks" / name, hub / f"cut-{name}"
    path.write_text(f"#!/bin/sh\n[ ! -e {mark} ] || {{ rm -f {mark}; kill -9 $PPID; }}\n")
    path.chmod(0o755)


def step(chance: Chance, rng: random.Random, hub: Path) -> None:
    """Let people and workers of a machine do something, or the machine meet the remote."""
    if rng.random() < 0.6:
        chance.act()
        return
    mark = hub / f"cut-{rng.choice(('pre-receive', 'post-receive'))}"
    if rng.random() < 0.3:
        mark.touch()
    seed = rng.randrange(10**6)
    if rng.random() < 0.5:
        die_at(chance.workspace.main, lambda root: meet_at(root, seed), rng.randrange(1, 90))
    else:
        meet_at(chance.workspace.main, seed)
    mark.unlink(missing_ok=True)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-022", "WFL-HUB-018")
@pytest.mark.parametrize("seed", [1])
def test_whatever_happens_all_machines_agree_and_nothing_vanishes(
    tmp_path: Path, seed: int
) -> None:
    rng, hub = random.Random(seed), tmp_path / "hub.git"
    machines = share(tmp_path, MACHINES)
    for name in ("pre-receive", "post-receive"):
        cut(hub, name)
    add_run(machines[0])
    synced(*machines)
    chances = [Chance(workspace, rng) for workspace in machines]
    for _ in range(STEPS):
        step(rng.choice(chances), rng, hub)
    for _ in range(3):
        for workspace in machines:
            Adopter(reopened(workspace)).step()
            assert synced(reopened(workspace))[0].is_well
    for workspace in map(reopened, machines):
        assert workspace.ledger.journal.is_empty()
        shows_the_tip(workspace)
        root = workspace.ledger.layout.root
        for path, raw in on_hub(workspace).items():
            if path.startswith(("runs/", "results/", "ledger.json")):
                assert (root / path).read_bytes() == raw, path
        assert losses.odd(workspace) == {}
    assert vanished(chances) == []
