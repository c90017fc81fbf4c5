"""A block between two marks at the end of a text of the user's: put in, found again, taken out.

Taking it out gives back the very bytes that were there: whether the text ended with a line break,
and whether there was a text at all, can be told from what stands around the block.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Marks:
    """The lines that a block stands between."""

    begin: str
    end: str


def put(text: str | None, body: str, marks: Marks) -> str:
    """Return *text* with the block of *body*, which takes the place of a present one.

    *text* is None where there is no file yet; *body* ends with a line break.
    """
    newline = "\r\n" if text is not None and "\r\n" in text else "\n"
    block = f"{marks.begin}\n{body}{marks.end}".replace("\n", newline)
    if text is None:
        return block + newline
    place = find(text, marks)
    if place is not None:
        return text[: place[0]] + block + text[place[1] :]
    if text and not text.endswith("\n"):
        return text + newline * 2 + block
    return text + newline + block + newline


def take(text: str, marks: Marks) -> str | None:
    """Return *text* without the block; None where nothing is left that was there before it."""
    place = find(text, marks)
    if place is None:
        return text
    before, after = text[: place[0]], text[place[1] :]
    if not before and after in {"\n", "\r\n"}:
        return None
    if after:
        return _without_break(before) + _behind_break(after)
    return _without_break(_without_break(before))


def find(text: str, marks: Marks) -> tuple[int, int] | None:
    """Return where the block begins and ends, without the line break after it."""
    start = _line(text, marks.begin, 0)
    end = _line(text, marks.end, start) if start is not None else None
    if start is None or end is None:
        return None
    return start, end + len(marks.end)


def _line(text: str, line: str, start: int) -> int | None:
    """Return where a whole line that reads *line* begins, from *start* on."""
    at = text.find(line, start)
    while at >= 0:
        after = text[at + len(line) : at + len(line) + 1]
        if text[at - 1 : at] in {"", "\n"} and after in {"", "\r", "\n"}:
            return at
        at = text.find(line, at + 1)
    return None


def _without_break(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _behind_break(text: str) -> str:
    return text.removeprefix("\r").removeprefix("\n") if text.startswith(("\r\n", "\n")) else text
