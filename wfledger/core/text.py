"""Text from workers, plans and git, made safe to show.

What is printed to a terminal or into a message goes through `clean`: an escape sequence, a
control character or a change of writing direction in a worker's output must not act on the
reader's screen or make a line look like another.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

#: CSI, then the string sequences (OSC, DCS, SOS, PM, APC) with their text, then two-byte escapes.
#: Text of a string sequence ends at a control character: an unterminated one hides nothing else
#: and matching stays linear.
_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\n\x80-\x9f]{0,4096}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?"
)
#: Joiners that scripts and emoji need; every other invisible format character goes.
_KEPT_FORMATS: Final = frozenset("\u200c\u200d")
_ELLIPSIS: Final = "…"
#: The marks stand alone on their lines: a string within a block may hold such marks, too.
_FENCED: Final = re.compile(
    r"^```(?:json)?[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE | re.IGNORECASE
)


def clean(text: str) -> str:
    r"""Return *text* without escape sequences, control, bidi and invisible characters.

    Newlines and tabs stay; a carriage return becomes a newline. What is no character (a lone
    surrogate, from bytes that are no UTF-8) becomes U+FFFD. Cleaning twice changes nothing.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) for char in _ESCAPES.sub("", text))


def clean_line(text: str, limit: int = 200) -> str:
    """Return *text* cleaned, on one line, at most *limit* characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + _ELLIPSIS


def listed(names: Sequence[str], most: int) -> str:
    """Return at most so many of *names*, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def encodable(text: str) -> str:
    """Return *text* with both halves of a surrogate pair made one, and lone ones U+FFFD.

    Models and names of files bring them, and neither UTF-8 nor a request can hold them.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def fenced(text: str) -> list[str]:
    """Return what stands in the fenced blocks of *text* that may hold JSON, in order."""
    return _FENCED.findall(text)


def _shown(char: str) -> str:
    if char in "\n\t" or char in _KEPT_FORMATS:
        return char
    category = unicodedata.category(char)
    if category == "Cs":
        return "\ufffd"
    if category in {"Zl", "Zp"}:
        return "\n"
    return "" if category in {"Cc", "Cf"} else char
