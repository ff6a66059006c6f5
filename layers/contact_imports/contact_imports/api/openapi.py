"""The OpenAPI document of the API: Powertools makes it from the operations and the models of this module.

Only a request for the document imports it, since it takes long.

It is written for client generators: an operation has one content type for its request and one for its response,
every model is a named schema, and a value that may be null has null in its type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.models import APIKey, Contact, License, Tag
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from pydantic import BaseModel, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema, models_json_schema

from contact_imports.api.paths import (
    ERRORS_PATH,
    FAILED_ROWS_PATH,
    IMPORT_PATH,
    IMPORTS_PATH,
    OPENAPI_PATH,
    UPLOADS_PATH,
)
from contact_imports.api.requests import ImportFields
from contact_imports.api.responses import REQUEST_ID_HEADER
from contact_imports.model.errors import RequestErrorCode, RowErrorCode
from contact_imports.model.import_job import Status
from contact_imports.model.limits import MAX_UPLOAD_BYTES

JSON = "application/json"

_DateTime = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_Optional = str | SkipJsonSchema[None]


class ApiResponse(BaseModel):
    """A successful response."""

    success: bool


class ApiError(BaseModel):
    """An error response."""

    success: Annotated[bool, Field(json_schema_extra={"default": False})]
    error: Annotated[str, Field(description="What is wrong, where, and what to do.")]
    code: Annotated[
        str,
        Field(
            description="Machine-readable error code (e.g., IDEMPOTENCY_CONFLICT, COLUMN_NOT_FOUND).",
            examples=[*get_args(RequestErrorCode), "THROTTLED", "BLOCKED", "BAD_REQUEST"],
        ),
    ]
    data: Annotated[
        dict[str, Any] | SkipJsonSchema[None],
        Field(
            description="Additional structured context for the error, such as the field that is wrong."
        ),
    ] = None


class PresignedPost(BaseModel):
    """A presigned POST: send `fields`, then `file`, as multipart/form-data to `url`."""

    url: Annotated[str, Field(json_schema_extra={"format": "uri"})]
    fields: dict[str, str]
    max_bytes: int
    expires_at: Annotated[_DateTime, Field(description="The upload must begin before this time.")]


class ContactImportCreated(BaseModel):
    """A new import."""

    object: Annotated[str, Field(json_schema_extra={"example": "contact_import"})]
    id: Annotated[
        str,
        Field(description="Import job ID. Poll GET /v1/contacts/imports/{id} for status."),
    ]
    status: Annotated[str, Field(json_schema_extra={"example": "processing"})]


class ContactImportUploadCreated(ContactImportCreated):
    """A new import that is pending until its file is uploaded."""

    upload: PresignedPost


class ApiResponseContactImport(ApiResponse):
    """The response of CreateContactImport."""

    data: ContactImportCreated


class ApiResponseContactImportUpload(ApiResponse):
    """The response of CreateContactImportUpload."""

    data: ContactImportUploadCreated


class ContactImportCounts(BaseModel):
    """Rows by outcome: total = created + updated + skipped + failed."""

    total: int
    created: int
    updated: int
    skipped: int
    failed: int


class ContactImportStatus(BaseModel):
    """An import."""

    object: Annotated[str, Field(json_schema_extra={"example": "contact_import"})]
    id: str
    status: Status
    counts: ContactImportCounts
    error: Annotated[str | None, Field(description="Why the import failed.")]
    created_at: _DateTime
    completed_at: _DateTime | None


class ApiResponseContactImportStatus(ApiResponse):
    """The response of GetContactImport."""

    data: ContactImportStatus


class ContactImportListed(ContactImportStatus):
    """An import with its options and how its file was read."""

    dropped_key: Annotated[str | None, Field(description="The key of the dropped file.")]
    encoding: Annotated[str | None, Field(description="The encoding that the file was read with.")]
    options: Annotated[
        dict[str, Any],
        Field(description="The request's fields, with the column map that was matched."),
    ]
    notes: Annotated[
        list[dict[str, str]],
        Field(
            description="What was skipped, chosen or left out in the file: `code` and `message`."
        ),
    ]


class ContactImportList(BaseModel):
    """A page of imports, newest first."""

    object: Literal["list"]
    data: list[ContactImportListed]
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page.")]


class ApiResponseContactImportList(ApiResponse):
    """The response of ListContactImports."""

    data: ContactImportList


class FailedRow(BaseModel):
    """A failed row."""

    row: Annotated[int, Field(description="The row's number in the file; the header is row 1.")]
    line: Annotated[int, Field(description="The line on which the row starts, from 1.")]
    field: Annotated[
        str | None, Field(description="The invalid field, as a key of the column map.")
    ]
    code: Annotated[
        str,
        Field(description="Why the row failed, for programs.", examples=[*get_args(RowErrorCode)]),
    ]
    message: str


class FailedRowList(BaseModel):
    """A page of failed rows, in file order."""

    object: Literal["list"]
    data: list[FailedRow]
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page.")]


class ApiResponseFailedRowList(ApiResponse):
    """The response of ListContactImportFailedRows."""

    data: FailedRowList


class CreateContactImportRequest(ImportFields):
    """The form of CreateContactImport."""

    file: Annotated[
        bytes,
        Field(description="CSV file to import", json_schema_extra={"format": "binary"}),
    ]
    column_map: Annotated[  # type: ignore[assignment]
        str,
        Field(
            description="JSON string mapping subscriber fields to CSV header names. Only `email` is required. "
            "Supported keys: `email`, `firstName`, `lastName`, `name`, `phone`, `country`, `language`, and "
            "`customFields` (an object mapping each custom field key to its CSV header). Example: "
            '`{"email":"Email","firstName":"First Name","customFields":{"plan":"Plan"}}`.'
        ),
    ]
    tags: Annotated[
        _Optional,
        Field(
            description='Tag names to apply to every imported contact, as a JSON array (e.g. `["newsletter"]`) '
            "or a comma-separated string. Tags are created if they do not exist.",
        ),
    ] = None  # type: ignore[assignment]
    dry_run: Annotated[
        Literal["true", "false"],
        Field(description="Whether to count and report without changing contacts."),
    ] = "false"  # type: ignore[assignment]


class ColumnMapFields(BaseModel, extra="forbid", alias_generator=to_camel):
    """Each field of a contact with the name of its column in the file."""

    email: str
    first_name: _Optional = None
    last_name: _Optional = None
    name: _Optional = None
    phone: _Optional = None
    country: _Optional = None
    language: _Optional = None
    custom_fields: Annotated[
        dict[str, str], Field(description="Each custom field's key with its column.")
    ] = {}


class CreateContactImportUploadRequest(ImportFields):
    """The request of CreateContactImportUpload: the fields of CreateContactImport without the file."""

    column_map: ColumnMapFields  # type: ignore[assignment]
    tags: Annotated[  # type: ignore[assignment]
        list[str],
        Field(
            default_factory=list,
            description="Tag names to apply to every imported contact. Tags are created if they do not exist.",
        ),
    ]
    dry_run: Annotated[
        bool,
        Field(description="Whether to count and report without changing contacts."),
    ] = False


class _Body(NamedTuple):
    content_type: str
    model: type[BaseModel]


class _ErrorResponse(NamedTuple):
    name: str
    description: str


_BODIES = {
    IMPORTS_PATH: _Body("multipart/form-data", CreateContactImportRequest),
    UPLOADS_PATH: _Body(JSON, CreateContactImportUploadRequest),
}

_ERRORS = {
    400: _ErrorResponse("BadRequest", "Bad request"),
    401: _ErrorResponse("Unauthorized", "Unauthorized"),
    403: _ErrorResponse("Forbidden", "Forbidden - Missing required permissions or access denied"),
    404: _ErrorResponse("NotFound", "Resource not found"),
    409: _ErrorResponse(
        "Conflict", "Conflict - the idempotency key was used, or the import has not ended"
    ),
    413: _ErrorResponse(
        "PayloadTooLarge",
        f"The body is over {MAX_UPLOAD_BYTES:,} bytes - upload the file with a presigned POST (CreateContactImportUpload)",
    ),
    429: _ErrorResponse("TooManyRequests", "Too many requests - send it again after `Retry-After`"),
    500: _ErrorResponse("InternalError", "The request failed on our side"),
}
_DEFAULT = _ErrorResponse("UnexpectedError", "Any other refusal or failure")
_ALWAYS = (429, 500)
"""The statuses that API Gateway, or a fault of ours, can answer any request with."""

_HEADERS = {
    REQUEST_ID_HEADER: {
        "description": "The request's id. Name it when you ask for help.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "The seconds after which the request may be sent again.",
        "schema": {"type": "integer"},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate. API Gateway renames it to x-amzn-Remapped-WWW-Authenticate.",
        "schema": {"type": "string"},
    },
}
_HEADERS_OF: dict[int | None, str] = {
    401: "WWW-Authenticate",
    409: "Retry-After",
    429: "Retry-After",
}


_CSV_REPORT: dict[int, OpenAPIResponse] = {
    200: {
        "description": "Failed rows as CSV",
        "content": {"text/csv": {"schema": {"type": "string"}}},
        "headers": {
            "Content-Disposition": {
                "description": "The name to save the file under.",
                "schema": {"type": "string"},
            }
        },
    },
    302: {
        "description": "Redirect to a large report. Its URL is valid for 15 minutes and needs no API key",
        "headers": {
            "Location": {
                "description": "The report's URL.",
                "schema": {"type": "string", "format": "uri"},
            }
        },
    },
}


def _responses(
    description: str, model: type[BaseModel] | None, *errors: int
) -> dict[int, OpenAPIResponse]:
    """The responses of an operation: its success, and its refusals by status. Every operation gets 429, 500 and
    default too."""
    content: dict[str, Any] = {JSON: {"model": model} if model else {"schema": {"type": "object"}}}
    return {200: {"description": description, "content": content}, **_refusals(*errors)}


def _refusals(*errors: int) -> dict[int, OpenAPIResponse]:
    """The statuses of an operation's refusals."""
    return {status: {"description": _ERRORS[status].description} for status in errors}


class _Operation(NamedTuple):
    method: str
    path: str
    summary: str
    description: str
    responses: dict[int, OpenAPIResponse]
    tag: str = "Contacts"


_OPERATIONS = {
    "CreateContactImport": _Operation(
        "POST",
        IMPORTS_PATH,
        "Create Contact Import",
        "Import contacts from an uploaded CSV file. The file is stored and processed in the background; "
        "poll `GET /v1/contacts/imports/{id}` for status and counts. Requires API key with audience:write.",
        _responses(
            "Import accepted for background processing",
            ApiResponseContactImport,
            *(400, 401, 403, 409, 413),
        ),
    ),
    "CreateContactImportUpload": _Operation(
        "POST",
        UPLOADS_PATH,
        "Create Contact Import Upload",
        "Get a presigned POST for a CSV file of up to 5 GiB. The import is pending until the file is "
        "uploaded; poll `GET /v1/contacts/imports/{id}` for status and counts. Requires API key with audience:write.",
        _responses(
            "Import that waits for its file",
            ApiResponseContactImportUpload,
            *(400, 401, 403, 409, 413),
        ),
    ),
    "ListContactImports": _Operation(
        "GET",
        IMPORTS_PATH,
        "List Contact Imports",
        "The imports of a project, newest first. Requires API key with audience:read.",
        _responses("Imports", ApiResponseContactImportList, 400, 401, 403),
    ),
    "GetContactImport": _Operation(
        "GET",
        IMPORT_PATH,
        "Get Contact Import",
        "Get a contact import's status and counts. Requires API key with audience:read.",
        _responses("Import status and counts", ApiResponseContactImportStatus, 400, 401, 403, 404),
    ),
    "DownloadContactImportFailedRows": _Operation(
        "GET",
        ERRORS_PATH,
        "Download Contact Import Failed Rows",
        "The failed rows of an import that has ended, as CSV with their original cells. Correct them and "
        "send the file again. With format=spreadsheet, a spreadsheet opens the CSV without running formulas, and it can be "
        "sent again too. Follow redirects: a large report is a redirect. Requires API key with audience:read.",
        _CSV_REPORT | _refusals(400, 401, 403, 404, 409),
    ),
    "ListContactImportFailedRows": _Operation(
        "GET",
        FAILED_ROWS_PATH,
        "List Contact Import Failed Rows",
        "The failed rows of an import that has ended, with their numbers and reasons, in pages. "
        "Requires API key with audience:read.",
        _responses("Failed rows", ApiResponseFailedRowList, 400, 401, 403, 404, 409),
    ),
    "GetOpenApiDocument": _Operation(
        "GET",
        OPENAPI_PATH,
        "Get OpenAPI Document",
        "This document. Needs no API key.",
        _responses("This document", None, 400),
        "Description",
    ),
}


def document(handlers: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """The document of the operations, without `servers`, which depend on how the API was called.

    `handlers` has the function that handles each operation, by the operation's id: its parameters are documented.
    """
    app = APIGatewayRestResolver()
    for operation_id, handler in handlers.items():
        operation = _OPERATIONS[operation_id]
        app.route(
            operation.path,
            operation.method,
            operation_id=operation_id,
            summary=operation.summary,
            description=operation.description,
            responses=operation.responses,
            tags=[operation.tag],
        )(handler)
    schema: dict[str, Any] = msgspec.json.decode(
        app.get_openapi_json_schema(
            title="Contact Imports",
            version="1.0.0",
            description="Import contacts from CSV files, exactly once, with exact counts.",
            tags=[
                Tag(name="Contacts", description="Import contacts"),
                Tag(name="Description", description="The description of the API"),
            ],
            contact=Contact(name="Contact Imports"),
            license_info=License(name="Apache-2.0", identifier="Apache-2.0"),
            security=[{"apiKeyAuth": []}],
            security_schemes={
                "apiKeyAuth": APIKey.model_validate(
                    {
                        "name": "Authorization",
                        "in": "header",
                        "description": "API key authentication. "
                        "Use 'Authorization: Bearer YOUR_API_KEY'.",
                    }
                )
            },
        )
    )
    components = schema["components"]
    # Powertools' own response to invalid parameters, which this API replaces by ApiError.
    for unused in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        components["schemas"].pop(unused, None)
    models: list[type[BaseModel]] = [ApiError, *(body.model for body in _BODIES.values())]
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    components["schemas"] |= definitions["$defs"]
    components["headers"] = _HEADERS
    components["responses"] = {
        error.name: _error(status, error.description) for status, error in _ERRORS.items()
    } | {_DEFAULT.name: _error(None, _DEFAULT.description)}
    for path, operations in schema["paths"].items():
        for described in operations.values():
            _complete(described)
        if path in _BODIES:
            content_type, model = _BODIES[path]
            content = {content_type: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
            operations["post"]["requestBody"] = {"required": True, "content": content}
    schema["paths"][OPENAPI_PATH]["get"]["security"] = []
    schema["paths"] = _plain(dict(sorted(schema["paths"].items())))
    components["schemas"] = _plain(components["schemas"])
    del schema["servers"]
    return schema


def _complete(operation: dict[str, Any]) -> None:
    """Adds what Powertools does not: references to the shared error responses, and headers."""
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _parameter_schema(parameter["schema"])
        if parameter["in"] == "header":
            # Powertools writes it in lower case.
            parameter["name"] = parameter["name"].title()
    answers = operation["responses"]
    answers.pop("422", None)
    for status, response in answers.items():
        response.setdefault("headers", {})[REQUEST_ID_HEADER] = _header(REQUEST_ID_HEADER)
        if status.startswith("3"):
            # Powertools declares JSON for every response.
            response.pop("content", None)
    for status, error in _ERRORS.items():
        if str(status) in answers or status in _ALWAYS:
            answers[str(status)] = {"$ref": f"#/components/responses/{error.name}"}
    answers["default"] = {"$ref": f"#/components/responses/{_DEFAULT.name}"}


def _error(status: int | None, description: str) -> dict[str, Any]:
    names = [REQUEST_ID_HEADER]
    if status in _HEADERS_OF:
        names.append(_HEADERS_OF[status])
    return {
        "description": description,
        "headers": {name: _header(name) for name in names},
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/ApiError"}}},
    }


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _parameter_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema without null, which a URL cannot have, and without a second description."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "description")}
    found = {**rest, **kinds[0]} if len(kinds) == 1 else rest | ({"anyOf": kinds} if kinds else {})
    # Powertools writes every bound as a float.
    return {
        name: int(value) if isinstance(value, float) else value for name, value in found.items()
    }


def _plain(value: Any) -> Any:
    """A part of the document in a form that client generators support.

    Titles that repeat a name are removed. An optional value has no null. A value that may be null has both types
    in `type`, next to its `format`.
    """
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {
        name: _plain(item)
        for name, item in value.items()
        if name != "title" or not isinstance(item, str)
    }
    kinds = found.get("anyOf", [])
    optional = "default" in found and found["default"] is None
    if optional:
        del found["default"]
    if {"type": "null"} in kinds:
        others = [kind for kind in kinds if kind != {"type": "null"}]
        if len(others) == 1 and (optional or "type" in others[0]):
            del found["anyOf"]
            found = {**others[0], **found}
            if not optional:
                found["type"] = [found["type"], "null"]
    return found
