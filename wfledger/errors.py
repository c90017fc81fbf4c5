"""The exception tree: a stable code, an exit status, the facts, and the next step.

Expected outcomes (a merge conflict, a lost race) are values elsewhere; what is raised here ends
the operation and has changed nothing that it does not name. Callers match on type, programs on
`code`, people read the message. Exit statuses are those of the command line (spec 80).
"""

import errno
from typing import Any, ClassVar, Final

#: What a system call answers when the machine has run out of something: it says nothing about what
#: was asked for, least of all that it is not there.
RAN_OUT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})


class WfledgerError(Exception):
    """Base of every failure that wfledger expects and explains."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        #: One command or sentence that says what to do next.
        self.hint = hint
        #: What the message is made of, for programs.
        self.facts = facts

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `--json` prints for a failure."""
        return {"error": self.code, "message": self.message, "hint": self.hint, **self.facts}


class UsageError(WfledgerError):
    """The call itself makes no sense: a missing argument, an unknown name."""

    code = "usage"
    exit_status = 2


class LiveReplayUnavailableError(UsageError):
    """A replay was to ask models for what is not on record."""

    code = "live_replay_unavailable"


class UnconfirmedError(WfledgerError):
    """A person is to say yes first, and nobody did; nothing was submitted. `card` says to what."""

    code = "unconfirmed"
    exit_status = 2


class BudgetError(WfledgerError):
    """What is asked for is more than a budget has left."""

    code = "budget"
    exit_status = 6


class NoLedgerError(WfledgerError):
    """There is no ledger here."""

    code = "no_ledger"
    exit_status = 2


class RepositoryError(WfledgerError):
    """The git repository cannot be used: absent, bare, empty, or of an unsupported format."""

    code = "repository"
    exit_status = 2


class LedgerDamagedError(WfledgerError):
    """The ledger is not in a state that verbs may touch; `doctor` says what and repairs it."""

    code = "ledger_damaged"


class NotFoundError(WfledgerError):
    """No task, run or result of that name."""

    code = "not_found"
    exit_status = 2


class InvalidDocumentError(WfledgerError):
    """A document is not what its schema says."""

    code = "invalid_document"
    exit_status = 7


class PlanError(InvalidDocumentError):
    """A plan cannot be read or has errors; `facts` hold line and column, or the problems."""

    code = "invalid_plan"


class InvalidPatternError(WfledgerError):
    """A scope pattern is outside the grammar (spec 40)."""

    code = "invalid_scope"
    exit_status = 7


class TransitionError(WfledgerError):
    """The table of transitions has no such arrow from where the task is."""

    code = "transition"
    exit_status = 4


class StaleError(WfledgerError):
    """The caller acted on an attempt, token or status that is over (a fenced zombie)."""

    code = "stale"
    exit_status = 4


class NothingToClaimError(WfledgerError):
    """No task is on offer."""

    code = "nothing_to_claim"
    exit_status = 3


class ScopeError(WfledgerError):
    """A change leaves its write scope, or a merge conflicts."""

    code = "scope"
    exit_status = 5


class PausedError(WfledgerError):
    """Dispatch is paused."""

    code = "paused"
    exit_status = 8


class BusyError(WfledgerError):
    """A lock or resource was not free in time; nothing was changed and a retry is right."""

    code = "busy"
    exit_status = 75


class EnvironmentFailedError(WfledgerError):
    """Something outside the task's control failed: disk, git, worktree setup."""

    code = "environment"


class GitError(EnvironmentFailedError):
    """A git command failed; `facts` hold its arguments, exit status and standard error."""

    code = "git"


class RemoteError(EnvironmentFailedError):
    """What is at the ledger's remote cannot be used, or it takes no part; `kind` says why."""

    code = "remote"


class UnreachableError(BusyError):
    """The ledger's remote did not answer; nothing was changed and a retry is right."""

    code = "unreachable"
