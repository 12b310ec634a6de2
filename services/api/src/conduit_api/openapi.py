"""The OpenAPI document (3.1), generated from the route table and the models of its operations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from conduit_api.errors import Error
from conduit_api.examples import ERRORS, EXAMPLES, MAIL, OWN_ERRORS
from conduit_api.operation import Operation, Public

Json = dict[str, Any]

_BODY_ERRORS = {
    400: "Malformed JSON or missing required fields",
    408: "Body not complete in time",
    413: "Body too large",
    415: "Body not declared as application/json",
}
_QUERY_ERRORS = {422: "Validation error"}
_PRIVATE_ERRORS = {401: "Unauthorized", 403: "The API token may not do this"}
_COMMON_ERRORS = {503: "A part of Conduit is away"}

_VERSION = "1"  # of the contract, as in its paths; it stays when the software's grows

_TAGS = {
    "accounts": "Sign-up, the account's settings, its password, and what was done to it",
    "sessions": "Sign-in, refresh and sign-out",
    "2fa": "Two-factor authentication with one-time codes (TOTP) and backup codes",
    "api-tokens": "Tokens for programs, with scopes, networks and an end",
    "webhooks": "Addresses, the endpoints that their mail is passed on to, and the log of attempts",
    "deliveries": "Mails on their way to a webhook: state, timeline, content, and replay",
    "smtp-security-policies": "What senders must show before their mail is taken",
    "domains": "Own domains for addresses, proven by a DNS record",
}

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The access token of a session (a JWT), or an API token (`conduit_…`) within "
    "its scopes. An API token cannot do what is for people: two-factor authentication, passwords, "
    "sessions, API tokens.",
}

_ERROR_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": "Seconds after which to try again"},
    503: {"Retry-After": "Seconds after which to try again"},
}

_ALWAYS_HEADERS = {"X-Request-Id": "The request's own id if it had one, or else a new one"}

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
        "info": {"title": "Conduit API", "version": _VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {"securitySchemes": {"bearer": _BEARER}, "schemas": definitions},
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
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": _content(schemas[operation.id, "validation"]),
        }
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
    query = TypeAdapter(operation.input).json_schema(schema_generator=_Schemas)
    for name, schema in query.get("properties", {}).items():
        description = schema.pop("description", "")
        yield {
            "in": "query",
            "name": name,
            "required": False,
            "schema": schema,
            "description": description,
        }


def _responses(operation: Operation[Any], schemas: Schemas) -> Iterator[tuple[str, Json]]:
    success: Json = {
        "description": operation.description,
        "headers": _headers({**_ALWAYS_HEADERS, **operation.headers}),
    }
    if operation.output is not None:
        success["content"] = _content(schemas[operation.id, "serialization"], operation.media)
    yield str(operation.status), success
    for status, description in sorted(_errors(operation).items()):
        yield str(status), _error(operation, status, description, schemas)


def _error(operation: Operation[Any], status: int, description: str, schemas: Schemas) -> Json:
    example = OWN_ERRORS.get((operation.id, status), ERRORS[status])
    schema = schemas["Error", "serialization"]
    return {
        "description": description,
        "headers": _headers({**_ALWAYS_HEADERS, **_ERROR_HEADERS.get(status, {})}),
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def _errors(operation: Operation[Any]) -> Mapping[int, str]:
    reads_query = not operation.has_body and bool(operation.input.model_fields)
    return {
        **_COMMON_ERRORS,
        **({} if isinstance(operation, Public) else _PRIVATE_ERRORS),
        **(_BODY_ERRORS if operation.has_body else {}),
        **(_QUERY_ERRORS if reads_query else {}),
        **operation.errors,
    }


def _headers(described: Mapping[str, str]) -> Json:
    return {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in described.items()
    }


def _content(schema: JsonSchemaValue, media: str = "application/json") -> Json:
    examples = {name: {"value": value} for name, value in _examples(schema)}
    return {media: {"schema": schema, "examples": examples}}


def _examples(schema: JsonSchemaValue) -> Iterator[tuple[str, object]]:
    """Name the examples of a body: a model, a list of one, a union of some, or bytes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield name, EXAMPLES[name]
    elif "items" in schema:
        for name, value in _examples(schema["items"]):
            yield name, [value]
    elif "oneOf" in schema:
        for member in schema["oneOf"]:
            yield from _examples(member)
    else:
        yield "mail", MAIL
