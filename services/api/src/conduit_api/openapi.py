"""The OpenAPI document (3.1), generated from the route table and the models of its operations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from conduit import __version__
from conduit_api.errors import Error
from conduit_api.operation import Operation, Public

Json = dict[str, Any]

_BODY_ERRORS = {
    400: "Malformed JSON or missing required fields",
    413: "Body too large",
    415: "Body not declared as application/json",
}
_PRIVATE_ERRORS = {401: "Unauthorized"}
_COMMON_ERRORS = {503: "A part of Conduit is away"}

_DESCRIPTION = (
    "All Conduit features are reached through this versioned JSON REST API. "
    "Timestamps are UTC, RFC 3339. Every error has the shape {error, code}."
)


class _Schemas(GenerateJsonSchema):
    """Our conventions: nothing is ever null, so None stands for a field that is left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def union_schema(self, schema: core_schema.UnionSchema) -> JsonSchemaValue:
        json_schema = super().union_schema(schema)
        if "anyOf" in json_schema:  # our unions are of models, of which only one fits
            json_schema["oneOf"] = json_schema.pop("anyOf")
        return json_schema

    def field_title_should_be_set(self, _schema: object) -> bool:
        return False


def document(operations: Sequence[Operation[Any]]) -> Json:
    """Return the document, ready to be written as JSON."""
    schemas, definitions = _schemas(operations)
    paths: Json = {}
    for operation in operations:
        item = paths.setdefault(operation.path, {})
        item[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Conduit API", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "schemas": definitions,
        },
    }


Schemas = Mapping[tuple[str, JsonSchemaMode], JsonSchemaValue]


def _schemas(operations: Sequence[Operation[Any]]) -> tuple[Schemas, Json]:
    """Generate all schemas together, so that they share their definitions."""
    adapters: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        ("Error", "serialization", TypeAdapter(Error))
    ]
    for operation in operations:
        if operation.has_body:
            adapters.append((operation.id, "validation", TypeAdapter(operation.input)))
        if operation.output is not None:
            adapters.append((operation.id, "serialization", TypeAdapter(operation.output)))
    schemas, rest = TypeAdapter.json_schemas(
        adapters, ref_template="#/components/schemas/{model}", schema_generator=_Schemas
    )
    return schemas, rest["$defs"]


def _operation(operation: Operation[Any], schemas: Schemas) -> Json:
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": list(operation.tags),
        "responses": dict(_responses(operation, schemas)),
    }
    if isinstance(operation, Public):
        described["security"] = []
    if parameters := [*_path_parameters(operation), *_query_parameters(operation)]:
        described["parameters"] = parameters
    if operation.has_body:
        content = _json(schemas[operation.id, "validation"])
        described["requestBody"] = {"required": True, "content": content}
    return described


def _path_parameters(operation: Operation[Any]) -> Iterator[Json]:
    for name, description in operation.parameters.items():
        yield {
            "in": "path",
            "name": name,
            "required": True,
            "schema": {"type": "string"},
            "description": description,
        }


def _query_parameters(operation: Operation[Any]) -> Iterator[Json]:
    if operation.has_body:
        return
    for name, schema in TypeAdapter(operation.input).json_schema().get("properties", {}).items():
        schema.pop("title", None)
        description = schema.pop("description", "")
        yield {
            "in": "query",
            "name": name,
            "required": False,
            "schema": schema,
            "description": description,
        }


def _responses(operation: Operation[Any], schemas: Schemas) -> Iterator[tuple[str, Json]]:
    success: Json = {"description": operation.description}
    if operation.headers:
        success["headers"] = {
            name: {"description": description, "schema": {"type": "string"}}
            for name, description in operation.headers.items()
        }
    if operation.output is not None:
        success["content"] = _json(schemas[operation.id, "serialization"])
    yield str(operation.status), success
    for status, description in sorted(_errors(operation).items()):
        content = _json(schemas["Error", "serialization"])
        yield str(status), {"description": description, "content": content}


def _errors(operation: Operation[Any]) -> Mapping[int, str]:
    return {
        **_COMMON_ERRORS,
        **({} if isinstance(operation, Public) else _PRIVATE_ERRORS),
        **(_BODY_ERRORS if operation.has_body else {}),
        **operation.errors,
    }


def _json(schema: JsonSchemaValue) -> Json:
    return {"application/json": {"schema": schema}}
