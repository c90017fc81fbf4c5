"""What agents tell their hooks: the same members, tools of their own."""

import json
from pathlib import Path
from typing import Any

import pytest

from wfledger.run.hooks import events

CWD = Path("/w")
PATCH = "*** Begin Patch\n*** Update File: a.py\n@@\n*** Move to: b.py\n*** Add File: /x/c\n*** End Patch"


def said(tool: str, **arguments: Any) -> events.Event:
    raw = json.dumps(
        {"session_id": "s", "cwd": "/w/sub", "hook_event_name": "PreToolUse", "tool_name": tool,
         "tool_input": arguments}
    )  # fmt: skip
    return events.read(raw.encode(), "PreToolUse", cwd=CWD)


@pytest.mark.parametrize(
    ("event", "paths"),
    [
        (said("Edit", file_path="/w/a", old_string="x", new_string="y"), ["/w/a"]),
        (said("MultiEdit", file_path="/w/a", edits=[]), ["/w/a"]),
        (said("Write", file_path="a", content=""), ["/w/sub/a"]),
        (said("NotebookEdit", notebook_path="/w/n.ipynb"), ["/w/n.ipynb"]),
        (said("Write", path="a", content=""), ["/w/sub/a"]),
        (said("write_file", file_path="/w/a"), ["/w/a"]),
        (said("edit", filePath="/w/a"), ["/w/a"]),
        (said("apply_patch", command=PATCH), ["/w/sub/a.py", "/w/sub/b.py", "/x/c"]),
        (said("patch", patchText=PATCH), ["/w/sub/a.py", "/w/sub/b.py", "/x/c"]),
        (said("Read", file_path="/w/a"), []),
        (said("mcp__x__write", file_path="/w/a"), []),
    ],
)
def test_files_of_every_agents_tools_are_known(event: events.Event, paths: list[str]) -> None:
    assert [str(path) for path in event.writes] == paths
    assert not event.by_shell


@pytest.mark.parametrize(
    "event",
    [
        said("Bash", command="touch a"),
        said("run_shell_command", command="touch a"),
        said("bash", command="touch a", workdir="/w/sub"),
        said("shell", command=["bash", "-lc", "touch a"]),
        said("exec_command", cmd="touch a"),
    ],
)
def test_commands_of_every_agents_shell_are_read(event: events.Event) -> None:
    assert event.writes == (Path("/w/sub/a"),)
    assert event.by_shell


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"\xff", b'{"cwd": 1, "tool_name": [], "session_id": {}}', b"[" * 9999,
            b'{"tool_name": "Edit", "tool_input": {"file_path": 3}}',
            b'{"tool_name": "Bash", "tool_input": {"command": {"a": 1}}}']
)  # fmt: skip
def test_news_of_another_form_says_nothing(raw: bytes) -> None:
    event = events.read(raw, "PreToolUse", cwd=CWD)
    assert (event.writes, event.cwd, event.session) == ((), CWD, "")


def test_sub_agents_are_sessions_of_their_own_and_lookers_are_known() -> None:
    raw = json.dumps({"session_id": "s", "agent_id": "a1", "agent_type": "Explore"}).encode()
    event = events.read(raw, "SubagentStop", cwd=CWD)
    assert (event.session, event.is_looker) == ("s/a1", True)
