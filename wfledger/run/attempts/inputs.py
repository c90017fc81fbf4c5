"""What a consumer is given of its producers: envelopes as files, bounded text after a prompt."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from wfledger.core.documents import Result, Task
from wfledger.core.records import canonical, canonical_json
from wfledger.run.attempts.handed import Handed, handed
from wfledger.run.attempts.handovers import (
    HANDOFFS,
    SENT_BACK,
    about_handovers,
    write_handovers,
)
from wfledger.run.attempts.synthesis import MERGED, write_merged
from wfledger.run.workspace import Workspace
from wfledger.vcs.trees import show_diff

#: Bytes of one envelope that are put into a prompt; beyond it the path is named.
_INLINE_BYTES: Final = 8192
#: Results that a prompt shows besides those of its inputs.
_MORE: Final = 50
MANIFEST: Final = "manifest.json"
_MERGED: Final = """## Findings of all of them

Equal findings are merged, with their `sources`; what contradicts another names it. These, and every
result, as one document: """
_VERDICT: Final = """## Your verdict

The worktree holds the result as it is; change nothing in it. Write to the file named by
$WFLEDGER_RESULT_FILE: {"status": "succeeded", "summary": "WHY", "outputs": {"verdict": "passed"}},
with "failed" in place of "passed" when it must not land as it is."""


def write_inputs(workspace: Workspace, task: Task, folder: Path) -> None:
    """Fill *folder* with one `<task>.json` for each input and `missing.json` (WFL-RESULT-016)."""
    found = handed(workspace, task)
    for producer, result in found.results.items():
        (folder / f"{producer}.json").write_bytes(canonical(result))
        _write_kept(workspace, producer, result, folder)
    _write_subject(workspace, task, folder)
    write_handovers(workspace, task, folder)
    if task.spec.reduces:
        write_merged(workspace, task, folder)
    (folder / "missing.json").write_bytes(canonical_json(found.missing))
    (folder / MANIFEST).write_bytes(canonical_json(_manifest(found)))


def _manifest(found: Handed) -> dict[str, Any]:
    """Return what there is, by file, and what is not (WFL-CTRL-020)."""
    results = [
        {"task": name, "file": f"{name}.json", "status": one.status, "group": name in found.groups}
        for name, one in found.results.items()
    ]
    return {"results": results, "missing": found.missing, "left_out": list(found.left_out)}


def _write_kept(workspace: Workspace, producer: str, result: Result, folder: Path) -> None:
    """Write the changes of a result that lands by itself nowhere: else nobody would see them."""
    entry = workspace.ledger.find(producer)
    landed = entry.task.landed if entry is not None else None
    if landed is None or landed.how != "kept" or result.base is None or landed.commit is None:
        return
    patch = show_diff(workspace.repo, result.base, landed.commit, color=False)
    (folder / f"{producer}.diff").write_bytes(patch)


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


def prompt_with_inputs(task: Task, folder: Path, *, preamble: str = "") -> str:
    """Return the prompt as a worker gets it: text, earlier answers, inputs, what is missing.

    *preamble* is what its role is told before every prompt.
    """
    parts = [part for part in (preamble, task.spec.prompt) if part]
    for number, answer in enumerate(task.answers, start=1):
        parts.append(f"## Answer {number} to your question\n\n{answer}")
    parts += about_handovers(folder)
    parts += _about_inputs(task, folder)
    parts += _about_merged(folder / MERGED)
    parts += _about_subject(task, folder)
    missing = json.loads((folder / "missing.json").read_bytes())
    if missing:
        parts.append("## Missing results\n\n" + "\n".join(f"- {name}" for name in missing))
    return "\n\n".join(parts)


def _about_inputs(task: Task, folder: Path) -> Iterator[str]:
    """Yield what is told of each result: those asked for first, then what they are made of."""
    own = {MERGED, HANDOFFS, SENT_BACK, MANIFEST, "missing.json"}
    if task.spec.verifies is not None:
        own.add(f"{task.spec.verifies.task}.json")
    others = sorted(path.stem for path in folder.glob("*.json") if path.name not in own)
    known = [name for name in task.spec.inputs if name in others]
    more = [name for name in others if name not in known]
    for name in [*known, *more[:_MORE]]:
        yield f"## Result of {name}\n\n{_bounded(folder / f'{name}.json')}"
        patch = folder / f"{name}.diff"
        if patch.exists():
            yield f"## Changes of {name}\n\n{_bounded(patch, 'diff')}"
    if len(more) > _MORE:
        yield f"{len(more) - _MORE} more results are in {folder}"


def _about_merged(path: Path) -> list[str]:
    """Return what a reducing task is told of its inputs as a whole (WFL-CTRL-061)."""
    if not path.exists():
        return []
    merged = json.loads(path.read_bytes())
    text = canonical_json({key: merged[key] for key in ("contributors", "missing", "findings")})
    shown = f"```json\n{text.decode()}```" if len(text) <= _INLINE_BYTES else "They are many."
    return [f"{_MERGED}{path}\n\n{shown}"]


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
