"""What has come into the remote's history since this machine looked last."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from wfledger.run.commit import MACHINE, TRANSITION, transition_of
from wfledger.run.hub.composing import UPTO
from wfledger.run.hub.meeting import Moved
from wfledger.run.workspace import Workspace
from wfledger.vcs.repo import CommitInfo

#: Commits that are told about; what a machine that was away for long finds is too much to read.
_MOST: Final = 2000


@dataclass
class NewCommits:
    """What the new commits say."""

    #: Transitions of other machines, oldest first.
    came: list[Moved] = field(default_factory=list)
    #: Machines that have written any of them.
    wrote: set[str] = field(default_factory=set)
    #: Up to which segment of this machine's journal they say that they have its records.
    upto: int = 0


def news_since(workspace: Workspace, known: str | None, tip: str) -> NewCommits:
    """Read the commits after *known*, by default after what the local branch has."""
    news, here = NewCommits(), workspace.machine.id
    since = known or workspace.history.tip()
    if since is None or since == tip:
        return news
    commits = list(islice(workspace.repo.walk(tip, since=since), _MOST))
    for info in reversed(commits):
        machine = info.trailers.get(MACHINE, "")
        news.wrote |= {machine} if machine else set()
        if machine == here:
            upto = info.trailers.get(UPTO, "")
            news.upto = max(news.upto, int(upto) if upto.isdecimal() else 0)
        else:
            news.came += _moves(info, machine)
    return news


def _moves(info: CommitInfo, machine: str) -> Iterator[Moved]:
    for value in info.values(TRANSITION):
        said = transition_of(value)
        if said is not None:
            yield Moved(*said, machine)
