"""What an agent is told besides its task: where it may write, and how it hands in."""

from typing import Final

from wfledger.core.documents import TaskSpec

#: What a session is told that is gone on with.
RESUMED: Final = (
    "You were interrupted by a failure outside of your task. Look at what is there already, and go"
    " on with the task to its end."
)
_READS: Final = (
    "Change no file: this task only reads. Say what you have found in your last message."
)
_WRITES: Final = (
    "Change only these paths, below the current folder; a change anywhere else makes the whole task"
    " fail:"
)
_HANDS_IN: Final = """\
You need not commit. Nobody answers while you work. Where you cannot go on without an answer, or
where the task cannot be done, write a JSON object to the file named by the environment variable
WFLEDGER_RESULT_FILE, and end:
{"status": "blocked", "summary": "…", "open_questions": ["…"]}, or
{"status": "failed", "summary": "why"}. Otherwise end with a short summary of what you did."""


def briefed(spec: TaskSpec, prompt: str) -> str:
    """Return *prompt* with what goes before and after it."""
    parts = [prompt, "## How to work\n\n" + _scope(spec), _HANDS_IN]
    return "\n\n".join(part for part in parts if part)


def _scope(spec: TaskSpec) -> str:
    if not spec.writes:
        return _READS
    return "\n".join([_WRITES, *(f"- {pattern}" for pattern in spec.write)])
