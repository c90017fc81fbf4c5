"""Many machines come to one end whatever happens to them, and it is seen where they do not."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hubs import needs_git
from tests.support.processes import run_cli
from tests.support.repos import git, make_repo
from wfledger.cli.common import App
from wfledger.clock import SKEW
from wfledger.run.chaos.hubs import Hub

#: What a push says where the hub's hook or its door refuses it.
REFUSALS: dict[str, tuple[Callable[[Hub], None], str]] = {
    "everything": (lambda hub: hub.reject(everything=True), "takes nothing just now"),
    "branch": (lambda hub: hub.reject(branch="refs/heads/x*"), "is protected"),
}


def _push(repo: Path, hub: Hub, ref: str = "refs/heads/x") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["git", "push", hub.url(), f"HEAD:{ref}"], cwd=repo, capture_output=True, text=True,
        check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_hub_refuses_pushes_until_it_does_not(tmp_path: Path, name: str) -> None:
    refuse, words = REFUSALS[name]
    hub, repo = Hub(tmp_path / "hub", "path"), make_repo(tmp_path / "repo", {"a": "a\n"})
    refuse(hub)
    assert words in _push(repo, hub).stderr
    hub.reject()
    assert _push(repo, hub).returncode == 0


def test_hub_that_is_away_is_not_there_and_comes_back_with_what_it_had(tmp_path: Path) -> None:
    hub, repo = Hub(tmp_path / "hub", "path"), make_repo(tmp_path / "repo", {"a": "a\n"})
    assert _push(repo, hub).returncode == 0
    hub.down()
    assert _push(repo, hub).returncode != 0
    hub.up()
    assert hub.refs() == {"refs/heads/x": git(repo, "rev-parse", "HEAD")}


def test_hub_goes_back_only_from_where_it_is(tmp_path: Path) -> None:
    hub, repo = Hub(tmp_path / "hub", "path"), make_repo(tmp_path / "repo", {"a": "a\n"})
    git(repo, "commit", "--quiet", "--allow-empty", "--message=b")
    first, last = git(repo, "rev-parse", "HEAD~1"), git(repo, "rev-parse", "HEAD")
    _push(repo, hub)
    assert hub.ancestor(last, 1) == first
    assert hub.common([first, last]) == first
    assert not hub.swap("refs/heads/x", first, first)
    assert hub.has("refs/heads/x", last)
    assert hub.swap("refs/heads/x", first, last)
    assert not hub.has("refs/heads/x", last)


def test_wall_clock_is_wrong_by_as_much_as_the_torture_says_and_no_other_clock_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = App(Path()).clock
    monkeypatch.setenv(SKEW, "-86400")
    wrong = App(Path()).clock
    assert 86_390 < (right.now() - wrong.now()).total_seconds() < 86_410
    assert abs(right.elapsed() - wrong.elapsed()) < 10


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.requirement("WFL-HUB-130")
def test_four_machines_survive_a_short_torture_and_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_git("daemon")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    options = ["--clones", "4", "--tasks", "14", "--time", "5s", "--workers", "4", "--seed", "5"]
    done = run_cli("torture", *options, "--server", "git", "--json", cwd=tmp_path, timeout=380)
    assert done.status == 0, done
    found = json.loads(done.out)
    assert (found["ok"], found["violations"]) == (True, [])
    assert found["figures"]["executions"] >= found["done"] >= 12
    assert sum(found["faults"].values()) > 0
    assert list(tmp_path.glob("wfledger-torture-*")) == []
