"""Texts that every part of a plan has: blank or not, commands, labels."""

from typing import Any, Final

from wfledger.plans import fields
from wfledger.plans.fields import BAD, Site

#: White space of Unicode; `str.strip()` alone would also take U+001C to U+001F.
_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def strip(text: str) -> str:
    """Return *text* without the white space around it."""
    return text.strip(_SPACE)


def is_blank(text: str) -> bool:
    """Return whether *text* is nothing but white space."""
    return not strip(text)


def read_command(value: object, site: Site) -> Any:
    """Read a shell line, or an argument vector."""
    if isinstance(value, str):
        result = fields.text(value, site)
        if result is not BAD and is_blank(value):
            return site.refuse("is blank", kind="empty_field")
        return result
    if not isinstance(value, list):
        return site.wrong(
            f"must be a text (a shell line) or a list of texts, not {fields.kind_of(value)}"
        )
    words = fields.many(fields.text, "word")(value, site)
    if len(words) == len(value) and (not words or is_blank(words[0])):
        return site.refuse("names no program", kind="empty_field")
    return words if len(words) == len(value) else BAD


def read_filled(value: object, site: Site) -> Any:
    """Read a text that says something."""
    result = fields.text(value, site)
    if result is not BAD and is_blank(result):
        return site.refuse("is blank", kind="empty_field")
    return result


def read_pattern(value: object, site: Site) -> Any:
    """Read a pattern of a write scope, without the white space around it (WFL-PLAN-015)."""
    result = fields.text(value, site)
    return result if result is BAD else strip(result)


def read_label(value: object, site: Site) -> Any:
    """Read a short name for people and fleets."""
    result = fields.text(value, site)
    if result is not BAD and (is_blank(result) or len(result) > 200):
        return site.refuse("must have 1 to 200 characters and not be blank", kind="empty_field")
    return result
