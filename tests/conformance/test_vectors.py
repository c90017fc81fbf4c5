import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.conformance import __main__ as shell
from tests.conformance import pages, vectors
from wfledger.core import schemas

CASES = list(vectors.cases())


@pytest.mark.parametrize("path", vectors.files(), ids=lambda path: path.stem)
def test_file_of_vectors_satisfies_their_schema(path: Path) -> None:
    jsonschema.validate(vectors.load(path), json.loads(vectors.SCHEMA.read_text("utf-8")))
    assert vectors.load(path)["topic"] == path.parent.name


def test_ids_of_vectors_are_unique_in_all_files() -> None:
    assert [
        name for name, count in Counter(case["id"] for _, case in CASES).items() if count > 1
    ] == []


def test_vectors_require_only_what_the_pages_define() -> None:
    named = {number for _, case in CASES for number in case["requires"]}
    assert named - set(pages.requirements()) == set()


def test_each_operation_has_vectors_that_refuse_and_vectors_that_accept() -> None:
    answers: dict[str, set[str]] = defaultdict(set)
    for _, case in CASES:
        answers[case["when"]["op"]].add(json.dumps(case["then"]))
    assert [op for op, seen in answers.items() if len(seen) < 2] == []


def test_each_operation_takes_the_same_members_in_every_case() -> None:
    optional = {"base64", "text", "fold"}
    shapes: dict[str, set[frozenset[str]]] = defaultdict(set)
    for _, case in CASES:
        shapes[case["when"]["op"]].add(frozenset(case["when"]) - optional)
    assert {op: found for op, found in shapes.items() if len(found) > 1} == {}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("case", [case for _, case in CASES], ids=lambda case: case["id"])
def test_implementation_answers_as_the_vector_says(case: dict[str, Any]) -> None:
    assert vectors.agrees(case["when"], case["then"], vectors.answer(case["when"]))


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "case", [case for _, case in CASES if case["when"]["op"] == "read"], ids=lambda case: case["id"]
)
def test_schema_accepts_every_document_that_is_read(case: dict[str, Any]) -> None:
    if not case["then"]["ok"]:
        return
    schema = schemas.schema(case["when"]["kind"])
    jsonschema.validate(json.loads(case["when"]["text"]), schema)
    jsonschema.validate(json.loads(case["then"]["stored"]), schema)


def test_stored_form_of_a_document_is_stored_alike_again() -> None:
    for _, case in CASES:
        if case["then"].get("stored"):
            again = vectors.answer({**case["when"], "text": case["then"]["stored"]})
            assert again["stored"] == case["then"]["stored"], case["id"]


def test_program_that_knows_nothing_is_skipped_and_one_that_lies_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "cases", lambda: CASES[:2])
    program = tmp_path / "other"
    program.write_text("#!/bin/sh\necho '{\"skip\": true}'\n", "utf-8")
    program.chmod(0o755)
    assert shell.main(["--program", str(program)]) == 0
    program.write_text('#!/bin/sh\necho \'{"ok": "perhaps"}\'\n', "utf-8")
    assert shell.main(["--program", str(program)]) == 1
    assert "0 passed, 2 failed, 0 skipped" in capsys.readouterr().out
