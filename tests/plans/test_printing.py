"""Plans written as YAML are read back as they were."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.plans.printing import to_yaml
from wfledger.plans.reading import read

TEXTS = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.text("ab \n-#:|'\"\t0.{}[]&*!%@`", max_size=12)
    | st.sampled_from(["null", "~", "1e3", "yes", "- a", "a: b", "a\n", "a\n b\n", "\na", " a\nb"])
)
SCALARS = TEXTS | st.integers() | st.booleans() | st.none()
VALUES = SCALARS | st.lists(TEXTS, max_size=3)
KEYS = st.text("abcdefg_", min_size=1, max_size=6)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


@pytest.mark.long
@given(st.dictionaries(KEYS, VALUES | st.lists(OBJECTS, max_size=4) | OBJECTS, max_size=5), TEXTS)
def test_what_is_written_is_read_back(document: dict[str, Any], comment: str) -> None:
    assert read(to_yaml(document, comment=comment), source="plan.yaml") == (document or None)


def test_prompts_of_several_lines_are_written_as_they_are() -> None:
    document = {"goal": "Port it", "tasks": [{"id": "a", "prompt": "First.\n\n- then: this\n"}]}
    assert to_yaml(document, comment="Drafted.") == (
        "# Drafted.\ngoal: Port it\ntasks:\n  - id: a\n    prompt: |\n      First.\n\n"
        "      - then: this\n"
    )
