"""The OpenAPI document of the API: Powertools makes it from the routes; the models here are what they speak of."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.models import APIKey, License, Tag
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from pydantic import BaseModel, Field, WithJsonSchema

from contact_imports.api.requests import ImportFields
from contact_imports.model.column_map import ColumnMap

JSON = "application/json"
POST_PATH = "/v1/contacts/imports"


class ApiResponse(BaseModel):
    """Every answer that is no error."""

    success: bool


class ApiError(BaseModel):
    """Every refusal."""

    success: bool = False
    error: str
    code: Annotated[
        str,
        Field(
            description="Machine-readable error code (e.g., IDEMPOTENCY_CONFLICT, DOMAIN_CLAIMABLE)."
        ),
    ]
    data: Annotated[
        dict[str, Any],
        Field(
            description="Additional structured context for the error, such as the affected domain."
        ),
    ] = {}


class UploadForm(BaseModel):
    """A form to upload the file with: its fields, then `file`, as multipart/form-data to `url`."""

    url: str
    fields: dict[str, str]
    max_bytes: int
    expires_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class ContactImportCreated(BaseModel):
    """A new import."""

    object: Annotated[str, Field(json_schema_extra={"example": "contact_import"})]
    id: Annotated[
        str,
        Field(description="Import job ID. Poll GET /v1/contacts/imports/{id} for status."),
    ]
    status: Annotated[str, Field(json_schema_extra={"example": "processing"})]
    upload: Annotated[
        UploadForm | None, Field(description="Only where the request had no file.")
    ] = None


class ApiResponseContactImport(ApiResponse):
    """The answer of CreateContactImport."""

    data: ContactImportCreated


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
    status: Literal["pending", "processing", "completed", "failed"]
    counts: ContactImportCounts
    error: str | None
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    completed_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]


class ApiResponseContactImportStatus(ApiResponse):
    """The answer of GetContactImport."""

    data: ContactImportStatus


class ContactImportListed(ContactImportStatus):
    """An import with how it was made."""

    dropped_key: Annotated[str | None, Field(description="The object that was dropped.")]
    encoding: str | None
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
    """Some imports, newest first."""

    object: Literal["list"]
    data: list[ContactImportListed]
    next_cursor: str | None


class ApiResponseContactImportList(ApiResponse):
    """The answer of ListContactImports."""

    data: ContactImportList


class FailedRow(BaseModel):
    """A failed row."""

    row: Annotated[int, Field(description="Its number in the file, the header being 1.")]
    line: Annotated[int, Field(description="The line that it starts at, from 1.")]
    field: str | None
    code: str
    message: str


class FailedRowList(BaseModel):
    """Some failed rows, in file order."""

    object: Literal["list"]
    data: list[FailedRow]
    next_cursor: str | None


class ApiResponseFailedRowList(ApiResponse):
    """The answer of GetContactImportErrors with format=json."""

    data: FailedRowList


class CreateContactImportRequest(ImportFields):
    """The form of CreateContactImport."""

    file: Annotated[
        bytes,
        Field(description="CSV file to import", json_schema_extra={"format": "binary"}),
    ]
    column_map: Annotated[
        ColumnMap,
        WithJsonSchema({"type": "string"}),
        Field(
            description="JSON string mapping subscriber fields to CSV header names. Only `email` is required. "
            "Supported keys: `email`, `firstName`, `lastName`, `name`, `phone`, `country`, `language`, and "
            "`customFields` (an object mapping each custom field key to its CSV header). Example: "
            '`{"email":"Email","firstName":"First Name","customFields":{"plan":"Plan"}}`.'
        ),
    ]
    tags: Annotated[
        tuple[str, ...],
        WithJsonSchema({"type": "string"}),
        Field(
            description='Tag names to apply to every imported contact, as a JSON array (e.g. `["newsletter"]`) '
            "or a comma-separated string. Tags are created if they do not exist.",
            json_schema_extra={"default": ""},
        ),
    ] = ()
    dry_run: Annotated[
        bool,
        WithJsonSchema({"type": "string", "enum": ["true", "false"]}),
        Field(
            description="Whether to count and report only, without changing anything.",
            json_schema_extra={"default": "false"},
        ),
    ] = False


def answer(description: str, model: type[BaseModel] | None = None) -> OpenAPIResponse:
    """One of an operation's responses."""
    return {"description": description, "content": {JSON: {"model": model or ApiError}}}


BAD_REQUEST = {400: answer("Bad request")}
UNAUTHORIZED = {401: answer("Unauthorized")}
FORBIDDEN = {403: answer("Forbidden - Missing required permissions or access denied")}
NOT_FOUND = {404: answer("Resource not found")}
CONFLICT = {409: answer("Conflict - the idempotency key was used, or the report is not ready")}
TOO_LARGE = {413: answer("The body is too large: ask for an upload form")}


def document(app: APIGatewayRestResolver) -> dict[str, Any]:
    """The document of an app's routes."""
    schema: dict[str, Any] = json.loads(
        app.get_openapi_json_schema(
            title="Contact Imports",
            version="1.0.0",
            description="Import contacts from CSV files, exactly once, with exact counts.",
            tags=[Tag(name="Contacts", description="Import contacts")],
            license_info=License(name="MIT"),
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
    schemas = schema["components"]["schemas"]
    # Powertools' own answer to parameters that are wrong, which this API gives otherwise.
    for unused in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        schemas.pop(unused, None)
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    content = {}
    for kind, model in (("multipart/form-data", CreateContactImportRequest), (JSON, ImportFields)):
        schemas[model.__name__] = model.model_json_schema(
            ref_template="#/components/schemas/{model}"
        )
        content[kind] = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    schema["paths"][POST_PATH]["post"]["requestBody"] = {"required": True, "content": content}
    return schema
