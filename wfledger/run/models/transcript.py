"""The transcript of an attempt: its whole conversation, in local files and nowhere else (spec 64).

One JSON object in each line, redacted, readable by its owner alone. A worker that died goes on from
it; a line that was cut off by a crash counts as not written.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from wfledger.clock import Clock, iso
from wfledger.run.processes.environment import redact
from wfledger.store.layout import Layout

#: Folder of the ledger's local state.
FOLDER: Final = "transcripts"
_UNKNOWN: Final = (
    "error: the worker was started anew before this had an answer; whether it was done is not"
    " known. Look before you do it again."
)


def path_of(layout: Layout, task_id: str, attempt: int) -> Path:
    """Return where the transcript of an attempt is."""
    return layout.local / FOLDER / f"{layout.attempt_name(task_id, attempt)}.jsonl"


class Transcript:
    """A transcript that is written to; what it is told is on disk when the machine stays up."""

    def __init__(self, path: Path, secrets: Iterable[str], clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._secrets = tuple(secrets)

    def begin(self, *, anew: bool) -> None:
        """Make the file; *anew* forgets what an earlier worker of the attempt wrote."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if anew else 0)
        with os.fdopen(os.open(self._path, flags, 0o600), "ab") as file:
            if file.tell():
                file.write(b"\n")  # ends a line that a crash cut off

    def message(self, message: Mapping[str, Any]) -> None:
        """Note one message of the conversation."""
        self._add({"kind": "message", "message": message})

    def note(self, kind: str, **facts: Any) -> None:
        """Note something that is no part of the conversation."""
        self._add({"kind": kind, **facts})

    def messages(self) -> list[dict[str, Any]]:
        """Return the conversation so far, with an answer to every call of a tool."""
        found = [line["message"] for line in _lines(self._path) if line.get("kind") == "message"]
        return list(_answered(found))

    def _add(self, line: Mapping[str, Any]) -> None:
        data = clean({"at": iso(self._clock.now()), **line}, self._secrets)
        raw = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with self._path.open("ab") as file:
            file.write(raw)


def clean(value: Any, secrets: tuple[str, ...]) -> Any:
    """Return *value* with every text in it redacted."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, Mapping):
        return {name: clean(one, secrets) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [clean(one, secrets) for one in value]
    return value


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    for line in raw.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _answered(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield *messages*; every provider refuses calls that nothing answers."""
    open_calls: list[str] = []
    for message in (*messages, None):
        if message is not None and message.get("role") == "tool":
            if message.get("tool_call_id") in open_calls:
                open_calls.remove(message["tool_call_id"])
                yield message
            continue
        for call_id in open_calls:
            yield {"role": "tool", "tool_call_id": call_id, "content": _UNKNOWN}
        open_calls = [call["id"] for call in (message or {}).get("tool_calls") or ()]
        if message is not None:
            yield message
