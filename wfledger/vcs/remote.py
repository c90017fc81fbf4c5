"""The only door to the network: what a server's refs are, fetching them, moving them.

Every call is bounded, asks nobody anything and ends with all that it started (`network`). What a
server says is turned into outcomes that callers decide by (`answers`). Objects arrive in the
repository's own store, durably, before any ref names them; refs of ours move below
`refs/wfledger/hub/` alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from wfledger.errors import GitError
from wfledger.vcs.addresses import checked, url_of
from wfledger.vcs.answers import Status, Trouble, because, ref_status, refusal, trouble
from wfledger.vcs.network import Called, call
from wfledger.vcs.refs import clear_stale_below, refs_under
from wfledger.vcs.repo import Repository

__all__ = [
    "ANY", "Fetched", "Listing", "Pushed", "RemoteUpdate", "Trouble", "fetch", "listing", "push",
    "url_of",
]  # fmt: skip

#: Below this are all refs that a fetch may write.
FETCHED: Final = "refs/wfledger/hub/"
#: As the `old` of an update: whatever is there.
ANY: Final = "any"
_OID: Final = re.compile(r"[0-9a-f]{40}\Z")
_REF: Final = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+\Z")
_PATTERN: Final = re.compile(r"refs/[^\x00-\x20\x7f~^:?\[\\]*\Z")
_ABSENT: Final = re.compile(r"couldn't find remote ref (\S+)")
_SHALLOW: Final = "shallow roots are not allowed"
_FLAGS: Final = frozenset(" +-*=!")


@dataclass(frozen=True)
class Listing:
    """The refs that a server has."""

    refs: dict[str, str]


@dataclass(frozen=True)
class Fetched:
    """What a fetch found: the server's ref -> its commit; what is not there is not in it."""

    refs: dict[str, str]


@dataclass(frozen=True)
class RemoteUpdate:
    """One ref to move: *new* None deletes it; *old* None means that it must not exist there."""

    ref: str
    new: str | None
    old: str | None


@dataclass(frozen=True)
class Pushed:
    """What a push came to.

    - `ok`: every ref is as asked for, or was already.
    - `lost`: somebody was faster; nothing of an atomic push has happened.
    - `refused`: the server does not want it; `trouble` says why. Again as it is, it will be again.
    - `unknown`: it may have happened or not; only the server's refs tell.

    Of several refs that were not all or none, each has its own end in `per_ref`.
    """

    outcome: Literal["ok", "lost", "unknown", "refused"]
    #: ref -> what became of it, and the server's words.
    per_ref: Mapping[str, tuple[Status, str]] = field(default_factory=dict)
    #: All that git and the server have said.
    said: str = ""
    trouble: Trouble | None = None


def listing(
    repo: Repository, url: str, patterns: Sequence[str] = (), *, timeout: float
) -> Listing | Trouble:
    """Return the refs of the server that match *patterns* (full names, `*` for anything)."""
    args = ["ls-remote", "--quiet", "--refs", "--", checked(url), *map(_pattern, patterns)]
    done = call(repo, args, url=url, timeout=timeout)
    if done.status != 0 or not (done.out or done.spoke):
        return _unanswered(done, timeout)
    pairs = (line.split("\t", 1) for line in done.out.splitlines() if "\t" in line)
    found = {ref: oid for oid, ref in pairs if _wanted(ref, patterns)}
    if any(not _OID.match(oid) for oid in found.values()):
        return trouble("fatal: mismatched algorithms: the server's object names are not SHA-1")
    return Listing(found)


def fetch(
    repo: Repository, url: str, wanted: Sequence[str], *, timeout: float, depth: int | None = None
) -> Fetched | Trouble:
    """Fetch *wanted*, refspecs `+theirs:ours` with ours below `refs/wfledger/hub/`.

    `*` stands for anything, once on each side; of ours what they no longer have goes. Theirs that
    do not exist are no failure. On return all objects are here, durably. *depth* bounds the history
    of what is new here, and makes the repository a shallow one.
    """
    specs = [_refspec(spec) for spec in wanted]
    checked(url)
    while specs:
        done = _fetched(repo, url, specs, timeout=timeout, depth=depth)
        absent = _ABSENT.search(done.err)
        if done.status == 0 or absent is None or not done.spoke:
            break
        # Git names one at a time: all that is there is asked for, once.
        there = listing(repo, url, [src for src, _ in specs], timeout=timeout)
        if isinstance(there, Trouble):
            return there
        specs = [
            (src, dst) for src, dst in specs if "*" in src or src in there.refs or _OID.match(src)
        ]
        if any(src == absent[1] for src, _ in specs):
            return _unanswered(done, timeout)
    if not specs:
        return Fetched({})
    if _SHALLOW in done.err:  # git leaves such refs out and calls it success
        return trouble(done.err)
    found = _found(repo, specs) if done.status == 0 else {}
    if not found and (done.status != 0 or not done.spoke):
        return _unanswered(done, timeout)
    return Fetched(found)


def push(
    repo: Repository, url: str, updates: Sequence[RemoteUpdate], *, atomic: bool, timeout: float
) -> Pushed:
    """Move refs of the server, each only from its `old`; *atomic*: all of them or none.

    Where all are as wanted already, that is `ok`: the same commit pushed twice is one push.
    """
    checked(url)
    if not updates:
        return Pushed("ok")
    if len({one.ref for one in updates}) < len(updates):
        raise GitError(f"a ref is to be moved twice: {updates}", kind="bad_ref")
    args = ["push", "--porcelain", "--no-verify", "--no-signed", "--no-progress"]
    args += ["--atomic"] if atomic else []
    args += [f"--force-with-lease={one.ref}:{one.old or ''}" for one in updates if one.old != ANY]
    args += ["--", url, *map(_instruction, updates)]
    done = call(repo, args, url=url, timeout=timeout)
    return judged(updates, done, timeout, atomic=atomic)


def judged(
    updates: Sequence[RemoteUpdate], done: Called, timeout: float, *, atomic: bool
) -> Pushed:
    """Return what a push that said this came to."""
    told = _told(done.out)
    said = "\n".join(part for part in (done.err.strip(), done.out.strip()) if part)
    per_ref: dict[str, tuple[Status, str]] = {}
    for one in updates:
        flag, summary, reason, by_server = told.get(one.ref, ("?", "", "", False))
        if flag == "!":
            end = ref_status(reason, by_server=by_server, said=done.err, ref=one.ref)
            per_ref[one.ref] = (end, because(reason, done.err) if by_server else reason)
        else:
            # What git prints before the server's report has come is no report.
            per_ref[one.ref] = ("unknown" if flag == "?" else "ok", summary)
    return _judged(per_ref, done, timeout, said, atomic=atomic)


def _judged(
    per_ref: dict[str, tuple[Status, str]], done: Called, timeout: float, said: str, *, atomic: bool
) -> Pushed:
    statuses = {status for status, _ in per_ref.values()}
    if done.status == 0 and statuses == {"ok"}:
        return Pushed("ok", per_ref, said)
    if "unknown" in statuses and not atomic:
        return Pushed("unknown", per_ref, said, _trouble(done, timeout))
    if "refused" in statuses:
        ref = next(ref for ref, (end, _) in per_ref.items() if end == "refused")
        reason = _told(done.out)[ref][2]
        return Pushed("refused", per_ref, said, refusal(reason, done.err, ref))
    if "lost" in statuses or (atomic and "waits" in statuses):
        return Pushed("lost", per_ref, said)
    return _unreported(per_ref, done, timeout, said)


def _unreported(
    per_ref: Mapping[str, tuple[Status, str]], done: Called, timeout: float, said: str
) -> Pushed:
    """Return the end of a push that has no report for each ref.

    What a server prints decides nothing then: it may have printed it and moved the refs as well.
    """
    why = _trouble(done, timeout)
    own = "\n".join(line for line in done.err.splitlines() if not line.startswith("remote:"))
    if done.status is None or trouble(own).kind in {"unreachable", "timeout", "hung_up"}:
        return Pushed("unknown", dict.fromkeys(per_ref, ("unknown", why.message)), said, why)
    return Pushed("refused", dict.fromkeys(per_ref, ("refused", why.message)), said, why)


def _told(out: str) -> dict[str, tuple[str, str, str, bool]]:
    """Read `git push --porcelain`: ref -> flag, summary, reason, whether the server said it."""
    found: dict[str, tuple[str, str, str, bool]] = {}
    for line in out.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        if flag not in _FLAGS or not summary:
            continue
        bare = summary.startswith("[")
        head, _, reason = summary.partition("] (" if bare else " (")
        found[names.rpartition(":")[2]] = (
            flag, summary, reason.removesuffix(")"), head.startswith("[remote")
        )  # fmt: skip
    return found


def _fetched(
    repo: Repository, url: str, specs: Iterable[tuple[str, str]], *, timeout: float,
    depth: int | None,
) -> Called:  # fmt: skip
    args = ["fetch", "--quiet", "--no-write-fetch-head", "--no-tags", "--prune", "--force",
            "--no-auto-maintenance", "--no-recurse-submodules"]  # fmt: skip
    args += [] if depth is None else [f"--depth={depth}"]
    args += ["--", url, *(f"+{src}:{dst}" for src, dst in specs)]
    done = call(repo, args, url=url, timeout=timeout)
    if done.status not in {0, None} and clear_stale_below(repo, FETCHED):
        # A fetch that was killed has left them: every other would be kept out for ever.
        return call(repo, args, url=url, timeout=timeout)
    return done


def _found(repo: Repository, specs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what the refs that a fetch wrote are called on the server, and where they stand."""
    here = refs_under(repo, FETCHED)
    found: dict[str, str] = {}
    for src, dst in specs:
        if "*" not in src:
            found |= {src: here[dst]} if dst in here else {}
            continue
        head, _, tail = dst.partition("*")
        for ref, oid in here.items():
            if ref.startswith(head) and ref.endswith(tail) and len(ref) >= len(head) + len(tail):
                found[src.replace("*", ref[len(head) : len(ref) - len(tail)])] = oid
    return found


def _refspec(spec: str) -> tuple[str, str]:
    src, colon, dst = spec.removeprefix("+").partition(":")
    sound = (_PATTERN.match(src) or _OID.match(src)) and _PATTERN.match(dst)
    if not sound or not colon or not dst.startswith(FETCHED) or src.count("*") != dst.count("*"):
        raise GitError(f"not a refspec below {FETCHED}: {spec!r}", kind="bad_ref", ref=spec)
    return src, dst


def _pattern(pattern: str) -> str:
    if not _PATTERN.match(pattern):
        raise GitError(f"not a pattern of refs: {pattern!r}", kind="bad_ref", ref=pattern)
    return pattern


def _wanted(ref: str, patterns: Sequence[str]) -> bool:
    """Whether a whole name fits; git is content where the end of it does."""
    forms = (re.escape(pattern).replace(r"\*", ".*") for pattern in patterns)
    return not patterns or any(re.fullmatch(form, ref) for form in forms)


def _instruction(update: RemoteUpdate) -> str:
    """Return the refspec; what could be read as another is refused."""
    oids = [oid for oid in (update.new, update.old) if oid is not None and oid != ANY]
    if not _REF.match(update.ref) or not all(_OID.match(oid) for oid in oids):
        raise GitError(f"not a ref update: {update}", kind="bad_ref", ref=update.ref)
    force = "+" if update.old == ANY and update.new is not None else ""
    return f"{force}{update.new or ''}:{update.ref}"


def _unanswered(done: Called, timeout: float) -> Trouble:
    if not done.spoke and (done.status == 0 or _ABSENT.search(done.err)):
        return Trouble("hung_up", "the answer was cut short, or is none of git's")
    return _trouble(done, timeout)


def _trouble(done: Called, timeout: float) -> Trouble:
    return trouble(done.err or done.out, timed_out=done.status is None, timeout=timeout)
