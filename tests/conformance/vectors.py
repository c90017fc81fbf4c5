"""The vectors: where they are, and how this implementation answers each operation.

An answer may have more members than a case expects.
"""

import base64
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final
from unicodedata import normalize

from tests.conformance import offering, pages, sharing
from wfledger.core import bounds
from wfledger.core.documents import Result, Run, Task
from wfledger.core.handwork import decide
from wfledger.core.ids import check_id
from wfledger.core.policy import LedgerConfig
from wfledger.core.records import Record, canonical, parse
from wfledger.core.scopes import matches, overlap
from wfledger.core.scopes import parse as parse_pattern
from wfledger.core.statuses import TRANSITIONS, Status
from wfledger.errors import WfledgerError
from wfledger.plans.checking import check, check_text
from wfledger.plans.frontends import starlark
from wfledger.store import claims

FOLDER: Final = pages.SPEC / "vectors"
SCHEMA: Final = FOLDER / "schema.json"
_KINDS: Final[dict[str, tuple[type[Record], int]]] = {
    "task": (Task, bounds.TASK_BYTES),
    "result": (Result, bounds.RESULT_BYTES),
    "run": (Run, bounds.RUN_BYTES),
    "ledger": (LedgerConfig, bounds.TASK_BYTES),
}
Answer = dict[str, Any]


def files() -> list[Path]:
    """Return the files of vectors."""
    return [path for path in sorted(FOLDER.rglob("*.json")) if path != SCHEMA]


@cache
def load(path: Path) -> dict[str, Any]:
    """Return the content of a file of vectors."""
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return data


def cases() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every case with the file that it stands in."""
    for path in files():
        for case in load(path)["cases"]:
            yield path, case


def answer(when: dict[str, Any]) -> Answer:
    """Return what this implementation says to *when*."""
    return OPERATIONS[when["op"]](when)


def agrees(when: dict[str, Any], then: Answer, given: Answer) -> bool:
    """Whether the answer *given* is what *then* expects; any true witness will do."""
    expected = {key: value for key, value in then.items() if key != "witness"}
    if any(key not in given or given[key] != value for key, value in expected.items()):
        return False
    if not then.get("witness"):
        return given.get("witness") is None
    return all(_covers(when[side], given["witness"], fold=when.get("fold", False)) for side in "ab")


def _covers(pattern: str, path: str, *, fold: bool) -> bool:
    """Whether *pattern* covers *path*; with *fold*, in one of the ways to ignore case."""
    ways: list[Callable[[str], str]] = [str, str.lower, str.casefold] if fold else [str]
    return any(matches(parse_pattern(way(pattern)), normalize("NFC", way(path))) for way in ways)


def _read(when: dict[str, Any]) -> Answer:
    model, limit = _KINDS[when["kind"]]
    raw = base64.b64decode(when["base64"]) if "base64" in when else when["text"].encode()
    try:
        return {"ok": True, "stored": canonical(parse(model, raw, limit=limit)).decode()}
    except WfledgerError:
        return {"ok": False}


def _id(when: dict[str, Any]) -> Answer:
    try:
        check_id(when["id"])
    except ValueError:
        return {"ok": False}
    return {"ok": True}


def _arrow(when: dict[str, Any]) -> Answer:
    target = Status(when["to"])
    if when["from"] is None:
        return {"actors": ["author"] if target is Status.WAITING else []}
    arrow = TRANSITIONS.get((Status(when["from"]), target))
    return {"actors": sorted(actor.value for actor in arrow.actors) if arrow else []}


def _parse(when: dict[str, Any]) -> Answer:
    try:
        pattern = parse_pattern(when["pattern"])
    except WfledgerError as error:
        return {"error": error.code}
    return {"text": pattern.text, "literal": pattern.is_literal}


def _match(when: dict[str, Any]) -> Answer:
    return {"match": matches(parse_pattern(when["pattern"]), when["path"])}


def _overlap(when: dict[str, Any]) -> Answer:
    sides = (parse_pattern(when["a"]), parse_pattern(when["b"]))
    witness = overlap(*sides, fold=when.get("fold", False))
    return {"overlap": witness is not None, "witness": witness}


def _check(when: dict[str, Any]) -> Answer:
    checked = check(when["document"], lenient=when["mode"] == "lenient")
    if checked.plan is None:
        return {"verdict": checked.errors[0].kind}
    return {"verdict": "ok", "phase_order": list(checked.plan.phase_order)}


def _check_text(when: dict[str, Any]) -> Answer:
    checked = check_text(
        when["text"], when["source"], lenient=when["mode"] == "lenient",
        evaluate=lambda text, source: starlark.evaluate(text, source, lambda: False),
    )  # fmt: skip
    return {"verdict": "ok" if checked.ok else checked.errors[0].kind}


def _by_hand(when: dict[str, Any]) -> Answer:
    act = decide(
        Status(when["recorded"]), Status(when["found"]), same=when["same"],
        claimed=when["claimed"], has_runtime=when["runtime"],
    )  # fmt: skip
    return {"act": act.value}


def _claim_record(when: dict[str, Any]) -> Answer:
    record = claims.parse(when["text"].encode())
    if record is None:
        return {"legible": False}
    return {"legible": True, "stored": record.to_bytes().decode(), **vars(record)}


OPERATIONS: Final[dict[str, Callable[[dict[str, Any]], Answer]]] = {
    "read": _read,
    "id": _id,
    "arrow": _arrow,
    "parse": _parse,
    "match": _match,
    "overlap": _overlap,
    "check": _check,
    "check-text": _check_text,
    "by-hand": _by_hand,
    "claim-record": _claim_record,
    "take": offering.take_first,
    "replay": sharing.replay,
    "silence": sharing.silence,
}
