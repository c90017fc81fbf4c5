"""Which changes of git's configuration can make nobody's git run or reach something else.

What is not known to be harmless is not: git has some hundred keys that name a command, a file or a
server, and every version brings more.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from wfledger.vcs.fingerprint import Pairs

#: Sections in which no key names a command, a file that git obeys, or a server.
_SECTIONS: Final = frozenset(
    {
        "advice", "apply", "author", "clean", "color", "column", "committer", "feature", "format",
        "gui", "i18n", "index", "log", "maintenance", "notes", "pack", "rebase", "repack",
        "rerere", "stash", "status", "tag", "user",
    }
)  # fmt: skip
#: Keys of other sections.
_KEYS: Final = frozenset(
    {
        "checkout.defaultremote", "checkout.guess", "checkout.workers", "commit.cleanup",
        "commit.gpgsign", "commit.status", "commit.verbose", "core.abbrev", "core.commitgraph",
        "core.logallrefupdates", "core.multipackindex", "core.preloadindex", "core.quotepath",
        "core.splitindex", "core.untrackedcache", "core.sparsecheckout", "core.sparsecheckoutcone",
        "core.whitespace", "diff.algorithm", "diff.colormoved", "diff.colormovedws", "diff.context",
        "diff.interhunkcontext", "diff.mnemonicprefix", "diff.noprefix", "diff.renamelimit",
        "diff.renames", "extensions.worktreeconfig", "fetch.parallel", "fetch.prune",
        "fetch.prunetags", "fetch.writecommitgraph", "help.autocorrect", "init.defaultbranch",
        "lfs.repositoryformatversion",
        "merge.conflictstyle", "merge.ff", "merge.log", "merge.renamelimit", "merge.renames",
        "merge.stat", "merge.verbosity", "pull.ff", "pull.rebase", "push.autosetupremote",
        "push.default", "push.followtags", "worktree.guessremote",
    }
)  # fmt: skip
#: Of a branch: what `git branch`, `git checkout -b` and editors write.
_OF_BRANCH: Final = re.compile(
    r"branch\..*\.(merge|rebase|description|autosetuprebase|vscode-merge-base|gh-merge-base"
    r"|gk-[a-z-]+)\Z", re.DOTALL,
)  # fmt: skip
_UPSTREAM: Final = re.compile(r"branch\..*\.(remote|pushremote)\Z", re.DOTALL)
#: What git-lfs notes about a server.
_OF_LFS: Final = re.compile(r"lfs\..*\.(access|locksverify)\Z", re.DOTALL)
_REMOTE: Final = re.compile(r"remote\.(?P<name>.*)\.(?P<key>[a-z]+)\Z", re.DOTALL)
_SUBMODULE: Final = re.compile(r"submodule\..*\.(url|active)\Z", re.DOTALL)
_FETCHES: Final = re.compile(r"\+?refs/(heads|tags)/[^:]*:refs/(remotes|tags)/[^:]*\Z")


@dataclass(frozen=True)
class KeyChange:
    """A key whose values are others; None where it has, or had, none."""

    key: str
    old: str | None
    new: str | None


def changes(old: Pairs, new: Pairs) -> tuple[KeyChange, ...]:
    """Return what differs between two configurations, in the order of keys."""
    before, after = _values(old), _values(new)
    keys = sorted(before.keys() | after.keys())
    return tuple(
        KeyChange(key, _joined(before.get(key)), _joined(after.get(key)))
        for key in keys
        if before.get(key) != after.get(key)
    )


def alarming(old: Pairs, new: Pairs) -> tuple[KeyChange, ...]:
    """Return the changes that are not known to be harmless."""
    before, after = frozenset(_remotes(old)), frozenset(_remotes(new))
    return tuple(one for one in changes(old, new) if not _is_harmless(one, before, after))


def _values(pairs: Pairs) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, value in pairs:
        found[key] = (*found.get(key, ()), value)
    return found


def _joined(values: tuple[str, ...] | None) -> str | None:
    return None if values is None else "\n".join(values)


def _remotes(pairs: Pairs) -> Iterator[str]:
    for key, _ in pairs:
        if (match := _REMOTE.match(key)) is not None:
            yield match["name"]


def _is_harmless(change: KeyChange, remotes: frozenset[str], after: frozenset[str]) -> bool:
    key, new = change.key, change.new
    if key.partition(".")[0] in _SECTIONS or key in _KEYS:
        return True
    if _OF_BRANCH.match(key) or _OF_LFS.match(key):
        return True
    if _UPSTREAM.match(key):
        # A branch that follows another server than before pushes there.
        return new is None or (change.old is None and (new == "." or new in remotes))
    if (match := _REMOTE.match(key)) is not None:
        return match["name"] not in after or _is_new_remote(change, match, remotes)
    if _SUBMODULE.match(key) is not None:
        return new is None or (change.old is None and "::" not in new)
    return False


def _is_new_remote(change: KeyChange, match: re.Match[str], remotes: frozenset[str]) -> bool:
    """Whether a remote is added that nothing refers to yet, and that overwrites nothing."""
    if match["name"] in remotes or change.new is None:
        return False
    if match["key"] == "url":
        return "::" not in change.new
    specs = change.new.split("\n")
    return match["key"] == "fetch" and all(_FETCHES.match(spec) for spec in specs)
