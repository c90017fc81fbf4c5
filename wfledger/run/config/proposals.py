"""The fleet.toml that `init` writes: everything explained, what the repository needs proposed.

Proposals are comments. Nothing runs because a lock file happens to lie in a repository.
"""

from collections.abc import Collection
from typing import Final, NamedTuple


class _Tool(NamedTuple):
    """What a lock file says about making a fresh checkout usable."""

    file: str
    setup: str
    #: Where the tool puts what it installs, if that is inside the checkout.
    folder: str | None = None


_VENV: Final = "python3 -m venv .venv && .venv/bin/pip install -q"
#: The first that is there decides, in each group.
_GROUPS: Final = (
    (
        _Tool("uv.lock", "uv sync --frozen", ".venv"),
        _Tool("poetry.lock", "poetry install --no-interaction"),
        _Tool("pdm.lock", "pdm sync", ".venv"),
        _Tool("Pipfile.lock", "pipenv sync"),
        _Tool("requirements.txt", f"{_VENV} -r requirements.txt", ".venv"),
        _Tool("pyproject.toml", f"{_VENV} -e .", ".venv"),
    ),
    (
        _Tool("pnpm-lock.yaml", "pnpm install --frozen-lockfile --prefer-offline", "node_modules"),
        _Tool("yarn.lock", "yarn install --frozen-lockfile", "node_modules"),
        _Tool("bun.lock", "bun install --frozen-lockfile", "node_modules"),
        _Tool("bun.lockb", "bun install --frozen-lockfile", "node_modules"),
        _Tool("package-lock.json", "npm ci --prefer-offline", "node_modules"),
    ),
    (_Tool("Cargo.lock", "cargo fetch --locked"), _Tool("Cargo.toml", "cargo fetch")),
    (_Tool("go.mod", "go mod download"),),
    (_Tool("Gemfile.lock", "bundle install --quiet"),),
    (_Tool("composer.lock", "composer install --no-interaction", "vendor"),),
    (_Tool("mix.lock", "mix deps.get --check-locked", "deps"),),
)
_COPIED: Final = (".env", ".env.local", ".envrc", ".npmrc", "local.properties")

_TEXT: Final = """\
# How this fleet runs. Shared through the ledger: names of secrets, never secrets.

[defaults]
# Role that runs a prompt that names none.
# role = "claude"
# Attempts at once on one machine; without it, 8 or the number of CPUs if that is less.
# workers = 4
# What workers here can do, for tasks that name `needs`.
# offers = ["gpu"]
# Shut in what runs, by bubblewrap: it reads this machine, writes its own worktree only, commits
# to a repository of its own. A role may say otherwise. Keys in the home are hidden.
# sandbox = "bwrap"
# network = false
# writable = ["~/.cache"]              # what else it may write; readable, hidden: read, not read
# isolation = "clone"                  # a repository of its own without a sandbox, too

# A role says who runs prompts: an agent by its adapter (wfledger adapter list), a model that
# wfledger talks to itself (wfledger provider list), or any program. Placeholders of a program:
# {prompt} {prompt_file} {task} {attempt} {run} {worktree} {result_file} {max_steps} {agent_type}
# {model} {provider}; {{ and }} are braces. No shell is involved. A prompt longer than 128 KiB needs
# {prompt_file}.
#
# [role.claude]
# argv = ["claude", "-p", "{prompt}"]
# pass = ["ANTHROPIC_API_KEY"]         # more variables that it may see
# env = { CLAUDE_CODE_MAX_RETRIES = "0" }
# timeout = "20m"                      # also limits = { idle_s = 300, silence_s = 600 }
# slots = 3                            # at most three of this role at once
#
# [role.codex]
# adapter = "codex"                    # its own login, or with model = "PROVIDER/NAME" that one
#
# [role.deepseek]
# model = "deepseek/deepseek-v4-pro"
# fallbacks = ["zhipu/glm-5.3"]        # while the first is closed, or cannot what is required
# requires = ["tool_calls"]
# preamble = "Keep to the style of the code around you."
# budget = { usd = 0.5, steps = 80 }   # of one attempt
#
# # A server of models and its account; those of `wfledger provider list` need only their key.
# [provider.own]
# profile = "vllm"
# base_url = "http://localhost:8000/v1"
# key = "OWN_API_KEY"                  # the name of the variable that holds it
# slots = 4
# budget = { usd = 20 }
# models."a-model" = { capabilities = ["tool_calls"], price = { input = 0.3, output = 1.2 } }

[env]
# Every worker sees PATH HOME USER SHELL LANG LC_* TERM TMPDIR, and what is listed here. Names with
# KEY, TOKEN, SECRET or PASSWORD, SSH_AUTH_SOCK and GIT_* must be listed exactly.
pass = []

# A command that is run once for each task that needs a person, each run that is over, each pause.
# It finds WFLEDGER_EVENT, _TASK, _RUN, _REASON and _COMMAND, and the same as JSON on its input.
#
# [notify]
# command = 'notify-send "wfledger: $WFLEDGER_EVENT" "$WFLEDGER_TASK $WFLEDGER_REASON"'
# pass = ["WEBHOOK_URL"]               # variables that it is given and workers are not

[worktree]
# Each attempt runs in a fresh worktree with nothing but tracked files in it. Make it usable:
#   setup   a line for the shell, or a list of arguments, run once in each new worktree
#   copy    untracked files taken from your checkout
#   link    untracked folders of your checkout, shared by symbolic link
#   timeout for setup
# What this puts there is never part of a task's result.
"""


def text_for(names: Collection[str]) -> str:
    """Return the text of a new fleet.toml; *names* are what the repository's top folder holds."""
    lines = []
    tools = [tool for group in _GROUPS if (tool := _first(group, names)) is not None]
    if tools:
        found = ", ".join(tool.file for tool in tools)
        lines.append(f"# Found {found}; take the # away from what is right:")
        lines.append(f'# setup = "{" && ".join(tool.setup for tool in tools)}"')
    copied = [name for name in _COPIED if name in names]
    lines.append(f"# copy = [{_quoted(copied or ['.env'])}]")
    linked = [tool.folder for tool in tools if tool.folder is not None]
    lines.append(f"# link = [{_quoted(linked or ['node_modules'])}]")
    lines.append('# timeout = "10m"')
    return _TEXT + "\n".join(lines) + "\n"


def found_in(names: Collection[str]) -> tuple[str, ...]:
    """Return which of *names* something is proposed for."""
    tools = [tool.file for group in _GROUPS if (tool := _first(group, names)) is not None]
    return (*tools, *(name for name in _COPIED if name in names))


def _first(group: tuple[_Tool, ...], names: Collection[str]) -> _Tool | None:
    return next((tool for tool in group if tool.file in names), None)


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
