"""What a check-up finds: the finding, and what puts it right."""

from collections.abc import Callable
from dataclasses import dataclass

from wfledger.store.inspect import Finding, Severity

Mend = Callable[[], object]


@dataclass(frozen=True)
class Trouble:
    """One finding of the check-up."""

    finding: Finding
    #: None when nothing needs doing, or a person has to.
    mend: Mend | None = None
    #: Nothing behind it can be looked at while it lasts.
    stops: bool = False


def error(code: str, subject: str, message: str) -> Trouble:
    """Return an error that a person has to put right."""
    return Trouble(Finding(code, "error", subject, message))


def warning(code: str, subject: str, message: str) -> Trouble:
    """Return a warning that nothing is done about."""
    return Trouble(Finding(code, "warning", subject, message))


def note(code: str, subject: str, message: str) -> Trouble:
    """Return a note that nothing is done about."""
    return Trouble(Finding(code, "note", subject, message))


def mendable(
    code: str, severity: Severity, subject: str, message: str, *, repair: str, mend: Mend
) -> Trouble:
    """Return what `doctor --fix` puts right by *mend*, which may be called again after a crash."""
    return Trouble(Finding(code, severity, subject, message, repair), mend)
