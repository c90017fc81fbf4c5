"""What every test stands on: a sealed environment and a repository."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import processes, repos, sealed
from tests.support.clock import FakeClock
from tests.support.hubs import hubs
from tests.support.rehearsals import rehearse

#: Fixtures for all of them.
__all__ = ["hubs", "rehearse"]

# Set before hypothesis first needs it: its cache must not appear in a test's folder.
os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(tempfile.gettempdir()) / "wfledger-hypothesis")
)
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")
# Else each of thousands of processes compiles all of it again, and each worker its tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A shell ignores these for what it starts in the background, and all our processes would with us.
for ignored in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        default = signal.default_int_handler if ignored is signal.SIGINT else signal.SIG_DFL
        signal.signal(ignored, default)


@pytest.fixture(autouse=True)
def seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give each test a home, an identity and a current directory of its own."""
    home = tmp_path.with_name(f"{tmp_path.name}-home")
    sealed.furnish(home)
    environment = sealed.variables(home)
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    sealed.point_libgit2_at(home)
    before = os.umask(sealed.UMASK)
    yield home
    os.umask(before)
    processes.end_all()


@pytest.fixture
def home(seal: Path) -> Path:
    """The sealed home directory."""
    return seal


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit on main: README.md and src/app.py."""
    return repos.make_repo(
        tmp_path / "repo", {"README.md": "# sample\n", "src/app.py": "VALUE = 1\n"}
    )


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all but every nth case of a `sampled(n)` test to the full suite."""
    counts: dict[tuple[Path, str], int] = {}
    for item in items:
        mark = item.get_closest_marker("sampled")
        if mark is None:
            continue
        key = (item.path, getattr(item, "originalname", item.name))
        number = counts.get(key, 0)
        counts[key] = number + 1
        if number % mark.args[0]:
            item.add_marker("long")
