import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core.ids import check_id
from wfledger.plans import naming

pytestmark = pytest.mark.requirement("WFL-PLAN-034")


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80), unique=True
    )
)
def test_nodes_are_unique_and_fit_behind_any_run(given_ids: list[str]) -> None:
    nodes = naming.nodes(given_ids)
    assert len(set(nodes.values())) == len(given_ids)
    for node in nodes.values():
        assert check_id(f"abcdefgh.{node}")


def test_valid_ids_stay_and_others_keep_their_look() -> None:
    nodes = naming.nodes(["models", "a.b_c-1", "Port the API!", "con", "x" * 60])
    assert (nodes["models"], nodes["a.b_c-1"]) == ("models", "a.b_c-1")
    assert nodes["Port the API!"].startswith("port-the-api-")
    assert nodes["con"] != "con"
    assert naming.nodes(["json", "lock"]).keys() == {"json", "lock"}
    assert not {"json", "lock"} & set(naming.nodes(["json", "lock"]).values())
    assert len(nodes["x" * 60]) <= naming.LONGEST


def test_slug_that_another_id_has_already_is_hashed_again() -> None:
    taken = naming.nodes(["A"])["A"]
    nodes = naming.nodes(["A", taken])
    assert nodes[taken] == taken
    assert nodes["A"] != taken
    assert nodes["A"].startswith("a-")
