"""fleet.toml is read whole, its mistakes are named at once, and no prompt becomes a command."""

import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest

from wfledger.core.documents import Limits
from wfledger.errors import InvalidDocumentError, NotFoundError
from wfledger.run.config.fleetfile import load
from wfledger.run.config.roles import (
    PLACEHOLDERS,
    Filling,
    Fleet,
    Role,
    Worktree,
    argv_for,
    propose,
)
from wfledger.run.config.templates import ARGUMENT_BYTES

FULL = """
[defaults]
role = "claude"
workers = 6

[role.claude]
argv = ["claude", "-p", "{prompt}", "--max-turns", "{max_steps}"]
pass = ["ANTHROPIC_API_KEY", "CLAUDE_*"]
env = { CLAUDE_CODE_MAX_RETRIES = "0" }
timeout = "20m"
limits = { idle_s = 300, silence_s = "10m", output_bytes = 4096 }
slots = 3
max_steps = 40

[role.local]
argv = ["./run-agent", "--prompt={prompt_file}", "{{literal}}"]

[env]
pass = ["HTTP_PROXY"]

[worktree]
setup = "npm ci"
copy = [".env", "config/"]
link = ["node_modules"]
timeout = 90
"""
FILLING = Filling(
    prompt="do it",
    prompt_file="/p.md",
    task="r.t",
    attempt=2,
    run="r",
    worktree="/wt",
    result_file="/res.json",
)


def mistakes(text: str) -> dict[str, str]:
    with pytest.raises(InvalidDocumentError) as caught:
        load(text)
    return {error["pointer"]: error["message"] for error in caught.value.facts["errors"]}


def role(*argv: str) -> Role:
    return Role("tool", argv)


def test_whole_file_is_read() -> None:
    fleet = load(FULL)
    assert fleet.role(None) == Role(
        name="claude",
        argv=("claude", "-p", "{prompt}", "--max-turns", "{max_steps}"),
        env=(("CLAUDE_CODE_MAX_RETRIES", "0"),),
        pass_names=("ANTHROPIC_API_KEY", "CLAUDE_*"),
        limits=Limits(wall_s=1200.0, idle_s=300.0, silence_s=600.0, output_bytes=4096),
        slots=3,
        max_steps=40,
    )
    assert fleet.worktree == Worktree("npm ci", (".env", "config"), ("node_modules",), 90.0)
    assert (fleet.env_pass, fleet.workers, fleet.warnings) == (("HTTP_PROXY",), 6, ())


def test_empty_file_is_an_empty_fleet() -> None:
    assert load("") == Fleet()


def test_only_role_is_the_default() -> None:
    assert load('[role.one]\nargv = ["x", "{prompt}"]').role(None).name == "one"


def test_unknown_role_is_named_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError) as caught:
        load(FULL).role("codex")
    assert "claude, local" in caught.value.message
    with pytest.raises(NotFoundError):
        Fleet().role(None)


def test_all_mistakes_are_named_at_once() -> None:
    found = mistakes(
        """
        roles = 1
        [defaults]
        role = "nobody"
        workers = 0
        [role.a]
        argvs = ["x"]
        timeout = "soon"
        slots = true
        [role.a.limits]
        wall = 3
        [role.b]
        argv = ["x", "{promt}", "{", "}"]
        timeout = 3
        limits = { wall_s = 4 }
        [role.c]
        argv = "claude {prompt}"
        env = { "BAD NAME" = "1", WFLEDGER_TASK = "x", N = 1 }
        [env]
        pass = ["A B", 3]
        [worktree]
        copy = ["../up", "/etc", ".git/config", "a//b", "node_modules"]
        link = ["node_modules"]
        setup = ""
        timeout = nan
        """
    )
    assert set(found) == {
        "/roles", "/defaults/role", "/defaults/workers",
        "/role/a/argv", "/role/a/argvs", "/role/a/timeout", "/role/a/slots", "/role/a/limits/wall",
        "/role/b/argv", "/role/b/timeout",
        "/role/c/argv", "/role/c/env/BAD NAME", "/role/c/env/WFLEDGER_TASK", "/role/c/env/N",
        "/env/pass", "/worktree/copy", "/worktree/link", "/worktree/setup", "/worktree/timeout",
    }  # fmt: skip
    assert "did you mean argv?" in found["/role/a/argvs"]
    assert found["/role/c/env/BAD NAME"].startswith('role.c.env."BAD NAME":')


def test_message_names_file_and_key() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        load("[worktree]\nsetups = 1", source=".wfledger/fleet.toml")
    assert caught.value.message.startswith(".wfledger/fleet.toml: worktree.setups: ")


def test_syntax_error_names_the_line() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        load("[env]\npass = [}")
    assert "line 2" in caught.value.message


def test_unknown_placeholder_names_the_known_ones() -> None:
    found = mistakes('[role.a]\nargv = ["x", "{nobody}"]')
    assert all(f"{{{name}}}" in found["/role/a/argv"] for name in PLACEHOLDERS)


@pytest.mark.parametrize("value", ["sk-" + "a" * 24, "0123456789abcdef"])
def test_secret_in_the_file_is_refused(value: str) -> None:
    found = mistakes(f'[role.a]\nargv = ["x"]\nenv = {{ OPENAI_API_KEY = "{value}" }}')
    assert "/role/a/env/OPENAI_API_KEY" in found
    assert value not in str(found)


def test_stand_in_for_a_secret_is_allowed() -> None:
    fleet = load('[role.a]\nargv = ["x", "{prompt}"]\nenv = { OPENAI_API_KEY = "none" }')
    assert fleet.roles[0].env == (("OPENAI_API_KEY", "none"),)


def test_role_that_never_sees_its_prompt_is_warned_of() -> None:
    assert len(load('[role.a]\nargv = ["x"]').warnings) == 1


def test_placeholders_are_filled_and_braces_unescaped() -> None:
    filled = argv_for(
        role("x", "{task}/{attempt} {{task}} {run}", "{result_file}:{worktree}"), FILLING
    )
    assert filled == ("x", "r.t/2 {task} r", "/res.json:/wt")


def test_values_are_not_filled_again() -> None:
    assert argv_for(role("x", "{prompt}"), replace(FILLING, prompt="{task} {{")) == (
        "x",
        "{task} {{",
    )


def test_prompt_reaches_the_program_as_one_argument() -> None:
    prompt = "$(touch x) `id` 'q' \"q\"\n; rm -rf * | & \\ {x}"
    program = role(sys.executable, "-c", "import sys; sys.stdout.write(sys.argv[1])", "{prompt}")
    filled = argv_for(program, replace(FILLING, prompt=prompt))
    assert subprocess.run(filled, capture_output=True, check=True, text=True).stdout == prompt


def test_prompt_cannot_be_an_option() -> None:
    filled = argv_for(role("x", "{prompt}", "-{task}"), replace(FILLING, prompt="--yes"))
    assert filled == ("x", " --yes", "-r.t")


def test_longest_argument_of_the_kernel_fits_and_no_more() -> None:
    echo = role(sys.executable, "-c", "pass", "{prompt}")
    fits = replace(FILLING, prompt="x" * (ARGUMENT_BYTES - 1))
    assert subprocess.run(argv_for(echo, fits), check=True).returncode == 0
    with pytest.raises(InvalidDocumentError) as caught:
        argv_for(echo, replace(FILLING, prompt="x" * ARGUMENT_BYTES))
    assert "{prompt_file}" in str(caught.value.hint)


@pytest.mark.parametrize("prompt", ["a\0b", "\ud800"])
def test_prompt_that_no_argument_can_hold_is_refused(prompt: str) -> None:
    with pytest.raises(InvalidDocumentError):
        argv_for(role("x", "{prompt}"), replace(FILLING, prompt=prompt))


def test_missing_step_limit_is_taken_from_the_role_or_refused() -> None:
    template = role("x", "{max_steps}")
    assert argv_for(template, replace(FILLING, max_steps=3)) == ("x", "3")
    assert argv_for(replace(template, max_steps=9), FILLING) == ("x", "9")
    with pytest.raises(InvalidDocumentError):
        argv_for(template, FILLING)


NAMES = [
    "uv.lock",
    "poetry.lock",
    "package-lock.json",
    "Cargo.toml",
    "go.mod",
    "Gemfile.lock",
    ".env",
]


@pytest.mark.parametrize("names", [[], *([name] for name in NAMES), NAMES])
def test_proposal_is_valid_as_it_is_and_with_its_lines_taken_in(names: list[str]) -> None:
    text = propose(names)
    assert load(text) == Fleet()
    head, _, tail = text.partition("[worktree]")
    lines = [line.removeprefix("# ") if " = " in line else line for line in tail.splitlines()]
    taken = load(head + "[worktree]" + "\n".join(lines))
    assert (taken.worktree.setup is not None) == bool(set(names) - {".env"})
    example = [line[2:] for line in text.splitlines() if line.startswith("# ") and "claude" in line]
    assert example


def test_proposed_examples_are_valid() -> None:
    text = propose([])
    start = text.index("# [role.claude]")
    block = text[start : text.index("[env]", start)]
    role_text = "\n".join(line.removeprefix("# ") for line in block.splitlines())
    assert tomllib.loads(role_text)
    fleet = load(role_text)
    assert fleet.role("claude").limits.wall_s == 1200.0
    assert [role.name for role in fleet.roles] == ["claude", "codex", "deepseek"]
    assert [one.name for one in fleet.providers] == ["own"]


def test_lock_files_decide_the_proposal() -> None:
    text = propose({"uv.lock", "pyproject.toml", "package-lock.json", ".env"})
    assert '# setup = "uv sync --frozen && npm ci --prefer-offline"' in text
    assert '# copy = [".env"]' in text
    assert '# link = [".venv", "node_modules"]' in text
