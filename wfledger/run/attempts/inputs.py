"""What a consumer is given of its producers: envelopes as files, bounded text after a prompt."""

import json
from pathlib import Path
from typing import Final

from wfledger.core.documents import Result, Task
from wfledger.core.records import canonical, canonical_json
from wfledger.run.workspace import Workspace
from wfledger.vcs.trees import show_diff

#: Bytes of one envelope that are put into a prompt; beyond it the path is named.
_INLINE_BYTES: Final = 8192
_VERDICT: Final = """## Your verdict

The worktree holds the result as it is; change nothing in it. Write to the file named by
$WFLEDGER_RESULT_FILE: {"status": "succeeded", "summary": "WHY", "outputs": {"verdict": "passed"}},
with "failed" in place of "passed" when it must not land as it is."""


def write_inputs(workspace: Workspace, task: Task, folder: Path) -> None:
    """Fill *folder* with one `<task>.json` for each input and `missing.json` (WFL-RESULT-016)."""
    missing = list(task.missing)
    for producer in task.spec.inputs:
        result = landed_result(workspace, producer)
        if result is None:
            if producer not in missing:
                missing.append(producer)
            continue
        (folder / f"{producer}.json").write_bytes(canonical(result))
    _write_subject(workspace, task, folder)
    names = [name for name in missing if name in task.spec.inputs or name in task.spec.after]
    (folder / "missing.json").write_bytes(canonical_json(names))


def _write_subject(workspace: Workspace, task: Task, folder: Path) -> None:
    """Write the envelope and the changes of the result that *task* verifies, if it is to."""
    about = task.spec.verifies
    if about is None:
        return
    result = workspace.ledger.result(about.task, about.attempt)
    if result is not None:
        (folder / f"{about.task}.json").write_bytes(canonical(result))
    base = about.base or about.head
    patch = show_diff(workspace.repo, base, about.head, color=False)
    (folder / f"{about.task}.diff").write_bytes(patch)


def landed_result(workspace: Workspace, producer: str) -> Result | None:
    """Return the envelope of a producer that has landed, or None."""
    entry = workspace.ledger.find(producer)
    if entry is None or entry.task.landed is None:
        return None
    accepted = entry.task.accepted
    attempt = accepted.attempt if accepted else entry.task.attempt
    return workspace.ledger.result(producer, attempt)


def prompt_with_inputs(task: Task, folder: Path, *, preamble: str = "") -> str:
    """Return the prompt as a worker gets it: text, earlier answers, inputs, what is missing.

    *preamble* is what its role is told before every prompt.
    """
    parts = [part for part in (preamble, task.spec.prompt) if part]
    for number, answer in enumerate(task.answers, start=1):
        parts.append(f"## Answer {number} to your question\n\n{answer}")
    for producer in task.spec.inputs:
        path = folder / f"{producer}.json"
        if path.exists():
            parts.append(f"## Result of {producer}\n\n{_bounded(path)}")
    parts += _about_subject(task, folder)
    missing = json.loads((folder / "missing.json").read_bytes())
    if missing:
        parts.append("## Missing results\n\n" + "\n".join(f"- {name}" for name in missing))
    return "\n\n".join(parts)


def _about_subject(task: Task, folder: Path) -> list[str]:
    """Return what a verifier is told of the result that it judges, and how it answers."""
    about = task.spec.verifies
    if about is None:
        return []
    envelope, patch = folder / f"{about.task}.json", folder / f"{about.task}.diff"
    parts = [f"## Result to verify: attempt {about.attempt} of {about.task}"]
    parts += [_bounded(envelope)] if envelope.exists() else []
    return [*parts, f"## Its changes\n\n{_bounded(patch, 'diff')}", _VERDICT]


def _bounded(path: Path, language: str = "json") -> str:
    text = path.read_text("utf-8", "replace")
    if len(text.encode()) <= _INLINE_BYTES:
        return f"```{language}\n{text}```"
    return f"It is long; read it at {path}"
