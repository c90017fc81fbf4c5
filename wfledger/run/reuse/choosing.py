"""Which runs a new one takes results from, and where it starts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from wfledger.core.documents import Run
from wfledger.core.statuses import Status
from wfledger.errors import NotFoundError, UsageError
from wfledger.run.looks.naming import LAST, find_run
from wfledger.run.reuse.forecast import Forecast, forecast
from wfledger.run.submit import Submission
from wfledger.run.workspace import Workspace

#: Tasks of an earlier run that are looked up for a hint; of a thousand it takes seconds.
_HINTED: Final = 200


@dataclass(frozen=True)
class Reuse:
    """Runs whose results are taken, and the commit that the new run starts from."""

    runs: tuple[Run, ...]
    base: str
    #: What of the files there makes it cost, or None.
    cost: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the runs."""
        return tuple(run.id for run in self.runs)


def choose(
    workspace: Workspace, names: Iterable[str], submission: Submission, *, base: str | None
) -> Reuse:
    """Return what `--reuse NAMES` means; *base* is what the user wants to start from instead.

    Runs that these have themselves taken results from are asked as well, after them. Raises
    `NotFoundError` and `UsageError`.
    """
    found: dict[str, Run] = {}
    for name in names:
        run = _named(workspace, name, submission)
        if run.plan is None:
            raise UsageError(
                f"{run.id} holds single tasks, each on other files; only a plan's run is reused",
                run=run.id,
            )
        found[run.id] = run
    for name in [name for run in list(found.values()) for name in run.reuses]:
        try:
            found.setdefault(name, workspace.ledger.run(name))
        except NotFoundError:
            continue  # it is gone; what was taken from it is in the runs that are there
    runs = tuple(found.values())
    start = runs[0].base if base is None else commit_of(workspace, base)
    return Reuse(runs, start, _cost(workspace, runs, start))


def _named(workspace: Workspace, name: str, submission: Submission) -> Run:
    if name == LAST:
        run = last_of(workspace, submission)
        if run is None:
            raise NotFoundError(
                f"there is no earlier run of {submission.source} with results",
                hint="wfledger status",
            )
        return run
    try:
        return find_run(workspace, name)
    except NotFoundError:
        begun = [run for run in workspace.ledger.runs() if run.id.startswith(name)]
        if len(begun) != 1:
            raise
        return begun[0]


def last_of(workspace: Workspace, submission: Submission) -> Run | None:
    """Return the newest run of the same plan that has results: of the same file, or text."""
    same = (
        run for run in reversed(workspace.ledger.runs())
        if run.plan is not None
        and (run.plan == submission.text or run.plan_source == submission.source)
    )  # fmt: skip
    return next((run for run in same if workspace.ledger.names(Status.DONE, run=run.id)), None)


def commit_of(workspace: Workspace, revision: str) -> str:
    """Return the commit that a revision names; raises `UsageError`."""
    found = workspace.repo.resolve(revision)
    if found is None:
        raise UsageError(f"{revision} names no commit")
    return found


def _cost(workspace: Workspace, runs: Sequence[Run], base: str) -> str | None:
    repo = workspace.repo
    if any(repo.tree_of(run.base) == repo.tree_of(base) for run in runs):
        return None
    first = runs[0]
    return (
        f"{base[:12]} has other files than {first.base[:12]}, from which {first.id} started: every "
        "task runs again"
    )


def suggestion(
    workspace: Workspace, submission: Submission, *, base: str
) -> Forecast | Run | None:
    """Return what the newest run of the same plan could spare, if that is anything.

    A run that started from other files is not looked at, since this one is to start from *base*.
    Of one of so many tasks that looking them up would hold the start up, the run itself is
    returned; `plan --diff` looks at any.
    """
    run, repo = last_of(workspace, submission), workspace.repo
    if run is None or repo.tree_of(run.base) != repo.tree_of(base):
        return None
    if len(run.tasks) > _HINTED:
        return run
    found = forecast(workspace, submission.plan, [run], base=base, role=submission.role)
    return found if found.reused else None
