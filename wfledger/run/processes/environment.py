"""The environment of a worker: built, not inherited; and the redaction of what it was trusted with.

A worker sees a short standing list, what fleet.toml or the task lists, and what the runtime adds.
A name that looks like a secret, an agent socket and git's own variables are passed only when they
are listed exactly: a pattern never gives them away.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

STANDING: Final = ("PATH", "HOME", "USER", "SHELL", "LANG", "LC_*", "TERM", "TMPDIR")
_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_SECRET: Final = re.compile(
    r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL", re.IGNORECASE
)
_GUARDED: Final = re.compile(r"GIT_|SSH_AUTH_SOCK\Z|WFLEDGER_")
#: A shorter value is too likely to be an ordinary word of the output.
MIN_SECRET: Final = 8
REDACTED: Final = "[redacted]"
#: Forms that issuers give their tokens so that they can be recognised.
_TOKENS: Final = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}"
    r"|glpat-[A-Za-z0-9_-]{20,}|xox[abeprs]-[A-Za-z0-9-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})"
)


def build(
    pass_names: Iterable[str],
    extra: Mapping[str, str],
    cwd: Path,
    *,
    source: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment of a job that runs in *cwd*.

    *pass_names* are names, or prefixes that end in `*`, taken from *source* (this process's own
    environment by default); *extra* is added as it is. `PWD` is *cwd*.
    """
    source = os.environ if source is None else source
    names = (*STANDING, *pass_names)
    environment = {name: value for name, value in source.items() if is_passed(name, names)}
    environment.setdefault("PATH", _DEFAULT_PATH)
    environment.update(extra)
    environment["PWD"] = str(cwd)
    return environment


def is_passed(name: str, names: Iterable[str]) -> bool:
    """Whether the variable *name* goes to a worker that is given *names*."""
    only_exact = looks_secret(name) or _GUARDED.match(name) is not None
    for listed in names:
        if listed == name:
            return True
        if listed.endswith("*") and name.startswith(listed[:-1]) and not only_exact:
            return True
    return False


def looks_secret(name: str) -> bool:
    """Whether a variable of that name probably holds a secret."""
    return _SECRET.search(name) is not None


def looks_like_token(value: str) -> bool:
    """Whether *value* has the form of a token of a well-known issuer."""
    return _TOKENS.search(value) is not None


def withheld(
    pass_names: Iterable[str], *, source: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the names that look secret, are set, and are not passed; for hints to people."""
    source = os.environ if source is None else source
    names = tuple(pass_names)
    return tuple(sorted(one for one in source if looks_secret(one) and not is_passed(one, names)))


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values in *environment* that `redact` has to hide.

    Each line of a value of several lines counts too: programs print keys line by line.
    """
    values: set[str] = set()
    for name, value in environment.items():
        if looks_secret(name):
            values.update([value, *value.splitlines()])
    return tuple(sorted(value for value in values if len(value) >= MIN_SECRET))


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return *text* with every one of *secrets*, and every well-known token, blotted out."""
    # The longest first: one secret may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= MIN_SECRET:
            text = text.replace(secret, REDACTED)
    return _TOKENS.sub(REDACTED, text)
