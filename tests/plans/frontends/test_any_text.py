"""Whatever is put in, a check says something: no text makes it raise, and every error has its line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wfledger.plans.checking import check_text
from wfledger.plans.frontends import starlark
from wfledger.plans.tomltext import read_toml

FILES = Path(__file__).parent / "files"
NAMES = ("audit.workflow.js", "lanes/ui.workflow.js", "tournament.star", "smoke.toml")
SEEDS = {name.replace("/", "-"): (FILES / name).read_text("utf-8") for name in NAMES}
SEEDS["batch.json"] = json.dumps(read_toml(SEEDS["smoke.toml"], source="smoke.toml"), indent=1)
PIECES = st.sampled_from(
    ["{", "}", "[", "]", '"', "'", "`", "/*", "//", "null", "-1", "1e999", "{}", "[]", "\\", "\n",
     "workflow(", '"kind"', '"spec"', "=", "[[tasks]]", "${", "\0", "true", ",", "import ", "\ud7ff"]
)  # fmt: skip


def _evaluate(text: str, source: str) -> Any:
    return starlark.evaluate(text, source, lambda: False)


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, str]:
    name = draw(st.sampled_from(sorted(SEEDS)))
    text = SEEDS[name]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 3, 20])))
        text = text[:start] + draw(PIECES) + text[end:]
    return name, text


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(texts())
def test_every_text_has_a_verdict_and_lenient_takes_what_strict_takes(
    given_: tuple[str, str],
) -> None:
    name, text = given_
    verdicts = []
    for lenient in (False, True):
        found = check_text(text, name, lenient=lenient, evaluate=_evaluate).placed()
        assert all(error.line for error in found.errors)
        assert found.ok == (found.plan is not None)
        verdicts.append(found.ok)
    assert verdicts != [True, False]
