"""Reading a TOML file of settings so that one reading finds every mistake.

A `Reader` notes what is wrong and goes on with a default; `close` adds the keys that nobody asked
for and raises once.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Final, TypeVar

from wfledger.core import bounds
from wfledger.errors import InvalidDocumentError

#: Of a file of settings.
FILE_BYTES: Final = 256 * 1024
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?\Z")
ReadT = TypeVar("ReadT")
_UNITS: Final = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def read_toml(text: str, *, source: str) -> dict[str, Any]:
    """Parse *text*; raises `InvalidDocumentError` with the place of the mistake."""
    if len(text.encode("utf-8", "surrogateescape")) > FILE_BYTES:
        raise InvalidDocumentError(f"{source}: more than {FILE_BYTES} bytes", source=source)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message = f"{source}: {error}"
        raise InvalidDocumentError(
            message, source=source, errors=[{"pointer": "", "message": str(error)}]
        ) from None


def key_path(*keys: str) -> str:
    """Return *keys* as TOML writes them: `role.claude.argv`."""
    return ".".join(key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{key}"' for key in keys)


def none_of(known: Collection[str]) -> Callable[[str], str | None]:
    """Return what says of a string that it is none of *known*; for `Reader.each`."""

    def problem(value: str) -> str | None:
        return None if value in known else f"is none of {', '.join(known)}"

    return problem


class Reader:
    """One table, its mistakes, and which of its keys were asked for."""

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        source: str,
        keys: tuple[str, ...] = (),
        errors: list[dict[str, str]] | None = None,
        elsewhere: Mapping[tuple[str, ...], str] | None = None,
    ) -> None:
        self._data = data
        self._source = source
        #: Keys that come from another file, by their first one or two, and that file.
        self._elsewhere = elsewhere or {}
        self._keys = keys
        self._errors: list[dict[str, str]] = [] if errors is None else errors
        self._tables: dict[str, Reader] = {}
        self._asked: set[str] = set()

    def names(self) -> tuple[str, ...]:
        """Return the keys that are there."""
        return tuple(self._data)

    def has(self, name: str) -> bool:
        """Whether the key is there."""
        return name in self._data

    def wrong(self, name: str, message: str) -> None:
        """Note that the value at *name* is not right."""
        keys = (*self._keys, name) if name else self._keys
        pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
        self._errors.append({
            "pointer": pointer, "message": f"{key_path(*keys)}: {message}",
            "source": self.source_of(*keys),
        })  # fmt: skip

    def source_of(self, *keys: str) -> str:
        """Return the file that the value at *keys*, from the top, comes from."""
        found = (self._elsewhere.get(keys[:depth]) for depth in (2, 1))
        return next((source for source in found if source is not None), self._source)

    def table(self, name: str) -> "Reader":
        """Return the table *name*; an absent one is empty."""
        if name not in self._tables:
            data = self._typed(name, dict, "a table")
            self._inside(name, data or {})
        return self._tables[name]

    def tables(self, name: str) -> "tuple[Reader, ...]":
        """Return a list of tables; they are named by their number in it."""
        found = self._typed(name, list, "a list of tables") or []
        if not all(isinstance(one, dict) for one in found):
            self.wrong(name, "must be a list of tables")
            return ()
        inside = self._inside(name, {str(at): one for at, one in enumerate(found)})
        return tuple(inside.table(one) for one in inside.names())

    def scalars(self, name: str) -> tuple[str | bool | int, ...]:
        """Return a text, a whole number, true or false, or those of a list; else nothing."""
        self._asked.add(name)
        value = self._data.get(name)
        found = value if isinstance(value, list) else [value]
        good = tuple(one for one in found if isinstance(one, str | bool | int))
        return good if len(good) == len(found) else ()

    def values(self, name: str) -> dict[str, Any]:
        """Return the table *name* as it stands: what is in it is somebody else's to know."""
        return dict(self._typed(name, dict, "a table") or {})

    def text(self, name: str) -> str | None:
        """Return a string."""
        value: str | None = self._typed(name, str, "a string")
        return value

    def choice(self, name: str, known: Collection[str], otherwise: str) -> str:
        """Return a string that is one of *known*; *otherwise* where it is absent or another."""
        value = self.text(name)
        problem = none_of(known)(value) if value is not None else None
        if problem is not None:
            self.wrong(name, f"{value!r} {problem}")
        return otherwise if value is None or problem is not None else value

    def integer(self, name: str, *, low: int = 1, high: int = bounds.MAX_SLOTS) -> int | None:
        """Return a whole number between *low* and *high*."""
        value: int | None = self._typed(name, int, "a whole number")
        if value is not None and not low <= value <= high:
            self.wrong(name, f"{value} is not between {low} and {high}")
            return None
        return value

    def number(self, name: str, *, low: float = 0.0, high: float = 1e12) -> float | None:
        """Return a number between *low* and *high*."""
        value: float | None = self._typed(name, int | float, "a number")
        if value is not None and not low <= value <= high:  # not-a-number fails this too
            self.wrong(name, f"{value:g} is not between {low:g} and {high:g}")
            return None
        return None if value is None else float(value)

    def flag(self, name: str) -> bool | None:
        """Return true or false."""
        self._asked.add(name)
        value = self._data.get(name)
        if value is not None and not isinstance(value, bool):
            self.wrong(name, "must be true or false")
            return None
        return value

    def flag_or_strings(self, name: str) -> bool | tuple[str, ...] | None:
        """Return true, false, or a list of strings."""
        value = self._data.get(name)
        if value is None or isinstance(value, bool | list):
            return self.strings(name) if isinstance(value, list) else self.flag(name)
        self._asked.add(name)
        self.wrong(name, "must be true, false, or a list of names")
        return None

    def seconds(self, name: str) -> float | None:
        """Return a duration: a number of seconds, or a string such as `20m`."""
        self._asked.add(name)
        if name not in self._data:
            return None
        value = self._data[name]
        if isinstance(value, str):
            match = _DURATION.match(value)
            value = float(match[1]) * _UNITS[match[2]] if match else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(name, 'is no duration: write seconds, or a string such as "20m"')
            return None
        if not 0 < value <= bounds.MAX_SECONDS:  # not-a-number fails this too
            self.wrong(name, f"{value:g} s is not between 0 and a year")
            return None
        return float(value)

    def strings(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        value = self._typed(name, list, "a list of strings")
        if value is None:
            return ()
        good = tuple(item for item in value if isinstance(item, str) and "\0" not in item)
        if len(good) < len(value):
            self.wrong(name, "must be a list of strings without NUL")
        return good

    def command(self, name: str) -> str | tuple[str, ...] | None:
        """Return a command: a line for the shell, or a list of arguments."""
        if isinstance(self._data.get(name), list):
            arguments = self.strings(name)
            if not arguments or not arguments[0]:
                self.wrong(name, "names no program")
            return arguments
        line = self.text(name)
        if line is not None and (not line.strip() or "\0" in line):
            self.wrong(name, "is empty or holds NUL")
        return line

    def each(self, name: str, problem: Callable[[str], str | None]) -> tuple[str, ...]:
        """Return a list of strings, each of which *problem* has nothing to say about."""
        values = self.strings(name)
        for value in values:
            found = problem(value)
            if found is not None:
                self.wrong(name, f"{value!r} {found}")
        return values

    def close(self) -> None:
        """Raise `InvalidDocumentError` with everything that was wrong, if anything was."""
        self.refuse_unknown()
        if not self._errors:
            return
        lines = [f"{error['source']}: {error['message']}" for error in self._errors]
        raise InvalidDocumentError("\n".join(lines), source=self._source, errors=self._errors)

    def refuse_unknown(self) -> None:
        """Note every key, of this table and the ones in it, that nobody asked for."""
        for name in self._data:
            if name in self._asked:
                continue
            near = difflib.get_close_matches(name, self._asked, n=1)
            meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(self._known())}"
            self.wrong(name, f"is not known here; {meant}")
        for table in self._tables.values():
            table.refuse_unknown()

    def _inside(self, name: str, data: Mapping[str, Any]) -> "Reader":
        self._tables[name] = Reader(
            data, source=self._source, keys=(*self._keys, name), errors=self._errors,
            elsewhere=self._elsewhere,
        )  # fmt: skip
        return self._tables[name]

    def _known(self) -> list[str]:
        return sorted(self._asked) or ["nothing"]

    def _typed(self, name: str, kind: type | UnionType, what: str) -> Any:
        """Return the value at *name* if it is a *kind*; None if absent or noted as wrong."""
        self._asked.add(name)
        value = self._data.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or isinstance(value, bool):
            self.wrong(name, f"must be {what}")
            return None
        return value


def read_each(folder: Path, read: Callable[[Reader, str], ReadT]) -> tuple[ReadT, ...]:
    """Return what *read* makes of each TOML file in *folder*, by its name; raises as `close`."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        top = Reader(read_toml(path.read_text("utf-8"), source=str(path)), source=str(path))
        found.append(read(top, path.stem))
        top.close()
    return tuple(found)
