"""Claims of several clones by plain git: what one would write first, without any ledger."""

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.repos import git, make_repo

_BRANCH = "tasks"


def fill_ref(folder: Path, clones: int, tasks: int) -> list[Path]:
    """Make a hub with a branch that holds *tasks* files on offer, and clones of it."""
    files = {f"pending/t{number:05}": "{}\n" for number in range(tasks)}
    hub = _hub(folder, files)
    return _clones(folder, hub, clones)


def fill_refs(folder: Path, clones: int, tasks: int) -> list[Path]:
    """Make a hub in which nothing has been claimed yet, and clones of it."""
    del tasks
    hub = _hub(folder, {"README": "x\n"})
    return _clones(folder, hub, clones)


def claim_by_commits(
    clone: Path, seat: int, seats: int, tasks: int, seconds: float
) -> list[str]:
    """Move a file to in-progress/ in a commit and push it, until the time is over."""
    del tasks, seats
    chance, taken = random.Random(seat), []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _git(clone, "fetch", "--quiet", "origin", _BRANCH)
        _git(clone, "reset", "--quiet", "--hard", "FETCH_HEAD")
        offers = sorted(path.name for path in (clone / "pending").iterdir())
        if not offers:
            break
        name = chance.choice(offers)
        (clone / "in-progress").mkdir(exist_ok=True)
        _git(clone, "mv", f"pending/{name}", f"in-progress/{name}")
        _git(clone, "commit", "--quiet", "-m", f"{name} by {seat}")
        if _git(clone, "push", "--quiet", "origin", f"HEAD:{_BRANCH}"):
            taken.append(name)
    return taken


def claim_by_refs(clone: Path, seat: int, seats: int, tasks: int, seconds: float) -> list[str]:
    """Create a ref that must not be there for each task, until the time is over."""
    taken = []
    deadline = time.monotonic() + seconds
    tip = git(clone, "rev-parse", "HEAD^{tree}")
    for number in _from(tasks * seat // seats, tasks):
        if time.monotonic() >= deadline:
            break
        name = f"t{number:05}"
        nonce = git(clone, "commit-tree", tip, "-m", f"{name} by {seat}")
        ref = f"refs/claims/{name}"
        if _git(clone, "push", "--quiet", f"--force-with-lease={ref}:", "origin", f"{nonce}:{ref}"):
            taken.append(name)
    return taken


def _from(first: int, count: int) -> Iterator[int]:
    yield from range(first, count)
    yield from range(first)


def _hub(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    source, hub = make_repo(folder / "source", files), folder / "hub.git"
    git(folder, "clone", "--quiet", "--bare", str(source), str(hub))
    git(hub, "branch", "--move", "main", _BRANCH)
    return hub


def _clones(folder: Path, hub: Path, count: int) -> list[Path]:
    found = [folder / f"clone{number}" for number in range(count)]
    for clone in found:
        git(folder, "clone", "--quiet", str(hub), str(clone))
    return found


def _git(clone: Path, *args: str) -> bool:
    done = subprocess.run(["git", *args], cwd=clone, capture_output=True, check=False)
    return done.returncode == 0
