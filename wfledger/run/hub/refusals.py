"""What a server does not take, though it takes the ledger: which refs, its words, and for how long.

Nothing is decided by what is remembered; each meeting asks anew. It is for people, who alone can
change what a server allows.
"""

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.errors import WfledgerError
from wfledger.run.hub.names import Names
from wfledger.run.refnames import HEADS, RUNS, seen_ref
from wfledger.run.workspace import Workspace

_LOCK: Final = re.compile(r"unable to create '([^']+\.lock)': file exists", re.IGNORECASE)

if TYPE_CHECKING:  # reading verbs open no git
    from wfledger.vcs.remote import Pushed


def denied(names: Names, pushed: "Pushed") -> dict[str, str]:
    """Return the refs that a push that failed is to be tried again without, with the reasons.

    A server that says no to a push as a whole does not tell which ref it meant: branches of runs
    are left out first, then kept work, then the heartbeat.
    """
    refused = {
        ref: clean_line(words or pushed.said)
        for ref, (status, words) in pushed.per_ref.items() if status == "refused"
    }  # fmt: skip
    is_whole = len(refused) == len(pushed.per_ref)
    refused.pop(names.ledger, None)
    for prefix in (RUNS, names.keeps, names.beats) if is_whole else ():
        suspects = {ref: words for ref, words in refused.items() if ref.startswith(prefix)}
        if suspects:
            return suspects
    return refused


def lock_of(pushed: "Pushed") -> str:
    """Return the lock on the server, as it names it, that a push found in its way; "" for none."""
    found = _LOCK.search(pushed.said)
    return found[1].replace("/./", "/") if found else ""


def still(
    workspace: Workspace, before: Mapping[str, str], now: Mapping[str, str], taken: Collection[str]
) -> dict[str, str]:
    """Return what the server does not take, after a meeting in which it refused *now*.

    What was not asked for again stays while a result waits to land there, for landings are put off,
    and while a branch is there that was to go.
    """
    waiting: set[str] = set()
    if before.keys() - now.keys():
        waiting = {RUNS + task.run for task in workspace.ledger.tasks(Status.MERGING)}
    kept = {
        ref: words for ref, words in before.items()
        if ref not in taken and (ref in waiting or _stays(workspace, ref))
    }  # fmt: skip
    return kept | {ref: words for ref, words in now.items() if ref not in taken}


def has_landed(workspace: Workspace, branch: str) -> bool:
    """Whether *branch* is that of a run that is over because it has landed."""
    if not branch.startswith(RUNS):
        return False
    try:
        run = workspace.ledger.run(branch.removeprefix(RUNS))
    except WfledgerError:
        return False
    return run.branch == branch and run.state == "landed"


def _stays(workspace: Workspace, ref: str) -> bool:
    """Whether the remote has a branch that it did not let go of."""
    return has_landed(workspace, ref) and workspace.repo.tip(seen_ref(ref)) is not None


def sentences(
    names: Names, name: str, refuses: Mapping[str, str], *, here: str, over: Collection[str] = ()
) -> list[str]:
    """Say to people what the remote called *name* refuses, those with the same words together.

    Of *over*, the branches of runs that have landed, it is that they are deleted.
    """
    said = []
    for words in sorted({refuses[ref] for ref in over}):
        count = sum(refuses[ref] == words for ref in over)
        what = "a branch whose run has" if count == 1 else f"{count} branches whose runs have"
        said.append(f"{name} does not let go of {what} landed: {words}")
    refuses = {ref: words for ref, words in refuses.items() if ref not in over}
    for ref, words in refuses.items():
        if ref == names.beat(here):
            said.append(f"{name} refuses this machine's heartbeat, so others may take its work "
                        f"over: {words}")  # fmt: skip
        elif ref.startswith(RUNS):
            branch = ref.removeprefix(HEADS)
            said.append(f"{name} refuses {branch}, and nothing lands there: {words}")
    others = {
        words for ref, words in refuses.items()
        if not ref.startswith(RUNS) and ref != names.beat(here)
    }  # fmt: skip
    said += [f"{name} refuses work that is to be kept: {words}" for words in sorted(others)]
    return said
