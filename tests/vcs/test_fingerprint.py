"""What counts as a change of the shared git directory, and what is git's own upkeep."""

from pathlib import Path

import pytest

from wfledger.vcs import fingerprint


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("refs", False), ("refs_96D60s", False), ("exclude.lock", False),
        ("sparse-checkout", False), ("attributes", True), ("grafts", True), ("refs_other", True),
    ],
)  # fmt: skip
def test_upkeep_of_git_is_no_change_of_info(repo: Path, name: str, counts: bool) -> None:
    before = fingerprint.take(repo / ".git").items
    (repo / ".git/info" / name).write_text("x\n")
    assert (fingerprint.take(repo / ".git").items != before) is counts
