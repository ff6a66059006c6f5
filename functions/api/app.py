"""The API behind API Gateway: accepts uploads and tells how imports are doing."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from contact_imports.api import openapi
from contact_imports.api.access import (
    authenticate,
    check_project,
    find_import,
    import_not_found,
)
from contact_imports.api.requests import ImportRequest, parse_request
from contact_imports.api.responses import refusal
from contact_imports.aws.api_keys_table import ApiKey, ApiKeyTable, Scope
from contact_imports.aws.clients import fast_session
from contact_imports.aws.environment import ApiEnvironment
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.report_files import ReportFiles
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.jobs.create_import import create_import
from contact_imports.jobs.list_imports import (
    failed_rows_csv,
    failed_rows_page,
    list_imports,
    report_name,
)
from contact_imports.model.errors import RequestError
from contact_imports.model.import_job import Status
from contact_imports.model.limits import MAX_IDEMPOTENCY_KEY_CHARS, MAX_REPORTED_ROWS

logger = Logger()
app = APIGatewayRestResolver()
aws = boto3.Session(botocore_session=fast_session())
dynamodb = aws.client("dynamodb")
# What it signs is used by others, later: in the bucket's own region, with today's signature.
s3 = aws.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))

IMPORTS_PATH = "/v1/contacts/imports"
IDEMPOTENCY_SECONDS = 24 * 3600
MAX_PAGE = 100
MAX_ERRORS_PAGE = 1_000
# Where each known path can be reached; whatever else comes is answered with 404 or 405.
METHODS = {
    re.compile(IMPORTS_PATH): "GET, POST",
    re.compile(IMPORTS_PATH + "/[^/]+"): "GET",
    re.compile(IMPORTS_PATH + "/[^/]+/errors"): "GET",
    re.compile("/v1/openapi.json"): "GET",
}

ImportId = Annotated[
    str, Path(description="Import job ID (MongoDB ObjectId)", pattern="^[0-9a-fA-F]{24}$")
]


@cache
def environment() -> ApiEnvironment:
    return ApiEnvironment.read()


def import_table() -> ImportTable:
    return ImportTable(dynamodb, environment().IMPORTS_TABLE)


def uploads() -> Uploads:
    return Uploads(s3, environment().UPLOADS_BUCKET)


def reports() -> ReportFiles:
    return ReportFiles(s3, environment().UPLOADS_BUCKET)


def header(name: str) -> str | None:
    value = app.current_event.headers.get(name)
    return value if value is None else str(value)


def api_key(scope: Scope) -> ApiKey:
    keys = ApiKeyTable(dynamodb, environment().API_KEYS_TABLE)
    return authenticate(header("Authorization"), header("X-API-Key"), scope, keys)


@app.post(
    IMPORTS_PATH,
    operation_id="CreateContactImport",
    summary="Create Contact Import",
    description="Import contacts from an uploaded CSV file. The file is stored and processed in the background; "
    "poll `GET /v1/contacts/imports/{id}` for status and counts. Requires API key with audience:write.",
    tags=["Contacts"],
    responses={
        200: openapi.answer(
            "Import accepted for background processing", openapi.ApiResponseContactImport
        ),
        **openapi.BAD_REQUEST,
        **openapi.UNAUTHORIZED,
        **openapi.FORBIDDEN,
        **openapi.CONFLICT,
        **openapi.TOO_LARGE,
    },
    enable_validation=True,
)
def post_import(
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=MAX_IDEMPOTENCY_KEY_CHARS,
            description="The same key and the same request give the same answer for 24 hours.",
        ),
    ] = None,
) -> dict[str, Any]:
    key = api_key(Scope.WRITE)
    asked = parse_request(header("Content-Type"), request_body(), header("Content-Encoding"))
    check_project(key, asked.project_id)
    return {"success": True, "data": create_once(key, idempotency_key, asked)}


def create_once(key: ApiKey, idempotency_key: str | None, asked: ImportRequest) -> dict[str, Any]:
    """Creates an import, or answers as before where the key of the request was used for it."""

    def create(*, request: dict[str, str]) -> dict[str, Any]:
        now = datetime.now(UTC)
        created = create_import(
            asked.project_id, asked.options, asked.file, import_table(), uploads(), now
        )
        logger.info(
            "import accepted", import_id=created["id"], project_id=asked.project_id, key_id=key.id
        )
        return created

    request = {"key": f"{key.id}:{idempotency_key}", "request": asked.identity}
    if idempotency_key is None:
        return create(request=request)
    store = DynamoDBPersistenceLayer(environment().IDEMPOTENCY_TABLE, boto3_client=dynamodb)
    config = IdempotencyConfig(
        event_key_jmespath="key",
        payload_validation_jmespath="request",
        expires_after_seconds=IDEMPOTENCY_SECONDS,
        hash_function="sha256",
        lambda_context=app.lambda_context,
    )
    once = idempotent_function(
        create,
        data_keyword_argument="request",
        persistence_store=store,
        config=config,
        key_prefix="create-contact-import",
    )
    try:
        answer: dict[str, Any] = once(request=request)
    except IdempotencyValidationError:
        message = "This Idempotency-Key was used for another request. Use a new one."
        raise RequestError("IDEMPOTENCY_CONFLICT", message) from None
    except IdempotencyAlreadyInProgressError:
        message = (
            "The first request with this Idempotency-Key is under way. Try it again in a while."
        )
        raise RequestError("IDEMPOTENCY_IN_PROGRESS", message) from None
    return answer


@app.get(
    IMPORTS_PATH,
    operation_id="ListContactImports",
    summary="List Contact Imports",
    description="The imports of a project, newest first. Requires API key with audience:read.",
    tags=["Contacts"],
    responses={
        200: openapi.answer("Imports", openapi.ApiResponseContactImportList),
        **openapi.BAD_REQUEST,
        **openapi.UNAUTHORIZED,
        **openapi.FORBIDDEN,
    },
    enable_validation=True,
)
def get_imports(
    project_id: Annotated[str, Query(alias="projectId", description="Project ID")],
    status: Annotated[Status | None, Query(description="Only those with this status")] = None,
    limit: Annotated[
        int,
        Query(
            ge=1,
            le=MAX_PAGE,
            description="How many at most. A page with large column maps has fewer: next_cursor goes on.",
        ),
    ] = 20,
    cursor: Annotated[
        str | None,
        Query(pattern="^[0-9a-f]{24}$", description="The next_cursor of the page before"),
    ] = None,
) -> dict[str, Any]:
    key = api_key(Scope.READ)
    check_project(key, project_id)
    data = list_imports(import_table(), project_id, status, limit, cursor, datetime.now(UTC))
    return {"success": True, "data": data}


@app.get(
    IMPORTS_PATH + "/<id>",
    operation_id="GetContactImport",
    summary="Get Contact Import",
    description="Get a contact import's status and counts. Requires API key with audience:read.",
    tags=["Contacts"],
    responses={
        200: openapi.answer("Import status and counts", openapi.ApiResponseContactImportStatus),
        **openapi.UNAUTHORIZED,
        **openapi.NOT_FOUND,
    },
)
def get_import_status(id: ImportId) -> dict[str, Any]:  # noqa: A002
    key = api_key(Scope.READ)
    job = find_import(key, id, import_table())
    return {"success": True, "data": job.as_api(datetime.now(UTC))}


@app.get(
    IMPORTS_PATH + "/<id>/errors",
    operation_id="GetContactImportErrors",
    summary="Get Contact Import Errors",
    description="The failed rows of an import that has ended: as CSV with their original cells, to be mended and "
    "sent again; with format=spreadsheet as CSV that a spreadsheet opens without running formulas, which can be "
    "sent again as well; or with format=json their numbers and reasons, in pages. A large CSV is answered with a "
    "redirect. Requires API key with audience:read.",
    tags=["Contacts"],
    responses={
        200: {
            "description": "Failed rows",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/json": {"model": openapi.ApiResponseFailedRowList},
            },
        },
        302: {"description": "Where the CSV is, if it is large"},
        **openapi.BAD_REQUEST,
        **openapi.UNAUTHORIZED,
        **openapi.NOT_FOUND,
        **openapi.CONFLICT,
    },
    enable_validation=True,
)
def get_import_errors(
    id: ImportId,  # noqa: A002
    format: Annotated[  # noqa: A002
        Literal["csv", "json", "spreadsheet"],
        Query(description="csv, json, or spreadsheet: the CSV with formulas made harmless"),
    ] = "csv",
    limit: Annotated[int, Query(ge=1, le=MAX_ERRORS_PAGE, description="How many, of json")] = 100,
    cursor: Annotated[
        int,
        Query(
            ge=0, le=MAX_REPORTED_ROWS, description="The next_cursor of the page before, of json"
        ),
    ] = 0,
) -> Response[Any]:
    key = api_key(Scope.READ)
    job = find_import(key, id, import_table())
    now = datetime.now(UTC)
    if format == "json":
        data = failed_rows_page(job, reports(), limit, cursor, now)
        return Response(200, content_types.APPLICATION_JSON, {"success": True, "data": data})
    report = failed_rows_csv(job, reports(), now, for_spreadsheet=format == "spreadsheet")
    if report.url is not None:
        return Response(302, content_types.TEXT_PLAIN, "", headers={"Location": report.url})
    headers = {"Content-Disposition": f'attachment; filename="{report_name(job)}"'}
    return Response(200, "text/csv; charset=utf-8", report.text, headers=headers)


@app.get("/v1/openapi.json", include_in_schema=False)
def get_openapi() -> dict[str, Any]:
    return openapi_document()


@cache
def openapi_document() -> dict[str, Any]:
    return openapi.document(app)


def request_body() -> bytes:
    event = app.current_event
    body = event.body or ""
    return (
        base64.b64decode(body) if event.is_base64_encoded else body.encode(errors="surrogatepass")
    )


def refuse(
    error: RequestError, headers: Mapping[str, str] | None = None
) -> Response[dict[str, Any]]:
    logger.info("request refused", code=error.code)
    return refusal(error, headers)


@app.exception_handler(RequestError)  # type: ignore[untyped-decorator]
def request_error(error: RequestError) -> Response[dict[str, Any]]:
    return refuse(error)


@app.exception_handler(RequestValidationError)  # type: ignore[untyped-decorator]
def invalid_parameter(error: RequestValidationError) -> Response[dict[str, Any]]:
    """A parameter that is wrong, by name. Who may not ask at all is told that instead."""
    post = app.current_event.http_method == "POST"
    try:
        api_key(Scope.WRITE if post else Scope.READ)
    except RequestError as refusal:
        return refuse(refusal)
    where, name = error.errors()[0]["loc"][:2]
    if where == "path":
        return refuse(import_not_found())
    if where == "header":
        message = f"Idempotency-Key must have 1 to {MAX_IDEMPOTENCY_KEY_CHARS} characters."
        return refuse(RequestError("INVALID_IDEMPOTENCY_KEY", message))
    message = f"The parameter {name} is missing or not valid: {error.errors()[0]['msg'].lower()}."
    return refuse(RequestError("INVALID_PARAMETER", message, data={"field": name}))


@app.not_found
def no_route(_: NotFoundError) -> Response[dict[str, Any]]:
    event = app.current_event
    for known, methods in METHODS.items():
        if known.fullmatch(event.path):
            if event.http_method in methods.split(", "):
                # An import id of characters that no route takes.
                return refuse(import_not_found())
            message = f"This path takes {methods} alone."
            return refuse(RequestError("METHOD_NOT_ALLOWED", message), {"Allow": methods})
    message = f"There is no such path. Use {IMPORTS_PATH}; /v1/openapi.json describes the API."
    return refuse(RequestError("NOT_FOUND", message))


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def internal_error(_: Exception) -> Response[dict[str, Any]]:
    logger.exception("request failed")
    message = "The request failed on our side. Try it again in a while."
    return refuse(RequestError("INTERNAL_ERROR", message))


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
