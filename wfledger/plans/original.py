"""The overlap rule of the original system, for patterns that are outside the grammar of spec 40.

Only lenient documents need it (WFL-PLAN-015): what the original would have refused stays refused.
It is neither exact nor safe, and two patterns of the grammar are never compared with it.
"""

from functools import lru_cache

from wfledger.plans.words import strip


@lru_cache(maxsize=65_536)
def normalise(text: str) -> str:
    """Return *text* as the original compares it."""
    text = strip(text)
    while text.startswith("./"):
        text = text[2:]
    text = text.rstrip("/")
    return text.removesuffix("/**") if text.endswith("/**") else text.removesuffix("/*")


def overlap(left: str, right: str) -> bool:
    """Return whether the original says that *left* and *right* overlap."""
    a, b = normalise(left), normalise(right)
    if a == b or "." in {a, b}:
        return True
    if "*" in a or "*" in b:
        return a.split("*", 1)[0].rstrip("/") == b.split("*", 1)[0].rstrip("/")
    one, two = _components(a), _components(b)
    shorter = min(len(one), len(two))
    return one[:shorter] == two[:shorter]


@lru_cache(maxsize=65_536)
def _components(text: str) -> tuple[str, ...]:
    root = ("/",) if text.startswith("/") else ()
    return root + tuple(part for part in text.split("/") if part not in {"", "."})
