"""The generated OpenAPI document holds everything that the contract says of its operations."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate
from pydantic import TypeAdapter

from conduit_api.errors import Error
from conduit_api.examples import EXAMPLES, OWN_ERRORS
from conduit_api.openapi import document
from conduit_api.operation import Operation, Private
from conduit_api.routes import OPERATIONS

Json = dict[str, Any]

CONTRACT = Path(__file__).parents[3] / ".." / "shared" / "spec" / "openapi.yaml"

IDS = sorted(operation.id for operation in OPERATIONS)


@cache
def contract() -> Json:
    assert CONTRACT.is_file(), f"the contract is missing: {CONTRACT.resolve()}"
    loaded: Json = yaml.safe_load(CONTRACT.read_text())
    return loaded


@cache
def generated() -> Json:
    loaded: Json = json.loads(json.dumps(document(OPERATIONS)))
    return loaded


def by_id(openapi: Json) -> dict[str, tuple[str, str, Json]]:
    return {
        operation["operationId"]: (path, method, operation)
        for path, item in openapi["paths"].items()
        for method, operation in item.items()
    }


IN_CONTRACT = sorted(set(IDS) & set(by_id(contract())))


def plain(value: Any, openapi: Json) -> Any:
    """Follow references (their names are kept and compared), and make lists of names mappings."""
    if isinstance(value, list):
        return {_key(item): plain(item, openapi) for item in value}
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = value["$ref"].removeprefix("#/components/schemas/")
        value = openapi["components"]["schemas"][name] | {"x-name": name}
    return {name: plain(item, openapi) for name, item in value.items()}


def _key(item: Any) -> str:
    """Name an item of a list: a parameter, a schema of several, a required field, a tag."""
    if not isinstance(item, dict):
        return str(item)
    return f"{item['in']} {item['name']}" if "in" in item else str(item.get("$ref"))


def differences(wanted: Any, found: Any, where: str) -> Iterator[str]:
    """Tell what `wanted` has and `found` lacks or has otherwise."""
    if not isinstance(wanted, dict) or not isinstance(found, dict):
        if wanted != found:
            yield f"{where}: {found!r} in place of {wanted!r}"
        return
    for name, value in wanted.items():
        if name in found:
            yield from differences(value, found[name], f"{where}/{name}")
        elif value != {}:  # such as `required: []`
            yield f"{where}/{name} is missing"


def test_no_operation_of_the_contract_is_forgotten() -> None:
    assert set(by_id(contract())) <= set(IDS)
    assert len(set(IDS)) == len(OPERATIONS)


@pytest.mark.parametrize("operation_id", IN_CONTRACT)
def test_an_operation_is_what_the_contract_says(operation_id: str) -> None:
    path, method, wanted = by_id(contract())[operation_id]
    found_path, found_method, found = by_id(generated())[operation_id]
    assert (found_path, found_method) == (path, method)
    wanted, found = plain(wanted, contract()), plain(found, generated())
    assert not list(differences(wanted, found, operation_id))


@pytest.mark.parametrize("operation_id", IN_CONTRACT)
def test_requests_need_no_more_than_the_contract_says(operation_id: str) -> None:
    _, _, wanted = by_id(contract())[operation_id]
    _, _, found = by_id(generated())[operation_id]
    assert required(found, generated()) == required(wanted, contract())


def required(operation: Json, openapi: Json) -> set[str]:
    if "requestBody" not in operation:
        return set()
    body = plain(operation["requestBody"], openapi)
    return set(body["content"]["application/json"]["schema"].get("required", {}))


def test_private_operations_need_the_bearer() -> None:
    assert generated()["security"] == contract()["security"]
    schemes = contract()["components"]["securitySchemes"]
    found = generated()["components"]["securitySchemes"]
    assert not list(differences(schemes, found, "securitySchemes"))
    operations = {operation.id: operation for operation in OPERATIONS}
    for operation_id in IN_CONTRACT:
        operation = operations[operation_id]
        _, _, wanted = by_id(contract())[operation_id]
        assert isinstance(operation, Private) == ("security" not in wanted)


def test_the_comparison_finds_what_is_missing_and_what_differs() -> None:
    assert list(differences({"a": {"b": 1}}, {"a": {}}, "x")) == ["x/a/b is missing"]
    assert list(differences({"a": 1}, {"a": 2}, "x")) == ["x/a: 2 in place of 1"]
    assert not list(differences({"a": 1}, {"a": 1, "b": 2}, "x"))


def test_the_document_is_of_the_contracts_version() -> None:
    assert generated()["openapi"] == contract()["openapi"]
    assert not list(differences(contract()["info"], generated()["info"], "info"))


def test_the_document_is_valid() -> None:
    validate(generated())


def test_every_tag_is_described() -> None:
    described = {tag["name"] for tag in generated()["tags"] if tag["description"]}
    assert described == {tag for operation in OPERATIONS for tag in operation.tags}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_every_body_has_good_examples(operation: Operation[Any]) -> None:
    _, _, found = by_id(generated())[operation.id]
    if operation.has_body:
        assert_examples(found["requestBody"]["content"], operation.input)
    success = found["responses"][str(operation.status)]
    if operation.output not in {None, bytes}:
        assert_examples(success["content"], operation.output)
    for status, response in found["responses"].items():
        if int(status) >= 400:
            Error.model_validate(response["content"]["application/json"]["example"])


def assert_examples(content: Json, model: Any) -> None:
    [media] = content.values()
    assert media["examples"]
    for example in media["examples"].values():
        value = example["value"]
        read = TypeAdapter(model).validate_json(json.dumps(value))
        written = TypeAdapter(model).dump_json(read, by_alias=True, exclude_unset=True)
        assert json.loads(written) == value


def test_the_examples_are_all_used() -> None:
    assert set(EXAMPLES) <= set(generated()["components"]["schemas"])
    documented = {
        (operation_id, int(status))
        for operation_id, (_, _, operation) in by_id(generated()).items()
        for status in operation["responses"]
    }
    assert set(OWN_ERRORS) <= documented


def test_nothing_is_ever_null() -> None:
    assert '"null"' not in json.dumps(generated())
