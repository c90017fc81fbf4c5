"""The verb `hook`: from a claim at a prompt through an agent's hooks to the end."""

import json
import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import run
from tests.support.terminal import Terminal, open_terminal


def _asked(event: str, cwd: Path, path: str = "") -> str:
    said = {"session_id": "s", "cwd": str(cwd), "hook_event_name": event}
    if path:
        said |= {"tool_name": "Write", "tool_input": {"file_path": path, "content": ""}}  # type: ignore[dict-item]
    return json.dumps(said)


def _claimed(terminal: Terminal) -> Path:
    """Claim a task that may write src; return its worktree, whose name says which it is."""
    task = {"id": "one", "command": "true", "write": ["src"]}
    name = terminal.json(f"wfledger run --yes --detach {terminal.plan(task)}")["run"] + ".one"
    return Path(terminal.json(f"wfledger claim {name} --worktree")["worktree"])


@pytest.mark.requirement("WFL-HOOK-002", "WFL-HOOK-003", "WFL-HOOK-005")
def test_claimed_session_from_claim_to_end(tmp_path: Path) -> None:
    terminal = open_terminal(tmp_path)
    folder = _claimed(terminal)
    name = folder.name.removesuffix(".1")
    hook = "wfledger hook claude"
    refused = terminal.shell(
        f"{hook} PreToolUse", cwd=folder, stdin=_asked("PreToolUse", folder, "x.md"), status=2
    )
    assert (refused.out, refused.err.count("\n")) == ("", 1)
    terminal.shell(f"{hook} PostToolUse", cwd=folder, stdin=_asked("PostToolUse", folder))
    assert terminal.workspace.ledger.layout.beat(name, 1).read_text() == "1"
    terminal.shell(f"{hook} Stop", cwd=folder, stdin=_asked("Stop", folder), status=2)
    (folder / "src/app.py").write_text("A = 2\n")
    token = terminal.workspace.ledger.layout.token(name, 1).read_text()
    terminal(f"wfledger complete {name} --token {token}", cwd=folder)
    terminal.shell(f"{hook} Stop", stdin=_asked("Stop", folder))


@pytest.mark.requirement("WFL-HOOK-006")
def test_no_call_of_the_verb_itself_looks_like_a_refusal(tmp_path: Path) -> None:
    terminal = open_terminal(tmp_path)
    for line in ("wfledger hook", "wfledger hook claude", "wfledger hook x Y --later z",
                 "wfledger hook claude PreToolUse"):  # fmt: skip
        assert terminal(line) == (0, "", "")


@pytest.mark.long
@pytest.mark.requirement("WFL-HOOK-006")
def test_standard_input_that_is_closed_says_nothing(tmp_path: Path) -> None:
    terminal = open_terminal(tmp_path)
    assert terminal.shell("wfledger hook claude Stop <&-").err == ""


_LOADED = """
import io, json, sys
sys.argv, asked = ["wfledger", "hook", "claude", "PreToolUse"], sys.stdin.buffer.read()
sys.stdin = io.TextIOWrapper(io.BytesIO(asked))
from wfledger.cli.main import main
try:
    main()
except SystemExit as ended:
    loaded = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps([ended.code or 0, loaded]))
"""


@pytest.mark.long
@pytest.mark.requirement("WFL-HOOK-007")
def test_hook_starts_light_with_and_without_a_claim(tmp_path: Path) -> None:
    terminal = open_terminal(tmp_path)
    folder = _claimed(terminal)
    heavy = {"pygit2", "rich", "ruamel", "watchdog", "openai", "mcp", "pydantic", "asyncio"}
    for place, path, status in ((terminal.root, "x", 0), (folder, "src/x", 0), (folder, "x", 2)):
        done = run(sys.executable, "-c", _LOADED, cwd=place, input=_asked("PreToolUse", place, path))
        ended, loaded = json.loads(done.out)
        assert (ended, heavy & set(loaded)) == (status, set())


@pytest.mark.long
@pytest.mark.requirement("WFL-HOOK-007")
def test_hook_of_a_claimed_session_takes_little_longer_than_its_imports(tmp_path: Path) -> None:
    folder = _claimed(open_terminal(tmp_path))
    asked = _asked("PreToolUse", folder, "src/x")
    spent: dict[str, list[float]] = {"hook": [], "bare": []}
    calls = {"bare": ("-c", "import click, pydantic"),
             "hook": ("-m", "wfledger", "hook", "claude", "PreToolUse")}  # fmt: skip
    for _ in range(7):
        for kind, arguments in calls.items():
            began = time.perf_counter()
            assert run(sys.executable, *arguments, cwd=folder, input=asked).status == 0
            spent[kind].append(time.perf_counter() - began)
    assert statistics.median(spent["hook"]) <= 2.5 * statistics.median(spent["bare"]), spent
