"""What meetings have to say to whoever watches: trouble once, its end once, and what came."""

from collections.abc import Callable
from typing import Final

from wfledger.run.hub.losses import foremost, work_of
from wfledger.run.hub.machines import name_of
from wfledger.run.hub.meeting import Lost, Met, Moved
from wfledger.run.workspace import Workspace

#: Transitions of others in one meeting that are told one by one.
_TOLD: Final = 10
#: What others have done that is worth a line; target -> words.
_WORDS: Final = {
    "in-progress": "runs on", "done": "was landed by", "blocked": "was blocked by",
    "cancelled": "was cancelled by",
}  # fmt: skip


class Telling:
    """Says by *report* what is new about the remote; never the same twice."""

    def __init__(self, workspace: Workspace, report: Callable[[str, str], None]) -> None:
        self._workspace = workspace
        self._report = report
        self._trouble = ""
        self._refused = False
        self._began = 0.0

    def tell(self, met: Met) -> None:
        """Say what is new of a meeting."""
        hub = self._workspace.hub
        name = hub.name if hub is not None else "remote"
        self._tell_trouble(name, met)
        lost = foremost(met.lost)
        for one in lost[:_TOLD]:
            self._report(one.task, self._lost(one))
        if len(lost) > _TOLD:
            self._report(name, f"{len(lost) - _TOLD} more came too late: wfledger sync")
        for what, why in met.refused[:_TOLD]:
            self._report(name, f"refuses to {what}: {why}")
        self._tell_came(name, met.came)

    def _lost(self, one: Lost) -> str:
        what = f"{one.source or 'new'} -> {one.target}" if one.target else "it"
        kept = work_of(self._workspace, one.task, one.attempt)
        return f"{what} is lost: {one.because}" + (f"; its work is kept: {kept}" if kept else "")

    def _tell_trouble(self, name: str, met: Met) -> None:
        now = self._workspace.clock.elapsed()
        if met.is_well:
            if self._refused and not (met.went or met.granted):
                return  # nothing was brought that it could have refused
            self._refused = False
            if self._trouble:
                lasted = now - self._began
                self._report(name, f"is in step again after {lasted:.0f} s")
            self._trouble = ""
            return
        said = trouble_of(met)
        if said == self._trouble or met.outcome == "lost":
            return  # who is overtaken goes on by himself
        self._began = self._began if self._trouble else now
        self._trouble = said
        self._refused = met.outcome == "refused" and met.pushed
        self._report(name, said)

    def _tell_came(self, name: str, came: tuple[Moved, ...]) -> None:
        worth = [
            one for one in came
            if one.target in _WORDS and one.machine and one.source != one.target
        ]  # fmt: skip
        for one in worth if len(worth) <= _TOLD else ():
            where = name_of(self._workspace, one.machine)
            self._report(one.task, f"{_WORDS[one.target]} {where}")
        if len(worth) > _TOLD:
            self._report(name, f"{len(worth)} tasks have moved on other machines")


def trouble_of(met: Met) -> str:
    """Return in one line what is wrong, with the command that helps."""
    words = {
        "unreachable": "cannot be reached", "refused": "refuses",
        "unknown": "did not answer", "stopped": "syncing is stopped",
        "failed": "cannot be synced", "lost": "others came first",
    }  # fmt: skip
    said = f"{words.get(met.outcome, met.outcome)}: {met.said}" if met.said else words[met.outcome]
    return f"{said}; {met.hint}" if met.hint else said
