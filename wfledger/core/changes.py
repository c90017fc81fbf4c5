"""Whether what a task changed may land: every rule of spec 40, section 5.

Changes are differences of two trees, found with renames off; the caller builds both trees itself.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from wfledger.core.documents import Changed
from wfledger.core.policy import Policy
from wfledger.core.scopes import (
    Pattern,
    covered,
    is_path,
    matches_folded,
    parse_protected,
)
from wfledger.core.segments import fold_fully, glob_matches, is_ledger_name, visible
from wfledger.core.twins import Listing, find_twins

Kind = Literal["added", "modified", "deleted", "mode", "type"]

LINK: Final = 0o120000
GITLINK: Final = 0o160000
_PLAIN: Final = frozenset({0o100644, 0o100664, 0o100755})
_MODES: Final = _PLAIN | {LINK, GITLINK}
_EXECUTABLE: Final = 0o111
#: No kernel follows a longer target, and what was read of one may have been cut off.
_TARGET_BYTES: Final = 4095


@dataclass(frozen=True)
class Entry:
    """One side of a change: what a tree has at the path."""

    mode: int
    oid: str
    #: Bytes; of blobs only.
    size: int | None

    @property
    def is_plain(self) -> bool:
        """Whether it is an ordinary file."""
        return self.mode in _PLAIN


@dataclass(frozen=True)
class Change:
    """One path at which two trees differ."""

    path: bytes
    #: What was there, or None.
    old: Entry | None
    #: What is there now, or None.
    new: Entry | None
    #: Where the new entry points to, if it is a symbolic link.
    target: bytes | None = None

    @property
    def kind(self) -> Kind:
        """What happened to the path."""
        if self.old is None:
            return "added"
        if self.new is None:
            return "deleted"
        if _type(self.old) != _type(self.new):
            return "type"
        return "mode" if self.old.oid == self.new.oid else "modified"

    @property
    def name(self) -> str | None:
        """The path as text, or None if it is not UTF-8."""
        try:
            return self.path.decode("utf-8")
        except UnicodeDecodeError:
            return None

    @property
    def text(self) -> str:
        """The path for people: as it is if that is unambiguous, else its bytes escaped."""
        return shown(self.path)


@dataclass(frozen=True)
class Rules:
    """What holds for the changes of every task of a ledger."""

    #: Areas that only a literal pattern grants.
    protected: tuple[Pattern, ...]
    max_blob_bytes: int
    max_changes: int
    allow_symlinks: bool
    keep_modes: bool

    @classmethod
    def of(cls, policy: Policy) -> "Rules":
        """Return the rules of *policy*; raises `InvalidPatternError`."""
        return cls(
            protected=tuple(parse_protected(text) for text in policy.protected),
            max_blob_bytes=policy.max_blob_bytes,
            max_changes=policy.max_changes,
            allow_symlinks=policy.allow_symlinks,
            keep_modes=policy.keep_modes,
        )


@dataclass(frozen=True)
class Violation:
    """One rule that one path breaks."""

    #: out_of_scope, protected, symlink, gitlink, bad_path, case_twin, too_large, too_many,
    #: mode_change, secret
    code: str
    #: For people, escaped; empty if it is about the change as a whole.
    path: str
    reason: str
    #: The pattern of the task that comes closest, if it has any.
    nearest: str | None

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


def violations(
    changes: Sequence[Change], write: Sequence[Pattern], rules: Rules, *, siblings: Listing
) -> tuple[Violation, ...]:
    """Return every rule that *changes* break, by path; none means that they may land.

    Beyond `max_changes` the rest is not looked at. *siblings* lists a folder of the tree before the
    change: the names that lie directly in it.
    """
    found = []
    if len(changes) > rules.max_changes:
        reason = f"{len(changes)} changes; at most {rules.max_changes} are allowed"
        found.append(Violation("too_many", "", reason, None))
    looked_at = sorted(changes, key=lambda change: change.path)[: rules.max_changes]
    added = [change.path for change in looked_at if change.old is None]
    deleted = [change.path for change in changes if change.new is None]
    twins = find_twins(added, deleted, siblings)
    for change in looked_at:
        subject = _Subject(change, write, rules, twins.get(change.path))
        found += subject.violations()
    return tuple(found)


def to_changed(changes: Sequence[Change], write: Sequence[Pattern]) -> tuple[Changed, ...]:
    """Return *changes* as a result's envelope lists them, by path."""
    return tuple(
        Changed(
            path=change.text,
            kind=change.kind,
            in_scope=change.name is not None and covered(write, change.name) is not None,
        )
        for change in sorted(changes, key=lambda change: change.path)
    )


def shown(path: bytes) -> str:
    """Return *path* as it is if people cannot mistake it, else with its bytes escaped."""
    text = path.decode("utf-8", "replace")
    exact = text.encode() == path and unicodedata.is_normalized("NFC", text)
    if exact and text.isprintable() and "\\" not in text:
        return text
    plain = range(0x20, 0x7F)
    return "".join(
        chr(byte) if byte in plain and chr(byte) != "\\" else f"\\x{byte:02x}" for byte in path
    )


@dataclass(frozen=True)
class _Subject:
    """One change before the rules."""

    change: Change
    write: Sequence[Pattern]
    rules: Rules
    twin: bytes | None

    @property
    def name(self) -> str:
        """The path as it ought to be written; nothing stands for what is not UTF-8."""
        return unicodedata.normalize("NFC", self.change.name or "")

    def violations(self) -> Iterator[Violation]:
        """Yield one violation for each rule that is broken."""
        for code, rule in _RULES:
            reason = rule(self)
            if reason is not None:
                yield Violation(code, self.change.text, reason, _nearest(self.write, self.name))

    def names_it(self) -> bool:
        """Return whether a literal pattern names exactly this path."""
        return any(pattern.is_literal and pattern.text == self.name for pattern in self.write)


def _bad_path(subject: _Subject) -> str | None:
    name = subject.change.name
    if name is None:
        return "the path is not UTF-8"
    if not unicodedata.is_normalized("NFC", name):
        return f"the path is not in the normal form NFC of Unicode; rename it to {subject.name}"
    # What lies in the ledger's folder is reported as protected.
    if not is_path(name) and not _in_ledger(name):
        return "the path has a segment that a file system may take for .git, or that is no name"
    return None


def _out_of_scope(subject: _Subject) -> str | None:
    if not is_path(subject.name) or covered(subject.write, subject.name):
        return None
    if not subject.write:
        return "the task reads only"
    return "no pattern of the task covers it"


def _protected(subject: _Subject) -> str | None:
    if not subject.name:
        return None
    new = subject.change.new
    # What takes the place of a protected folder decides what the files below it are.
    replaces = new is not None and new.mode in {LINK, GITLINK}
    below = _protection(subject, f"{subject.name}/x") if replaces else None
    return _protection(subject, subject.name) or below


def _protection(subject: _Subject, name: str) -> str | None:
    if _in_ledger(name):
        return "it lies in the ledger's own folder, which no task may write"
    for area in subject.rules.protected:
        guarded = matches_folded(area, visible(name))
        if guarded and not any(_grants(pattern, area, name) for pattern in subject.write):
            return f"{area} is protected; only a pattern without wildcards grants it, as {name}"
    return None


def _grants(pattern: Pattern, area: Pattern, name: str) -> bool:
    """Return whether *pattern* gives the right to write *name* in *area* (WFL-SCOPE-047).

    A literal folder that is wider than the area does not: whoever writes `src` has not asked for
    `src/.gitattributes`.
    """
    if not pattern.is_literal:
        return False
    if pattern.text == name:
        return True
    # Such an area holds all below a folder as soon as it holds anything directly in it.
    whole = area.steps[-1] == "**" and matches_folded(area, f"{pattern.text}/x")
    return whole and covered((pattern,), name) is not None


def _symlink(subject: _Subject) -> str | None:
    new, old = subject.change.new, subject.change.old
    if new is None or new.mode != LINK or (old and (old.mode, old.oid) == (LINK, new.oid)):
        return None
    if not subject.rules.allow_symlinks:
        return "symbolic links are not allowed here (policy allow_symlinks)"
    if not subject.name:
        return None
    target = subject.change.target
    aim = _aim(subject.name, target)
    if aim is None:
        return f"its target {shown(target or b'')} is not a relative path within the repository"
    if covered(subject.write, aim) is None:
        return f"it leads to {shown(aim.encode())}, which no pattern of the task covers"
    guard = _protection(subject, aim)
    return guard and f"it leads to {shown(aim.encode())}: {guard}"


def _aim(name: str, target: bytes | None) -> str | None:
    """Return the path that a link at *name* leads to, or None if it may lead out (WFL-SCOPE-043).

    `..` after a name is not resolved: what the name stands for may itself be a link.
    """
    if target is None or len(target) > _TARGET_BYTES:
        return None
    try:
        text = target.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not text or text.startswith("/") or "\\" in text:
        return None
    parts = [part for part in text.split("/") if part not in {"", "."}]
    folder = name.split("/")[:-1]
    while parts[:1] == [".."]:
        if not folder:
            return None
        del folder[-1], parts[0]
    aim = "/".join((*folder, *parts))
    return aim if is_path(aim) else None


def _gitlink(subject: _Subject) -> str | None:
    if subject.names_it():
        return None
    sides = (subject.change.old, subject.change.new)
    if any(side is not None and side.mode == GITLINK for side in sides):
        return "it is a repository inside the repository; only its own path as a pattern grants it"
    if fold_fully(visible(subject.name)) == ".gitmodules":
        return "it declares submodules; only its own path as a pattern grants it"
    return None


def _mode_change(subject: _Subject) -> str | None:
    new, old = subject.change.new, subject.change.old
    if new is not None and new.mode not in _MODES:
        return f"its mode {new.mode:o} is none that git gives to files"
    if not subject.rules.keep_modes or new is None or old is None:
        return None
    flipped = (new.mode ^ old.mode) & _EXECUTABLE
    if flipped and new.is_plain and old.is_plain:
        return f"its mode goes from {old.mode:o} to {new.mode:o} (policy keep_modes)"
    return None


def _case_twin(subject: _Subject) -> str | None:
    if subject.twin is None:
        return None
    return f"a file system that ignores case cannot hold it beside {shown(subject.twin)}"


def _too_large(subject: _Subject) -> str | None:
    new, old = subject.change.new, subject.change.old
    limit = subject.rules.max_blob_bytes
    if new is None or new.size is None or new.size <= limit or (old and old.oid == new.oid):
        return None
    return f"{new.size} bytes; at most {limit} are allowed"


def _in_ledger(name: str) -> bool:
    return is_ledger_name(name.split("/", 1)[0])


def _type(entry: Entry) -> int:
    """Return what *entry* is, apart from its permissions."""
    return 0o100000 if entry.is_plain else entry.mode


def _nearest(write: Sequence[Pattern], name: str) -> str | None:
    """Return the pattern that agrees with *name* longest, segment by segment, then by letters."""

    def agreement(pattern: Pattern) -> tuple[int, int]:
        parts = name.split("/")
        same = 0
        for glob, part in zip(pattern.segments, parts, strict=False):
            if not glob_matches(glob, part):
                break
            same += 1
        letters = 0
        for mine, other in zip(pattern.text, name, strict=False):
            if mine != other:
                break
            letters += 1
        return same, letters

    best = max(write, key=agreement, default=None)
    return None if best is None else best.text


_RULES: Final[tuple[tuple[str, Callable[[_Subject], str | None]], ...]] = (
    ("bad_path", _bad_path),
    ("out_of_scope", _out_of_scope),
    ("protected", _protected),
    ("symlink", _symlink),
    ("gitlink", _gitlink),
    ("mode_change", _mode_change),
    ("case_twin", _case_twin),
    ("too_large", _too_large),
)
