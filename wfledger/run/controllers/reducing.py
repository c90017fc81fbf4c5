"""Reduction without a prompt: wfledger alone puts the results of its inputs together (spec 92)."""

from wfledger.core.findings import contradicted
from wfledger.run.attempts.handed import handed
from wfledger.run.attempts.synthesis import synthesis_of
from wfledger.run.controllers.moves import Decide, Move, Scene


def reduce(scene: Scene) -> Move:
    """Merge the findings of all inputs; one that is missing makes the result partial."""
    task = scene.task.but(missing=scene.missing)
    merged = synthesis_of(handed(scene.workspace, task))
    findings, clashing = len(merged.findings) + merged.left_out, contradicted(merged.findings)
    missing = f", {len(merged.missing)} missing" if merged.missing else ""
    said = f"{_counted(findings, 'finding')} of {_counted(len(merged.contributors), 'result')}"
    return Decide(
        summary=f"{said}{missing}"
        + (f", {clashing} of them contradicted" if clashing else ""),
        outputs={
            "contributors": list(merged.contributors), "missing": list(merged.missing),
            "partial": bool(merged.missing), "findings": findings, "contradicted": clashing,
        },
        findings=merged.findings,
        synthesis=merged,
        missing=scene.missing,
    )  # fmt: skip


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
