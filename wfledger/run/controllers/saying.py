"""What people say to controllers: an answer counts for the one asking that it was given for.

A controller that asks is blocked with the state of `asking`; what is answered from then on is found
by `said`, as long as the same thing is asked (WFL-EXPR-023).
"""

from collections.abc import Mapping
from typing import Final

from wfledger.core.control import ControlState
from wfledger.run.controllers.moves import Scene

_WORDS: Final[Mapping[str, bool]] = {
    "yes": True, "y": True, "true": True, "no": False, "n": False, "false": False,
}  # fmt: skip


def asking(scene: Scene, what: str) -> ControlState:
    """Return the state in which answers that are given from now on count for *what*."""
    asked = {"step": what, "since": len(scene.task.answers)}
    return scene.state.but(facts={**scene.state.facts, "asked": asked})


def was_asked(scene: Scene, what: str) -> bool:
    """Whether *what* is the last that a person was asked."""
    asked = scene.state.facts.get("asked")
    return isinstance(asked, dict) and asked.get("step") == what


def said(scene: Scene, what: str) -> str | None:
    """Return what a person has said since it was asked for *what*, and for nothing else."""
    if not was_asked(scene, what):
        return None
    answers = scene.task.answers[int(scene.state.facts["asked"].get("since", 0)) :]
    return answers[0] if answers else None


def yes_or_no(answer: str) -> tuple[bool | None, str]:
    """Return the verdict of an answer, None where it is none, and the reason: `no: too slow`."""
    word, _, reason = answer.strip().partition(":")
    return _WORDS.get(word.strip().lower()), reason.strip()
