"""A small agent of our own, as a program: asks a model over chat completions and runs its commands.

Started by the tests of adapters, well-behaved or with one of the bad habits of real agents. Prints
one JSON object in each line.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HABITS = (
    "good",
    "deaf",  # says that it is done, whatever the server said
    "mute",  # ends with status 0 and says nothing at all when it fails
    "lazy",  # asks nobody and is done
    "stray",  # writes a file that nobody has asked for
    "leaky",  # prints its key
    "careless",  # writes its key into a file of its task's scope
    "patient",  # waits for ever when it was refused
    "forgetful",  # begins anew when its session is to go on, and does nothing
)
TOOL = {
    "type": "function",
    "function": {
        "name": "bash",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}},
            "required": ["command"],
        },
    },
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url")
    parser.add_argument("--model")
    parser.add_argument("--session")
    parser.add_argument("habit", choices=HABITS)
    parser.add_argument("prompt")
    given = parser.parse_args()
    notes = Path(os.environ["AGENT_HOME"]) / "session.json"
    messages: list[Any] = []
    if given.session and given.habit != "forgetful":
        messages = json.loads(notes.read_text())
    messages.append({"role": "user", "content": given.prompt})
    say(type="session", id="session-1")
    if given.habit == "leaky":
        print("my key is", os.environ["AGENT_KEY"], flush=True)
    used = {"input": 0, "output": 0}
    if given.habit == "lazy" or (given.habit == "forgetful" and given.session):
        say(type="done", usage=used)
        return 0
    try:
        converse(given, messages, notes, used)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return fail(given.habit, error)
    if given.habit == "careless":
        Path("edit/notes.txt").write_text(os.environ["AGENT_KEY"])
    if given.habit == "stray":
        Path("stray.txt").write_text("nobody has asked for this\n")
    say(type="done", usage=used)
    return 0


def converse(given: Any, messages: list[Any], notes: Path, used: dict[str, int]) -> None:
    while True:
        notes.write_text(json.dumps(messages))
        said = ask(given, messages)
        used["input"] += said["usage"]["prompt_tokens"]
        used["output"] += said["usage"]["completion_tokens"]
        message = said["choices"][0]["message"]
        messages.append(message)
        for call in message.get("tool_calls") or []:
            command = json.loads(call["function"]["arguments"])["command"]
            done = subprocess.run(
                ["sh", "-c", command], capture_output=True, text=True, check=False
            )
            messages.append(
                {"role": "tool", "tool_call_id": call["id"], "content": done.stdout + done.stderr}
            )
        if not message.get("tool_calls"):
            return


def ask(given: Any, messages: list[Any]) -> Any:
    body = {"model": given.model, "messages": messages, "tools": [TOOL]}
    request = urllib.request.Request(
        f"{given.base_url}/chat/completions",
        json.dumps(body).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {os.environ['AGENT_KEY']}",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def fail(habit: str, error: Exception) -> int:
    if habit == "mute":
        return 0
    if habit == "deaf":
        say(type="done", usage={"input": 0, "output": 0})
        return 0
    said: dict[str, Any] = {"message": f"connection lost: {error}"}
    if isinstance(error, urllib.error.HTTPError):
        with error:
            told = json.load(error)["error"]["message"]
        said = {"status": error.code, "message": f"HTTP {error.code}: {told}"}
    if habit == "patient":
        signal.pause()
    say(type="failed", **said)
    return 1


def say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(main())
