"""Templates of arguments: `{name}` is replaced, `{{` and `}}` are braces; nothing else is special.

Filling one involves no shell, so nothing in a prompt can become a command.
"""

import re
from collections.abc import Callable, Collection
from typing import Final

from wfledger.errors import InvalidDocumentError

#: Bytes of one argument, its end mark included: the kernel's MAX_ARG_STRLEN.
ARGUMENT_BYTES: Final = 128 * 1024
_PIECES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def template_problem(template: str, known: Collection[str]) -> str | None:
    """Return why *template* cannot be filled with values of the names *known*, or None."""
    for match in _PIECES.finditer(template):
        piece = match[0]
        if piece in "{}":
            return f"has a lone {piece}; write {piece * 2} for the character itself"
        if match[1] is not None and match[1] not in known:
            names = ", ".join(f"{{{name}}}" for name in known)
            return (
                f"has the unknown placeholder {piece}; known: {names}; for a brace itself write it "
                "twice"
            )
    return None


def fill(template: str, value_of: Callable[[str], str]) -> str:
    """Return *template* with each placeholder replaced by what *value_of* says of its name."""

    def value(match: re.Match[str]) -> str:
        return match[0][0] if match[1] is None else value_of(match[1])

    return _PIECES.sub(value, template)


def fill_argument(template: str, value_of: Callable[[str], str], *, who: str) -> str:
    """Return *template* filled as one argument of *who*'s program.

    A value that begins with a hyphen gets a space before it, so that no plan can hand options
    to the program. Raises `InvalidDocumentError` when the argument cannot be passed.
    """
    filled = fill(template, value_of)
    if filled.startswith("-") and not template.startswith("-"):
        filled = " " + filled
    _check(filled, who)
    return filled


def _check(argument: str, who: str) -> None:
    try:
        size = len(argument.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise InvalidDocumentError(
            f"{who}: the prompt holds half a character (a lone surrogate)", who=who
        ) from None
    if "\0" in argument:
        raise InvalidDocumentError(
            f"{who}: the prompt holds NUL, which no argument can", who=who
        )
    if size >= ARGUMENT_BYTES:
        raise InvalidDocumentError(
            f"{who}: an argument of {size} bytes; the kernel takes less than {ARGUMENT_BYTES}",
            hint="use {prompt_file} in argv instead of {prompt}",
            who=who,
            size=size,
        )
