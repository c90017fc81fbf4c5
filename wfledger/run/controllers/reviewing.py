"""`teacher_review`: judges are asked, one of the candidates is chosen, and its result lands.

Its steps: start the judges, record the choice, decide. The choice is recorded before anything
follows from it, and nobody is asked again after a crash. Where nobody could choose, a person is
asked, whose answer goes before every judge's (spec 92, "Choice").
"""

from collections.abc import Mapping
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.choice import Choice, choose
from wfledger.core.control import Condition, ControlState, Promotion
from wfledger.core.documents import Accepted, Limits, TaskSpec
from wfledger.core.ids import child_id
from wfledger.core.text import clean_line
from wfledger.run.controllers.candidates import Candidates
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop
from wfledger.run.controllers.parts import noted

_HOW: Final = """## How you judge

Change nothing. The candidates are those named above; each has its result, and what it changed, in
the folder $WFLEDGER_INPUTS as RUN.NAME.json and RUN.NAME.diff. Write to the file named by
$WFLEDGER_RESULT_FILE: {"status": "succeeded", "summary": "WHY",
"outputs": {"scores": {"NAME": 0 to 100}, "selected": "NAME"}}. Where none of them is fit, give
"verdict": "failed" in outputs and select none."""
#: Candidates that a block lists; the result lists all of them.
_LISTED: Final = 32
_NOBODY: Final = frozenset({"none", "no", "nobody"})


def review(scene: Scene) -> Move:
    """Take the next step: ask judges, record what was chosen, or decide as recorded."""
    candidates = Candidates.of(scene)
    said = _told(scene)
    if said is not None:
        return _as_told(scene, candidates, said)
    recorded = scene.state.facts.get("choice")
    if isinstance(recorded, dict):
        return _decide(scene, candidates, recorded)
    if "judges" not in scene.state.facts and scene.control.judges and candidates.are_enough:
        return _ask(scene)
    tally, refused = candidates.tally(), candidates.refused()
    choice = choose(_policy(scene), candidates.contenders(tally), tally, refused)
    return _record(scene, candidates, choice)


def _policy(scene: Scene) -> Promotion:
    return scene.control.promotion or Promotion()


# -- judges --------------------------------------------------------------------------------------


def _ask(scene: Scene) -> Move:
    """Start every judge, beside the others: none hears what another says."""
    turn = scene.state.step + 1
    tasks = [
        (child_id(scene.task.id, f"{turn}.judge-{number}"), _judge(scene, judge, number))
        for number, judge in enumerate(scene.control.judges, start=1)
    ]
    judges = [task_id for task_id, _ in tasks]
    every = [*scene.state.facts.get("every_judge", ()), *judges]
    state = noted(scene, judges=judges, every_judge=every).but(step=turn, on=tuple(judges))
    return Start(tasks, state, why=f"asks {len(judges)} judges", asks=True)


def _judge(scene: Scene, judge: Condition, number: int) -> TaskSpec:
    task, members = scene.task, scene.control.members
    prompt, run = None, f"{task.run}."
    if judge.command is None:
        # Without the run: what is asked is the same in another one (WFL-REUSE-001).
        named = "\n".join(f"- {name.removeprefix(run)}" for name in members)
        prompt = f"{judge.prompt or ''}\n\n## The candidates\n\n{named}\n\n{_HOW}"
    return TaskSpec(
        title=f"judge {number} of {task.id.removeprefix(run)}",
        command=judge.command, prompt=prompt,
        role=judge.role if prompt is not None else None, agent_type="verifier",
        after=task.spec.after or members, inputs=task.spec.inputs or members,
        limits=Limits(wall_s=judge.timeout_s), on_failure="skip_continue",
        priority=task.spec.priority, env=task.spec.env, network=task.spec.network,
    )  # fmt: skip


# -- people --------------------------------------------------------------------------------------


def _told(scene: Scene) -> str | None:
    """Return what a person has answered since it was last heard."""
    answers = scene.task.answers
    return answers[-1].strip() if len(answers) > scene.state.facts.get("heard", 0) else None


def _as_told(scene: Scene, candidates: Candidates, said: str) -> Move:
    """Record the choice of a person."""
    word = said.lower()
    if word.partition(":")[0] in _NOBODY:
        return _none(scene, candidates, "a person has chosen none of them")
    picks = _policy(scene).strategy != "all"
    chosen = candidates.named(said) if picks else None
    if chosen is None and (picks or word != "yes"):
        return _question(scene, candidates, _misunderstood(scene, clean_line(said, 200)))
    said_by = "a person has chosen it" if picks else "a person agrees"
    choice = Choice(chosen, said_by, agreed=not picks)
    return _record(scene, candidates, choice)


def _misunderstood(scene: Scene, said: str) -> str:
    """Return what an answer means that names nobody: after a choice, why its result was refused."""
    recorded = scene.state.facts.get("choice")
    if isinstance(recorded, dict) and recorded.get("winner"):
        return f"{recorded['winner']}, which was chosen, is refused ({said})"
    return f"{said!r} names no candidate that succeeded"


def _question(scene: Scene, candidates: Candidates, reason: str) -> Stop:
    names = candidates.succeeded
    picks = _policy(scene).strategy != "all"
    wanted = "which one it is to be, or none" if picks else "yes or none"
    listed = f": {', '.join(names)}" if names and picks else ""
    return Stop(
        "question", f"{reason}; say {wanted}{listed}",
        command=_answer(scene, names[0] if picks and names else "yes" if not picks else "none"),
        facts={"candidates": candidates.listed()[:_LISTED], "judges": candidates.spoken()},
        state=_reopened(scene),
    )  # fmt: skip


def _answer(scene: Scene, word: str) -> str:
    return f"wfledger answer {scene.task.id} {word}"


def _heard(scene: Scene, **facts: Any) -> ControlState:
    return noted(scene, heard=len(scene.task.answers), **facts)


def _reopened(scene: Scene) -> ControlState:
    """Return the state in which judges are asked anew by `retry`: results may be other ones."""
    over = {"judges", "choice"}
    facts = {name: value for name, value in _heard(scene).facts.items() if name not in over}
    return scene.state.but(on=(), facts=facts)


# -- the choice ----------------------------------------------------------------------------------


def _record(scene: Scene, candidates: Candidates, choice: Choice) -> Move:
    if choice.asks:
        return _question(scene, candidates, choice.reason)
    if not choice.holds:
        return _none(scene, candidates, choice.reason)
    made = {"winner": choice.winner, "reason": choice.reason, "judges": candidates.spoken()}
    what = f"{choice.winner} is chosen: " if choice.winner else ""
    return Note(_heard(scene, choice=made), why=f"{what}{choice.reason}")


def _none(scene: Scene, candidates: Candidates, reason: str) -> Stop:
    """Give up, until a person decides."""
    names = candidates.succeeded
    picks = _policy(scene).strategy != "all"
    return Stop(
        "no_winner", reason, command=_answer(scene, names[0]) if names and picks else None,
        facts={"candidates": candidates.listed()[:_LISTED], "judges": candidates.spoken()},
        state=_reopened(scene),
    )  # fmt: skip


def _decide(scene: Scene, candidates: Candidates, recorded: Mapping[str, Any]) -> Decide:
    """Decide as recorded; what failed of the others does not count any more."""
    winner, reason = recorded.get("winner"), str(recorded["reason"])
    outputs = candidates.outputs(winner)
    choice = {**recorded, **candidates.report(winner)}
    if winner is None:
        return Decide(reason, outputs={"choice": choice}, missing=scene.missing)
    result, landing = scene.result(winner), _landing(scene, winner)
    said = result.summary if result is not None else ""
    return Decide(
        f"{winner} is chosen: {reason}\n{said}".strip()[: bounds.SUMMARY_CHARS],
        outputs={**outputs, "choice": choice},
        findings=result.findings if result is not None else (), landing=landing,
        # What is not held back has handed over by itself.
        handoffs=result.handoffs if result is not None and landing is not None else (),
        supersedes=candidates.over(),
    )  # fmt: skip


def _landing(scene: Scene, winner: str) -> Accepted | None:
    """Return the winner's change as what is to land; None where there is none to."""
    entry, result = scene.workspace.ledger.get(winner), scene.result(winner)
    landed = entry.task.landed
    if landed is None or landed.how != "kept" or landed.commit is None or result is None:
        return None
    if result.base is None:
        return None
    accepted = entry.task.accepted
    base = accepted.base if accepted is not None else result.base
    return Accepted(attempt=result.attempt, head=landed.commit, base=base)
