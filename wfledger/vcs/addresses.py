"""Which addresses of servers are used, and what address a remote of the repository has.

The address is taken once, when a person says which remote it is; what the repository's
configuration says afterwards counts for nothing.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from wfledger.errors import NotFoundError, RepositoryError
from wfledger.vcs import proc
from wfledger.vcs.proc import Setting
from wfledger.vcs.repo import Repository

_WEB: Final = frozenset({"http", "https"})
_SCHEMES: Final = frozenset({"ssh", "git+ssh", "ssh+git", "git", "file"}) | _WEB
_FILE: Final = "file://"
_HELPER: Final = re.compile(r"[A-Za-z0-9+.-]+::")
#: As git tells a URL from a path.
_URL: Final = re.compile(r"[A-Za-z0-9+.-]+://")
#: `host:path` and `user@host:path`, as git takes it: no slash before the colon.
_SCP: Final = re.compile(r"(?P<host>[^/:]*|\[[^/\]]*\]):(?P<path>.*)\Z", re.DOTALL)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
#: What no name of a server has; folders may.
_NO_HOST: Final = re.compile(r"[\s\\]")
_MOST: Final = 2000


def checked(url: str) -> str:
    """Return *url* if it is one that is used; raises `RepositoryError` (`bad_url`) otherwise.

    Used are ssh, git, http(s) and absolute paths to a repository. Not used are transports that
    run a program of the address's choice, and addresses with a password in them. A folder may be
    called anything but for control characters, here and on a server that is reached by ssh or git.
    """
    if not url:
        raise _bad(url, "it is empty")
    if _CONTROL.search(url):
        raise _bad(url, "it has a control character in it, such as a line end or a tab")
    if len(url) > _MOST:
        raise _bad(url, f"it has more than {_MOST} characters")
    if url.startswith("-"):
        raise _bad(url, "it looks like an option")
    if _HELPER.match(url):
        raise _bad(url, "it names a program to run instead of a server")
    if _URL.match(url):
        return _checked_url(url)
    scp = _SCP.match(url)
    if scp is not None:
        host = scp["host"].rpartition("@")[2]
        _check_host(url, scp["host"])
        if not host or host.startswith("-") or scp["host"].startswith("-") or not scp["path"]:
            raise _bad(url, "it names no server")
        if scp["path"].startswith("-"):
            raise _bad(url, "its path looks like an option")
        return url
    return _checked_path(url, url)


def url_of(repo: Repository, name: str) -> str:
    """Return the address of the git remote *name*, where it is pushed to if that is another.

    Raises `NotFoundError` where there is no such remote, `RepositoryError` where its address is
    not used. A relative path is taken from the main checkout; what the user's own configuration
    says instead of an address (`insteadOf`) is left to git at each call.
    """
    settings = proc.settings(repo.git_dir)
    key = f"remote.{name}."
    fetched = [one.value for one in settings if one.key == f"{key}url" and one.value]
    pushed = [one.value for one in settings if one.key == f"{key}pushurl" and one.value]
    found = pushed or fetched
    if not found:
        names = sorted({one.key[7:-4] for one in settings if one.key[:7] == "remote."
                        and one.key.endswith(".url")})  # fmt: skip
        have = ", ".join(names) or "none"
        raise NotFoundError(
            f"there is no git remote {name!r}; there are: {have}",
            hint=f"git remote add {name} URL", remotes=names,
        )  # fmt: skip
    if len(set(found)) > 1:
        raise RepositoryError(
            f"the remote {name!r} pushes to {len(set(found))} places, and one is to decide",
            hint=f"git remote set-url --push {name} URL", kind="bad_url",
        )  # fmt: skip
    return resolved(repo, _rewritten(found[0], settings))


def resolved(repo: Repository, url: str) -> str:
    """Return *url* checked, and absolute where it is a path from the main checkout."""
    place = folder(url)
    if place is not None and not _CONTROL.search(url):
        url = str(((repo.main_workdir or repo.common_dir) / place).resolve())
    checked(url)
    where = path_of(url)
    if where is not None and _git_dir(where) == repo.common_dir:
        raise _bad(url, "it is this very repository")
    return url


def folder(text: str) -> Path | None:
    """Return the folder that git takes *text* for, relative or not; None where it is no path.

    Raises `RepositoryError` where it begins with the home of a user that is not there.
    """
    is_other = _URL.match(text) or _HELPER.match(text) or _SCP.match(text)
    if not text or is_other or text.startswith("-"):
        return None
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise _bad(text, "there is no user of that name") from None


def path_of(url: str) -> Path | None:
    """Return the directory that *url* names on this machine; None where it is another's."""
    if url.startswith(_FILE):
        return Path(_file_parts(url)[1])
    return Path(url) if url.startswith("/") else None


def _file_parts(url: str) -> tuple[str, str]:
    """Return host and path of a `file://` URL as git reads it: `%20` is a blank, `#` is a `#`."""
    host, slash, path = unquote(url.removeprefix(_FILE)).partition("/")
    return host, slash + path


def _rewritten(url: str, settings: Sequence[Setting]) -> str:
    """Apply what the repository's configuration says instead of *url*, this once."""
    own = [(one.key, one.value) for one in settings if not one.of_user]
    return _applied(url, [rule for rule in own if rule[0].endswith(".insteadof")])


def _applied(url: str, rules: Sequence[tuple[str, str]]) -> str:
    fitting = [
        (len(value), key)
        for key, value in rules
        if key.startswith("url.") and value and url.startswith(value)
    ]
    if not fitting:
        return url
    length, key = max(fitting, key=lambda one: one[0])
    return key.removeprefix("url.").rpartition(".")[0] + url[length:]


def _checked_url(url: str) -> str:
    scheme = url.partition("://")[0].lower()
    if scheme not in _SCHEMES:
        raise _bad(url, f"{scheme}:// is not used")
    if url.startswith(_FILE):
        host, path = _file_parts(url)
        if host not in {"", "localhost"}:
            raise _bad(url, "it names a file of another machine")
        return _checked_path(path, url)
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        raise _bad(url, "it cannot be read") from None
    if password:
        # Git hands the address to its helpers as an argument, which everybody can list.
        raise RepositoryError(
            f"the address of {parts.hostname} has a password in it, and others can see addresses",
            hint="git remote set-url NAME without it, and let a credential helper answer:"
            " git config --global credential.helper store",
            kind="bad_url",
        )
    _check_host(url, parts.netloc)
    if scheme in _WEB and " " in url:
        raise _bad(url, "the address of a web server has no blanks; %20 is one")
    if not parts.hostname or parts.hostname.startswith("-") or parts.netloc.startswith("-"):
        raise _bad(url, "it names no server")
    if parts.path.startswith("/-"):
        raise _bad(url, "its path looks like an option")
    return url


def _check_host(url: str, host: str) -> None:
    if _NO_HOST.search(host):
        raise _bad(url, "the name of its server has a blank or a backslash in it")


def _checked_path(path: str, url: str) -> str:
    if not path.startswith("/"):
        raise _bad(url, "a path is to be absolute")
    if ".." in Path(path).parts:
        raise _bad(url, "a path is to have no ..")
    where = Path(path)
    if where.exists() and not where.is_dir():
        raise _bad(url, "there is a file, and no repository")
    return url


def _git_dir(path: Path) -> Path:
    inner = path / ".git"
    return (inner if inner.is_dir() else path).resolve()


def _bad(url: str, why: str) -> RepositoryError:
    return RepositoryError(
        f"the address {url[:200]!r} is not used: {why}",
        hint="ssh://HOST/PATH, https://HOST/PATH, git://HOST/PATH or an absolute path",
        kind="bad_url",
    )
