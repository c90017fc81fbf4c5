"""Unknown fields are found wherever a document has them."""

from wfledger.core.policy import LedgerConfig
from wfledger.core.records import parse
from wfledger.core.unknown import unknown_fields


def test_known_document_has_no_unknown_fields() -> None:
    raw = b'{"schema": "wfledger.ledger/1", "id": "l", "created": "", "policy": {"lease_s": 5}}'
    assert list(unknown_fields(parse(LedgerConfig, raw))) == []


def test_unknown_fields_are_named_with_their_place_and_what_was_meant() -> None:
    raw = b'{"id": "l", "created": "", "qq": 1, "policy": {"gate": {"command": "x", "comand": 1}}}'
    assert list(unknown_fields(parse(LedgerConfig, raw))) == [
        "/qq is not known here and has no effect",
        "/policy/gate/comand is not known here and has no effect; did you mean command?",
    ]
