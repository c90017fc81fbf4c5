"""Workers' verbs in a worktree: neither ID nor token is needed there, and an old one is refused."""

from pathlib import Path

import pytest

from tests.support.driving import take, writer
from tests.support.repos import write
from tests.support.terminal import open_terminal


@pytest.mark.long
@pytest.mark.requirement("WFL-BRIEF-004")
def test_who_stands_in_a_worktree_acts_for_its_attempt(tmp_path: Path) -> None:
    terminal = open_terminal(tmp_path)
    held = writer(terminal)
    below = held.folder / "src"
    found = terminal.json("wfledger heartbeat", cwd=below)
    assert (found["task"], found["heartbeat"]) == (held.task, 1)
    assert "stand in its worktree" in terminal("wfledger heartbeat", status=2).err
    terminal("wfledger heartbeat one", status=4)  # from elsewhere it is nobody's
    terminal("wfledger release", env=held.env)
    again = take(terminal, held.task)
    write(held.folder, {"src/app.py": "A = 3\n"})  # the old worktree, as a zombie would have it
    terminal("wfledger complete", cwd=held.folder, status=2)
    write(again.folder, {"src/app.py": "A = 2\n"})
    assert terminal.json("wfledger complete --check", cwd=again.folder)["landing"] == "done"
