import json

import jsonschema
import pytest

from tests.conformance import generated, pages
from wfledger.core import control, documents, policy, routes, schemas, usage
from wfledger.core.records import Record

FOLDER = pages.SPEC / "schemas"
PARTS = {
    name: part
    for module in (control, documents, policy, routes, usage)
    for name, part in vars(module).items()
    if isinstance(part, type) and issubclass(part, Record) and part is not Record
}


@pytest.mark.parametrize("name", schemas.names())
def test_schema_in_the_specification_is_what_the_models_say(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text("utf-8")
    assert text == generated.to_json(schemas.schema(name)), (
        "run: python -m tests.conformance --write"
    )


def test_every_schema_in_the_specification_belongs_to_a_document() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(schemas.names())


@pytest.mark.parametrize("name", schemas.names())
def test_schema_is_valid_and_carries_its_version(name: str) -> None:
    schema = schemas.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:wfledger:{name}:1"
    assert schema["properties"]["schema"]["const"] == f"wfledger.{name}/1"


@pytest.mark.parametrize("name", schemas.names())
def test_what_is_read_and_what_is_written_have_one_schema(name: str) -> None:
    model = schemas._MODELS[name]
    assert model.model_json_schema(mode="validation") == model.model_json_schema(
        mode="serialization"
    )


@pytest.mark.requirement("WFL-TASK-006")
@pytest.mark.parametrize("name", schemas.names())
def test_schema_allows_members_that_it_does_not_know(name: str) -> None:
    schema = schemas.schema(name)
    objects = [schema, *schema.get("$defs", {}).values()]
    assert all(part["additionalProperties"] is True for part in objects)


def test_schemas_keep_their_order() -> None:
    assert json.dumps(schemas.schema("task")) == json.dumps(schemas.schema("task"))
    assert list(schemas.schema("task")["properties"]) == sorted(
        schemas.schema("task")["properties"]
    )


@pytest.mark.parametrize("name", PARTS)
def test_page_20_describes_every_field_of_the_documents(name: str) -> None:
    said = {field.name for field in pages.described()[name]}
    assert said == {field.alias or key for key, field in PARTS[name].model_fields.items()}


@pytest.mark.parametrize("name", PARTS)
def test_page_20_says_rightly_which_fields_are_required(name: str) -> None:
    said = {field.name for field in pages.described()[name] if field.is_required}
    fields = PARTS[name].model_fields.items()
    assert said == {field.alias or key for key, field in fields if field.is_required()}


def test_page_20_describes_nothing_that_is_not_there() -> None:
    assert set(pages.described()) == set(PARTS)
