"""Findings of several results put together: equal ones once, contradictions side by side.

Pure and independent of the order in which results come. What a finding is *about* is its path, its
line, and its `subject`, or else its text without negations; where it *stands* is its verdict, its
severity, its claim, and whether its text is negated. Two findings are equal that have the same
text, are about the same and do not differ in anything on which both take a stand; they contradict
each other when they are about the same and do differ in such. Neither is ever dropped (spec 92).
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from wfledger.core.documents import Result
from wfledger.core.verification import is_pass

Finding = Mapping[str, Any]

#: Fields that hold the text of a finding; the first that is there counts.
_TEXTS: Final = ("title", "text", "finding", "message", "summary", "description")
_SUBJECTS: Final = ("subject", "topic", "question")
_PATHS: Final = ("path", "file", "filename")
_LINES: Final = ("line", "start_line", "lineno")
#: Fields on which two findings may take opposite stands.
_STANDS: Final = ("verdict", "severity", "claim")
#: Words for one severity; any other word stands for itself.
_SEVERITIES: Final = {
    "blocker": "critical", "fatal": "critical", "major": "high", "error": "high",
    "moderate": "medium", "warning": "medium", "minor": "low", "note": "info",
    "informational": "info",
}  # fmt: skip
_RANKS: Final = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}
_NEGATION: Final = re.compile(r"\b(?:not|no|never|without)\b|\b(can)(?:not|'t)\b|\b(\w+)n't\b")
_LINED_PATH: Final = re.compile(r"(?P<path>.+?):(?P<line>[0-9]+)(?::[0-9]+)?\Z")
#: What wfledger itself writes into a merged finding; of a worker it is not believed.
OURS: Final = ("sources", "variants", "contradicts")
#: Others about the same that a finding is compared with, and contradictions that it names: what a
#: worker repeats without end costs nobody anything.
_COMPARED: Final = 64
_NAMED: Final = 16


@dataclass(frozen=True)
class About:
    """What a finding is about, in a form that does not depend on how it is written."""

    path: str
    line: int | None
    subject: str


@dataclass
class Merged:
    """A finding and those who have made it."""

    fields: dict[str, Any]
    about: About
    #: What it takes a stand on.
    stands: dict[str, Any]
    sources: set[str] = field(default_factory=set)
    #: What a source says otherwise, in fields that decide nothing.
    variants: list[dict[str, Any]] = field(default_factory=list)


# -- reading one finding -------------------------------------------------------------------------


def about(finding: Finding) -> About:
    """Return what *finding* is about."""
    path, line = _place(finding)
    explicit = _normal(_first(finding, _SUBJECTS))
    return About(path, line, explicit or _without_negation(_text(finding))[0])


def stands(finding: Finding) -> dict[str, Any]:
    """Return what *finding* takes a stand on, in comparable words."""
    found: dict[str, Any] = {}
    for name in _STANDS:
        value = finding.get(name)
        if value is not None and value != "":
            found[name] = _stand(name, value)
    text = _text(finding)
    if text:
        found["negated"] = _without_negation(text)[1]
    return found


def _stand(name: str, value: Any) -> Any:
    if name == "verdict":
        return "yes" if value is True or is_pass(value) else _no(value)
    if name == "severity":
        word = _normal(value)
        return _SEVERITIES.get(word, word)
    return value if isinstance(value, bool) else _normal(value)


def _no(value: Any) -> str:
    word = _normal(value)
    is_no = value is False or word in {"fail", "failed", "no", "reject", "rejected", "refused"}
    return "no" if is_no else word


def _text(finding: Finding) -> str:
    text = _normal(_first(finding, _TEXTS))
    if text or any(_first(finding, names) is not None for names in (_SUBJECTS, _PATHS)):
        return text
    rest = {name: value for name, value in finding.items() if name not in (*OURS, *_STANDS)}
    return json.dumps(rest, sort_keys=True, ensure_ascii=False, default=str)


def _first(finding: Finding, names: Sequence[str]) -> Any:
    found = (finding.get(name) for name in names)
    return next((value for value in found if value is not None and value != ""), None)


def _normal(value: Any) -> str:
    """Return a text without what people write in different ways: case, spaces, a full stop."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return _plain(text)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return " ".join(text.split()).rstrip(".!;:, ")


@lru_cache(maxsize=4096)
def _without_negation(text: str) -> tuple[str, bool]:
    """Return a text without its negations, and whether there is an odd number of them."""
    bare, count = _NEGATION.subn(lambda found: found[1] or found[2] or "", text)
    return " ".join(bare.split()), count % 2 == 1


def _place(finding: Finding) -> tuple[str, int | None]:
    path, line = _first(finding, _PATHS), _first(finding, _LINES)
    where = finding.get("location")
    if path is None and isinstance(where, Mapping):
        path, line = _first(where, _PATHS), line or _first(where, _LINES)
    elif path is None and isinstance(where, str):
        path = where
    text = unicodedata.normalize("NFC", path) if isinstance(path, str) else ""
    lined = _LINED_PATH.match(text)
    if lined is not None and line is None:
        text, line = lined["path"], lined["line"]
    while text.startswith("./"):
        text = text[2:]
    return text, _number(line)


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


# -- putting them together -----------------------------------------------------------------------


def of_result(task_id: str, result: Result) -> list[tuple[tuple[str, ...], Finding]]:
    """Return the findings of one result with their sources.

    What wfledger has merged there keeps the sources and the variants that it had; what a worker
    says of such is dropped.
    """
    merged = result.synthesis.findings if result.synthesis is not None else ()
    found: list[tuple[tuple[str, ...], Finding]] = []
    for one in merged:
        bare = _bare(one)
        found.append((tuple(one.get("sources", ())) or (task_id,), bare))
        found += [
            (tuple(variant["sources"]), {**bare, **variant["fields"]})
            for variant in one.get("variants", ())
        ]
    if result.findings != merged:
        found += [((task_id,), _bare(one)) for one in result.findings]
    return found


def _bare(finding: Finding) -> dict[str, Any]:
    return {name: value for name, value in finding.items() if name not in OURS}


@dataclass(frozen=True)
class _Read:
    """A finding with what is compared of it."""

    sources: tuple[str, ...]
    finding: Finding
    about: About
    text: str
    stands: dict[str, Any]

    @classmethod
    def of(cls, sources: tuple[str, ...], finding: Finding) -> "_Read":
        return cls(sources, finding, about(finding), _text(finding), stands(finding))

    def order(self) -> tuple[Any, ...]:
        """One that takes less of a stand comes later: it joins one that says more."""
        said = json.dumps(self.finding, sort_keys=True, ensure_ascii=False, default=str)
        return (-len(self.stands), _rank(self.stands), said, self.sources)


def merge(found: Iterable[tuple[tuple[str, ...], Finding]]) -> tuple[dict[str, Any], ...]:
    """Return *found* merged, in an order that depends on nothing but what they say.

    Each has `sources`, in order; `variants` where a source has other words for what decides
    nothing; `contradicts` where others are about the same and say otherwise: for each of them its
    place in the answer (`finding`) and what they differ `on`.
    """
    groups: dict[tuple[About, str], list[Merged]] = {}
    read = (_Read.of(sources, finding) for sources, finding in found)
    for one in sorted(read, key=_Read.order):
        _join(groups.setdefault((one.about, one.text), []), one)
    merged = sorted((one for group in groups.values() for one in group), key=_place_of)
    numbers = {id(one): number for number, one in enumerate(merged)}
    rivals: dict[About, list[Merged]] = {}
    for each in merged:
        rivals.setdefault(each.about, []).append(each)
    return tuple(_written(each, rivals[each.about][:_COMPARED], numbers) for each in merged)


def _join(group: list[Merged], new: _Read) -> None:
    equal = (one for one in group[-_COMPARED:] if not differences(one.stands, new.stands))
    known = next(equal, None)
    if known is None:
        group.append(Merged(dict(new.finding), new.about, new.stands, set(new.sources)))
        return
    known.sources |= set(new.sources)
    other = {
        name: value for name, value in new.finding.items()
        if name in known.fields and not _is_same(name, known, value)
    }  # fmt: skip
    known.fields |= {name: value for name, value in new.finding.items() if name not in known.fields}
    variant = {"sources": sorted(new.sources), "fields": other}
    if other and variant not in known.variants[-_COMPARED:]:
        known.variants.append(variant)


def _is_same(name: str, known: Merged, value: Any) -> bool:
    """Whether two ways of writing a field mean the same, by the rules of this module."""
    if name in (*_PATHS, *_LINES):
        return True  # else it would be about something else
    if name in (*_TEXTS, *_SUBJECTS, *_STANDS):
        return _normal(known.fields[name]) == _normal(value)
    return bool(known.fields[name] == value)


def differences(mine: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """Return on what two findings about the same take different stands."""
    return tuple(name for name in mine if name in other and mine[name] != other[name])


def _rank(stood: Mapping[str, Any]) -> int:
    return _RANKS.get(str(stood.get("severity", "")), len(_RANKS))


def _place_of(one: Merged) -> tuple[Any, ...]:
    where = one.about
    line = -1 if where.line is None else where.line
    said = json.dumps(one.fields, sort_keys=True, ensure_ascii=False, default=str)
    return (_rank(one.stands), where.path, line, where.subject, said)


def _written(one: Merged, group: Sequence[Merged], numbers: Mapping[int, int]) -> dict[str, Any]:
    written = {**one.fields, "sources": sorted(one.sources)}
    if one.variants:
        written["variants"] = one.variants
    against = [
        {"finding": numbers[id(other)], "on": list(on)}
        for other in group
        if other is not one and (on := differences(one.stands, other.stands))
    ]
    if against:
        written["contradicts"] = against[:_NAMED]  # the group is in the order of the answer
    return written


def contradicted(findings: Iterable[Finding]) -> int:
    """Return how many of merged *findings* others contradict."""
    return sum(1 for one in findings if one.get("contradicts"))
