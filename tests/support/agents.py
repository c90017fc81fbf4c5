"""An agent's program of our own, driven through an adapter of a user's own, in no time."""

from pathlib import Path

from wfledger.run.config import machine

#: Reads what it is to do from its prompt: a line `DO command` is run by a shell. It tells its
#: environment, home and session, and says that it has ended well unless a command ends it.
PROGRAM = r"""#!/bin/sh
echo '{"type": "start", "id": "s-1", "version": "7.1"}'
tries=$(cat "$AGENT_HOME/tries" 2>/dev/null || echo 0)
printf 'asked: %.60s\n' "$1" >&2
tries=$((tries + 1)); echo $tries > "$AGENT_HOME/tries"
fail() { printf '{"type": "error", "error": {"message": "%s"}}\n' "$1"; exit "${2:-1}"; }
printf '%s\n' "$1" | sed -n 's/^DO //p' > "$AGENT_HOME/commands.$tries"
[ -n "$2" ] && echo "resumed $2" >&2 && cp "$AGENT_HOME/commands.1" "$AGENT_HOME/commands.$tries"
. "$AGENT_HOME/commands.$tries"
echo '{"type": "end", "good": true, "text": "All done.", "usage": {"in": 10, "out": 2}}'
"""
ADAPTER = """
[adapter.scripted]
argv = ["scripted-agent", "{prompt}"]
resume = ["scripted-agent", "{prompt}", "{session}"]
resume_wait = "0.01s"
install = "make install"
dialects = ["chat"]
key = "AGENT_KEY"
stream = "jsonl"
server_env = { AGENT_URL = "{base_url}", AGENT_MODEL = "{model}" }
home = { AGENT_HOME = ".agent" }
login = { pass = ["AGENT_LOGIN"], hint = "scripted-agent login" }
[adapter.scripted.end]
ok = [{ type = "end", good = true }]
failed = [{ type = "error" }, { type = "end" }]
message = [{ at = "error.message" }]
text = [{ at = "text", when = { type = "end" } }]
session = [{ at = "id" }]
version = [{ at = "version" }]
[adapter.scripted.usage]
when = { type = "end" }
input = "usage.in"
output = "usage.out"
"""
ROLE = '[defaults]\nrole = "agent"\n[role.agent]\nadapter = "scripted"\n'
SERVED = """
model = "there/small"
[provider.there]
profile = "openai"
base_url = "http://127.0.0.1:9/v1"
key = "THERE_KEY"
[provider.there.models.small]
capabilities = ["tool_calls"]
price = { input = 1.0, cache_read = 0.1, output = 10.0 }
"""


def install(folder: Path) -> Path:
    """Put the program into *folder*, and return that for the PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "scripted-agent"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return folder


def allow_unsandboxed(what: str = "true") -> None:
    """Let agents run without a sandbox on this machine."""
    path = machine.path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"allow_unsandboxed = {what}\n")


def fleet(path: Path, *, role: str = 'sandbox = "none"', served: bool = False) -> str:
    """Return a fleet.toml whose one role is the program, found in the folder *path*."""
    env = f'env = {{ PATH = "{path}:/usr/bin:/bin" }}\n'
    return ADAPTER + ROLE + env + f"{role}\n" + (SERVED if served else "")
