"""What servers and transports say when something fails, and what it means.

Pure. The texts are those of git, ssh, curl and of the servers people use; what is not known here
is believed to be a cut connection, for that is the reading that decides nothing.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

TroubleKind = Literal[
    "unreachable", "timeout", "auth", "not_found", "hung_up", "protocol", "format", "local",
    "atomic", "rule", "hidden", "quota", "read_only", "disk_full", "name",
    "busy",
]  # fmt: skip
#: `waits`: refused only because another ref of the same atomic push was.
Status = Literal["ok", "lost", "refused", "waits", "unknown"]


@dataclass(frozen=True)
class Trouble:
    """Why a server did not do what it was asked for.

    The kinds `unreachable`, `timeout`, `hung_up`, `quota` and `busy` (another git is in the way
    here) pass by themselves; the others want somebody to do
    something, which *hint* says.
    """

    kind: TroubleKind
    #: The words of whoever said no.
    message: str
    hint: str = ""

    @property
    def passes(self) -> bool:
        """Whether waiting may be all that is needed."""
        return self.kind in {"unreachable", "timeout", "hung_up", "quota", "busy"}


@dataclass(frozen=True)
class _Meaning:
    pattern: re.Pattern[str]
    kind: TroubleKind
    hint: str


def _meaning(kind: TroubleKind, hint: str, *words: str) -> _Meaning:
    return _Meaning(re.compile("|".join(words), re.IGNORECASE), kind, hint)


_QUOTA: Final = _meaning(
    "quota", "wait, or push less often: wfledger remote set --pushes-per-minute 2",
    r"error: 429", r"http 429", r"rate.?limit", r"too many requests", r"secondary rate",
    r"\bquota\b", r"storage limit", r"error: 413", r"\bexceed\w* .*(limit|storage)",
    r"size limit",
)  # fmt: skip
_MEANINGS: Final = (
    _meaning(
        "atomic", "wfledger remote probe", r"does not support --atomic push",
    ),
    _meaning(
        "read_only", "let the server take pushes there: git daemon --enable=receive-pack",
        r"service not enabled", r"receive-pack not permitted",
    ),
    _meaning(
        "read_only", "let the server take pushes there, or use another",
        r"archived", r"read.only mode", r"marked as read.only", r"repository is read.only",
    ),
    _meaning(
        "format", "use a repository with SHA-1 object names on the server",
        r"mismatched algorithms", r"mismatched object format",
        r"this repository's hash algorithm", r"object names are not SHA-1",
    ),
    _meaning(
        "format", "on the server run: git fetch --unshallow",
        r"shallow update not allowed", r"shallow roots are not allowed",
    ),
    _meaning(
        "auth", "connect once yourself, so that ssh knows the server's key: ssh HOST",
        r"host key verification failed", r"remote host identification has changed",
    ),
    _meaning(
        "auth", "make the key available without a question: ssh-add, or ~/.ssh/config",
        r"permission denied \(", r"permission denied, please try again",
        r"too many authentication failures", r"sign_and_send_pubkey",
    ),
    _QUOTA,
    _meaning(
        "auth", "let a credential helper of yours answer: git config --global credential.helper;"
        " what stands in the repository's own configuration is not used",
        r"could not read (username|password)", r"terminal prompts disabled",
        r"authentication failed", r"error: 40[13]", r"http basic: access denied",
        r"invalid (username|credentials)", r"permission to \S+ denied",
        r"write access .* not granted",
        r"not allowed to (push|upload)", r"permission denied for writing",
        r"need the git '\w+' permission", r"\bunauthori[sz]ed\b",
        r"unable to get password", r"requires authentication", r"insufficient permission",
    ),
    _meaning(
        "not_found", "look at the address: git remote -v",
        r"repository not found", r"does not appear to be a git repository",
        r"repository '.*' (not found|does not exist)", r"repository not exported",
        r"no such repository", r"error: 404", r"project .* could not be found",
        r"not a git repository", r"could not be found or you don't have permission",
        r"repository does not exist", r"does not exist or you do not have permission",
    ),
    _meaning(
        "protocol", "the address, or your git configuration, wants what git does not allow here",
        r"transport '.*' not allowed", r"unable to find remote helper",
        r"remote helper .* aborted", r"ssl certificate problem", r"certificate verification failed",
        r"bad config", r"strange hostname", r"unable to parse",
    ),
    _meaning(
        "unreachable", "",
        r"could not resolve", r"connection refused", r"no route to host", r"network is unreachable",
        r"connection timed out", r"operation timed out", r"failed to connect", r"couldn't connect",
        r"could not connect", r"unable to connect", r"unable to look up",
        r"name or service not known",
        r"temporary failure in name resolution", r"from proxy after connect",
    ),
    _meaning("disk_full", "make room on the server", r"error: 507", r"insufficient storage"),
    _meaning("timeout", "", r"operation too slow", r"timeout, server .* not responding"),
    _meaning(
        "hung_up", "",
        r"hung up", r"connection reset", r"broken pipe", r"early eof", r"unexpected disconnect",
        r"rpc failed", r"connection closed", r"closed by remote host", r"error: 5\d\d",
        r"could not read from remote", r"protocol error", r"bad line length", r"empty reply",
        r"index-pack failed", r"unpack-objects failed", r"bad pack header", r"inflate",
    ),
)  # fmt: skip
_DISK: Final = _meaning(
    "disk_full", "make room on the server",
    r"no space left on device", r"disk quota exceeded",
)  # fmt: skip
_READ_ONLY: Final = _meaning(
    "read_only", "give the server's account the right to write there",
    r"read-only file system", r"permission denied", r"insufficient permission for adding",
    r"archived", r"read.only",
)  # fmt: skip
_LOST: Final = re.compile(
    r"fetch first|^non-fast-forward|stale info|failed to update ref|cannot lock ref"
    r"|failed to lock|reference already exists|already exists|incorrect old value|needs force"
    r"|failed to update|atomic transaction failed|remote ref updated|reference conflict",
    re.IGNORECASE,
)
_WAITS: Final = re.compile(
    r"atomic push fail|atomic transaction failed|transaction aborted", re.IGNORECASE
)
_UNTOLD: Final = "failed to report status"
_NAME: Final = _meaning(
    "name", "rename one of the two", r"d/f conflict", r"funny refname", r"; cannot create"
)
_RULE: Final = _meaning("rule", "let the server's rules (hooks, protected branches) allow it")
_REF_REASONS: Final = (
    _meaning("hidden", "the server hides such names", r"hidden ref"),
    _meaning("format", "on the server run: git fetch --unshallow", r"shallow update not allowed"),
    _meaning("disk_full", "look at the server's disk", r"unpacker error"),
    _meaning(
        "rule", "the server's branch has a checkout; share a bare repository",
        r"currently checked out",
    ),
    _NAME,
    _meaning(
        "rule", "the server keeps histories from being rewritten, or refs from being deleted",
        r"^non-fast-forward", r"deletion prohibited", r"denying",
    ),
)  # fmt: skip
_LOCAL: Final = _meaning(
    "local", "look at the disk and the repository here: git fsck",
    r"no space left on device", r"unable to (write|create|open|read)", r"bad object",
    r"read-only file system", r"cannot lock ref", r"cannot update the ref", r"too many open files",
    r"missing blob", r"object file .* is empty", r"did not send all necessary objects",
    r"not a valid object", r"src refspec",
)  # fmt: skip
_BUSY: Final = _meaning(
    "busy", "again in half a minute: another git works here, or one that was killed left that lock",
    r"unable to create '.*\.lock': File exists",
)  # fmt: skip
_NOISE: Final = re.compile(
    r"please make sure you have the correct access|and the repository exists|^\s*$|^hint:"
    r"|could not read from remote repository|^To |^Done$|failed to push some refs"
    r"|the remote end hung up|^warning: permanently added|^remote:\s*$|unexpected disconnect"
    r"|errno=0|unexpected eof|unable to read askpass response",
    re.IGNORECASE,
)
_LIMIT: Final = 2000


def trouble(said: str, *, timed_out: bool = False, timeout: float = 0) -> Trouble:
    """Return what the words *said* of a git that failed mean."""
    words = essence(said)
    if timed_out:
        last = f"; the last it said: {words}" if words else ""
        return Trouble("timeout", f"no answer within {timeout:g} s{last}")
    ours = "\n".join(line for line in said.splitlines() if not line.startswith("remote:"))
    if _DISK.pattern.search(_remote(said)):
        return Trouble("disk_full", words, _DISK.hint)
    for meaning in _MEANINGS:
        if meaning.kind == "hung_up" and (busy := _BUSY.pattern.search(ours)) is not None:
            return Trouble("busy", _line_of(ours, busy.start()), _BUSY.hint)
        if meaning.kind == "hung_up" and (local := _LOCAL.pattern.search(ours)) is not None:
            return Trouble("local", _line_of(ours, local.start()), _LOCAL.hint)
        if meaning.pattern.search(said):
            return Trouble(meaning.kind, words or said.strip()[:_LIMIT], meaning.hint)
    return Trouble("hung_up", words or "git ended without a word")


def ref_status(reason: str, *, by_server: bool, said: str, ref: str) -> Status:
    """Return what became of one ref that a push says was rejected for *reason*.

    *said* is all that git and the server have told, which names the cause of an atomic failure.
    """
    if _UNTOLD in reason:
        return "unknown"
    if _is_cause(ref, said):
        return "refused" if _why_locked(said, ref) is not None else "lost"
    if _WAITS.search(reason):
        return "waits"
    if by_server and reason.startswith("non-fast-forward"):
        return "refused"  # a rule of the server's: what we expected was there
    if _LOST.search(reason):
        return "refused" if _why_locked(said, ref) is not None else "lost"
    return "refused"


def refusal(reason: str, said: str, ref: str) -> Trouble:
    """Return why the server refuses *ref*, in its words."""
    meaning = _why_locked(said, ref) or _why_refused(reason, _remote(said))
    return Trouble(meaning.kind, because(reason, said), meaning.hint)


def essence(said: str) -> str:
    """Return the lines of *said* that tell something, in their order, within bounds."""
    lines = [line.rstrip() for line in said.replace("\r", "\n").splitlines()]
    kept = dict.fromkeys(_plain(line) for line in lines if not _NOISE.search(line))
    if not any(kept):
        kept = dict.fromkeys(_plain(line) for line in lines if line.startswith("fatal:"))
    return "; ".join(line for line in kept if line)[:_LIMIT]


def _plain(line: str) -> str:
    printable = "".join(char for char in line if char.isprintable())
    return re.sub(r"^(fatal|error|ERROR): ", "", printable).strip()


def _remote(said: str) -> str:
    return "\n".join(line for line in said.splitlines() if line.startswith("remote:"))


def because(reason: str, said: str) -> str:
    """Return *reason* and what the server has said besides."""
    words = essence(_remote(said))
    words = "; ".join(part.removeprefix("remote:").strip() for part in words.split("; ") if part)
    return f"{reason}: {words}"[:_LIMIT] if words else reason


def _is_cause(ref: str, said: str) -> bool:
    return f"cannot lock ref '{ref}'" in said


def _why_locked(said: str, ref: str) -> _Meaning | None:
    """Return why the server could not lock *ref*, where another try would not help."""
    for line in said.splitlines():
        if f"'{ref}'" not in line or "lock" not in line:
            continue
        for meaning in (_NAME, _DISK, _READ_ONLY):
            if meaning.pattern.search(line):
                return meaning
    return None


def _why_refused(reason: str, remote: str) -> _Meaning:
    """Return what the server's reason for one ref, and its words besides, mean."""
    for meaning in (_DISK, _QUOTA):
        if meaning.pattern.search(f"{reason}\n{remote}"):
            return meaning
    if "unpack" in reason and _READ_ONLY.pattern.search(remote):
        return _READ_ONLY
    found = (meaning for meaning in _REF_REASONS if meaning.pattern.search(reason))
    return next(found, _RULE)


def _line_of(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    return _plain(text[start:].partition("\n")[0])
