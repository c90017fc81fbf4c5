"""A plan as YAML that people like to read and `plans.reading` reads back as the same value."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_WIDTH: Final = 100


def to_yaml(document: Mapping[str, Any], *, comment: str = "") -> str:
    """Return *document* as YAML; each line of *comment* stands before it behind a `#`.

    Texts of several lines are written as they are, everything else as JSON, which YAML includes.
    """
    lines = [f"# {line}".rstrip() for line in _plain(comment).split("\n")] if comment else []
    return "\n".join([*lines, *_mapping(document)]) + "\n"


def _mapping(value: Mapping[str, Any]) -> Iterator[str]:
    for key, item in value.items():
        yield from _entry(f"{_scalar(key)}:", item)


def _entry(key: str, item: Any) -> Iterator[str]:
    if isinstance(item, list | tuple) and any(isinstance(one, Mapping) for one in item):
        yield key
        yield from (f"  {line}" if line else "" for line in _sequence(item))
    elif isinstance(item, str) and _is_block(item):
        yield f"{key} |{'' if item.endswith(chr(10)) else '-'}"
        yield from (f"  {line}" if line else "" for line in item.removesuffix("\n").split("\n"))
    else:
        yield f"{key} {_scalar(item)}"


def _sequence(items: Sequence[Any]) -> Iterator[str]:
    for item in items:
        lines = list(_mapping(item)) if isinstance(item, Mapping) else [_scalar(item)]
        yield f"- {lines[0]}" if lines else "- {}"
        yield from (f"  {line}" if line else "" for line in lines[1:])


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _is_bare(value):
        return value
    return json.dumps(value, ensure_ascii=True)


def _is_bare(text: str) -> bool:
    """Whether *text* is plainly text without quotes: no reserved word, sign or number."""
    words = text.replace("-", "").replace("_", "").replace(" ", "").replace(".", "")
    return (
        text.isascii() and words.isalnum() and text[0].isalpha() and text[-1].isalnum()
        and len(text) < _WIDTH and text.lower() not in {"null", "true", "false", "y", "n", "yes",
                                                        "no", "on", "off"}
    )  # fmt: skip


def _is_block(text: str) -> bool:
    """Whether *text* can be written as a literal block and is the same read back."""
    lines = text.removesuffix("\n").split("\n")
    return (
        len(lines) > 1 and bool(lines[0]) and lines[0][0] != " " and bool(lines[-1].strip())
        and not text.endswith("\n\n") and _plain(text) == text
    )  # fmt: skip


def _plain(text: str) -> str:
    """Return *text* without characters that YAML has no place for outside of quotes."""
    return "".join(char for char in text if char == "\n" or char.isprintable())
