"""Second opinions on scopes that share no code with the first, and the vectors as test cases."""

import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.support.sealed import ROOT

VECTORS = ROOT / "spec" / "vectors" / "scope"

#: Segments that meet often: few letters, many wildcards, dots.
SEGMENTS = st.one_of(
    st.just("**"),
    st.text("ab.?*", min_size=1, max_size=5).filter(
        lambda text: "**" not in text and text not in {".", ".."}
    ),
)
PATTERNS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)
NAMES = st.text("abx.", min_size=1, max_size=4).filter(lambda text: text not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


def cases(name: str) -> list[Any]:
    """Return the vectors of one file as parameters that carry their requirements."""
    listed = json.loads((VECTORS / f"{name}.json").read_bytes())["cases"]
    return [
        pytest.param(
            case, id=case["id"], marks=[pytest.mark.requirement(r) for r in case["requires"]]
        )
        for case in listed
    ]


@cache
def expression(pattern: str) -> re.Pattern[str]:
    """Translate a normalised pattern to a regular expression over whole paths."""
    if not set("*?") & set(pattern):
        return re.compile(rf"{re.escape(pattern)}(?:/.+)?", re.DOTALL)
    *front, last = pattern.split("/")
    parts = ["(?:[^/]+/)*" if part == "**" else f"{segment(part)}/" for part in front]
    parts.append("[^/]+(?:/[^/]+)*" if last == "**" else segment(last))
    return re.compile("".join(parts), re.DOTALL)


def segment(glob: str) -> str:
    """Translate one segment; a name is not empty.

    All parts but the last are taken at their first place, for good: without the atomic groups a
    glob of many stars takes longer than anybody waits.
    """
    head, *parts = (re.escape(part).replace(r"\?", "[^/]") for part in glob.split("*"))
    middle = "".join(f"(?>[^/]*?{part})" for part in parts[:-1])
    return "(?=[^/])" + head + middle + "".join(f"[^/]*{part}" for part in parts[-1:])


def covers(pattern: str, path: str) -> bool:
    """Return whether *path* is a path and the expression of *pattern* matches all of it."""
    if {"", ".", ".."} & set(path.split("/")):
        return False
    return expression(pattern).fullmatch(path) is not None
