"""What a model is told of a repository: bounded, from the commit that work starts from.

Only what is committed: a file that git ignores never gets into a request. Of files there are names
and sizes, of the README its beginning.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from wfledger.core.text import clean, clean_line
from wfledger.run.config.roles import Fleet
from wfledger.vcs.contents import Contents

#: Files that are listed one by one; beyond, folders are counted.
FILES: Final = 400
FOLDERS: Final = 200
README_CHARS: Final = 4_000
_NAMES: Final = ("README.md", "README.rst", "README.txt", "README")
#: A larger one is not read for its beginning.
_README_BYTES: Final = 1024 * 1024


def describe(contents: Contents, fleet: Fleet) -> str:
    """Return the files, the beginning of the README and the roles, at most about 40,000 chars."""
    parts = [f"## Files\n\n{_listing(contents)}", f"## Workers\n\n{_roles(fleet)}"]
    readme = _readme(contents)
    if readme:
        parts.append(f"## Beginning of the README\n\n{readme}")
    return "\n\n".join(parts)


def _listing(contents: Contents) -> str:
    files = contents.files()
    if len(files) <= FILES:
        return "\n".join(
            f"{clean_line(path)} ({contents.size(path)} bytes)" for path in files
        ) or "none yet"  # fmt: skip
    deep = _by_folder(files, 2)
    counted = deep if len(deep) <= FOLDERS else _by_folder(files, 1)
    lines = [f"{clean_line(name)}/ ({count} files)" for name, count in counted.most_common(FOLDERS)]
    left = len(counted) - len(lines)
    rest = [f"and {left} more folders"] if left else []
    return "\n".join([f"{len(files)} files, by folder:", *lines, *rest])


def _by_folder(files: Iterable[str], depth: int) -> Counter[str]:
    """Count files by the first *depth* folders of their paths."""
    return Counter("/".join(path.split("/")[:-1][:depth]) or "." for path in files)


def _roles(fleet: Fleet) -> str:
    default = f" (default: {fleet.default_role})" if fleet.default_role else ""
    return ", ".join(role.name for role in fleet.roles) + default


def _readme(contents: Contents) -> str:
    name = next((one for one in _NAMES if contents.kind_at(one) == "file"), None)
    if name is None or contents.size(name) > _README_BYTES:
        return ""
    return clean(contents.read(name).decode("utf-8", "replace"))[:README_CHARS]
