"""The API behind API Gateway: creates imports, and answers questions about them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.api import parameters
from contact_imports.api.access import authenticate, check_project, find_import, import_not_found
from contact_imports.api.cors import cors
from contact_imports.api.gateway_event import request_id, server_url, without_base_path
from contact_imports.api.parameters import (
    FailedRowsCursor,
    FailedRowsPageSize,
    IdempotencyKey,
    ImportCursor,
    ImportId,
    OnlyStatus,
    PageSize,
    ProjectId,
    ReportFormat,
)
from contact_imports.api.paths import (
    ERRORS_PATH,
    FAILED_ROWS_PATH,
    IMPORT_PATH,
    IMPORTS_PATH,
    OPENAPI_PATH,
    UPLOADS_PATH,
    methods_of,
)
from contact_imports.api.requests import ImportRequest, check_json, parse_request
from contact_imports.api.responses import REQUEST_ID_HEADER, refusal
from contact_imports.aws.api_keys_table import ApiKey, ApiKeyTable, Scope
from contact_imports.aws.clients import PRESIGNING, dynamodb_client, s3_client
from contact_imports.aws.environment import ApiEnvironment
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.metrics import Metric, counts_waits, emit
from contact_imports.aws.report_files import ReportFiles
from contact_imports.aws.retry import limits_retries
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.jobs.create_import import create_import
from contact_imports.jobs.list_imports import (
    failed_rows_csv,
    failed_rows_page,
    list_imports,
    report_name,
)
from contact_imports.model.errors import RequestError

logger = Logger()
app = APIGatewayRestResolver(cors=cors())
dynamodb = dynamodb_client()
s3 = s3_client(PRESIGNING)

PATIENCE_SECONDS = 10.0
"""How long a request retries what fails by itself. After that, its caller may as well send it again."""

IDEMPOTENCY_SECONDS = 24 * 3600


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


def only_known_parameters(
    app: APIGatewayRestResolver, next_middleware: NextMiddleware
) -> Response[Any]:
    """Refuses query parameters that the route does not know, because a misspelled one would be ignored."""
    refuse_misplaced_parameters()
    return next_middleware(app)


def refuse_misplaced_parameters() -> None:
    """Raises RequestError; for a caller without access, about the access."""
    error = parameters.misplaced_parameter(app.context["_route"], app.current_event)
    if error is not None:
        check_access()
        raise error


def check_access() -> None:
    if app.current_event.path != OPENAPI_PATH:
        post = app.current_event.http_method == "POST"
        api_key(Scope.WRITE if post else Scope.READ)


@app.post(IMPORTS_PATH, enable_validation=True, middlewares=[only_known_parameters])
def post_import(idempotency_key: IdempotencyKey = None) -> dict[str, Any]:
    key = api_key(Scope.WRITE)
    return accept(key, idempotency_key)


@app.post(UPLOADS_PATH, enable_validation=True, middlewares=[only_known_parameters])
def post_import_upload(idempotency_key: IdempotencyKey = None) -> dict[str, Any]:
    key = api_key(Scope.WRITE)
    check_json(header("Content-Type"))
    return accept(key, idempotency_key)


@app.get(UPLOADS_PATH, include_in_schema=False)
def get_import_upload() -> Response[dict[str, Any]]:
    """Without this route, GET would take the path's last word for an import's id."""
    return wrong_method(methods_of(UPLOADS_PATH))


def accept(key: ApiKey, idempotency_key: str | None) -> dict[str, Any]:
    request = parse_request(header("Content-Type"), request_body(), header("Content-Encoding"))
    check_project(key, request.project_id)
    return {"success": True, "data": create_once(key, idempotency_key, request)}


def create_once(key: ApiKey, idempotency_key: str | None, request: ImportRequest) -> dict[str, Any]:
    """Creates an import, or returns the earlier answer if the idempotency key was used for the same request."""

    def create(*, identity: dict[str, str]) -> dict[str, Any]:
        now = datetime.now(UTC)
        created = create_import(
            request.project_id, request.options, request.file, import_table(), uploads(), now
        )
        logger.info(
            "import accepted", import_id=created["id"], project_id=request.project_id, key_id=key.id
        )
        emit({Metric.IMPORTS_ACCEPTED: 1})
        return created

    identity = {"key": f"{key.id}:{idempotency_key}", "request": request.identity}
    if idempotency_key is None:
        return create(identity=identity)
    # Here, since few requests have a key.
    from aws_lambda_powertools.utilities.idempotency import (
        DynamoDBPersistenceLayer,
        IdempotencyConfig,
        idempotent_function,
    )
    from aws_lambda_powertools.utilities.idempotency.exceptions import (
        IdempotencyAlreadyInProgressError,
        IdempotencyValidationError,
    )

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
        data_keyword_argument="identity",
        persistence_store=store,
        config=config,
        key_prefix="create-contact-import",
    )
    try:
        answer: dict[str, Any] = once(identity=identity)
    except IdempotencyValidationError:
        message = "This Idempotency-Key was used for another request. Use a new one."
        raise RequestError("IDEMPOTENCY_CONFLICT", message) from None
    except IdempotencyAlreadyInProgressError:
        message = "The first request with this Idempotency-Key is not finished. Send this one again in a second."
        raise RequestError("IDEMPOTENCY_IN_PROGRESS", message) from None
    return answer


@app.get(IMPORTS_PATH, enable_validation=True, middlewares=[only_known_parameters])
def get_imports(
    project_id: ProjectId,
    status: OnlyStatus = None,
    limit: PageSize = 20,
    cursor: ImportCursor = None,
) -> dict[str, Any]:
    key = api_key(Scope.READ)
    check_project(key, project_id)
    data = list_imports(import_table(), project_id, status, limit, cursor, datetime.now(UTC))
    return {"success": True, "data": data}


@app.get(IMPORT_PATH, middlewares=[only_known_parameters])
def get_import_status(id: ImportId) -> dict[str, Any]:  # noqa: A002
    key = api_key(Scope.READ)
    job = find_import(key, id, import_table())
    return {"success": True, "data": job.as_api(datetime.now(UTC))}


@app.get(ERRORS_PATH, enable_validation=True, middlewares=[only_known_parameters])
def get_import_errors(
    id: ImportId,  # noqa: A002
    format: ReportFormat = "csv",  # noqa: A002
    limit: parameters.OldFailedRowsPageSize = 100,
    cursor: parameters.OldFailedRowsCursor = "0",
) -> Response[Any]:
    if format == "json":
        # Undocumented: earlier, it had no path of its own.
        return Response(200, content_types.APPLICATION_JSON, get_failed_rows(id, limit, cursor))
    key = api_key(Scope.READ)
    job = find_import(key, id, import_table())
    report = failed_rows_csv(
        job, reports(), datetime.now(UTC), for_spreadsheet=format == "spreadsheet"
    )
    if report.url is not None:
        return Response(302, content_types.TEXT_PLAIN, "", headers={"Location": report.url})
    headers = {"Content-Disposition": f'attachment; filename="{report_name(job)}"'}
    return Response(200, "text/csv; charset=utf-8", report.text, headers=headers)


@app.get(FAILED_ROWS_PATH, enable_validation=True, middlewares=[only_known_parameters])
def get_failed_rows(
    id: ImportId,  # noqa: A002
    limit: FailedRowsPageSize = 100,
    cursor: FailedRowsCursor = "0",
) -> dict[str, Any]:
    key = api_key(Scope.READ)
    job = find_import(key, id, import_table())
    data = failed_rows_page(job, reports(), limit, int(cursor), datetime.now(UTC))
    return {"success": True, "data": data}


@app.get(OPENAPI_PATH, middlewares=[only_known_parameters])
def get_openapi() -> dict[str, Any]:
    servers = [{"url": server_url(app.current_event.raw_event, OPENAPI_PATH)}]
    return openapi_document() | {"servers": servers}


@cache
def openapi_document() -> dict[str, Any]:
    # Here, since the document is rarely asked for, and takes as long to import as everything else.
    from contact_imports.api import openapi

    return openapi.document(
        {
            "CreateContactImport": post_import,
            "CreateContactImportUpload": post_import_upload,
            "ListContactImports": get_imports,
            "GetContactImport": get_import_status,
            "DownloadContactImportFailedRows": get_import_errors,
            "ListContactImportFailedRows": get_failed_rows,
            "GetOpenApiDocument": get_openapi,
        }
    )


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
    """The refusal of an invalid parameter; for a caller without access, of the access."""
    try:
        check_access()
        if error.errors()[0]["loc"][0] == "path":
            raise import_not_found()
        refuse_misplaced_parameters()
    except RequestError as other:
        return refuse(other)
    return refuse(parameters.invalid_parameter(app.context["_route"], error))


@app.not_found
def no_route(_: NotFoundError) -> Response[dict[str, Any]]:
    event = app.current_event
    methods = methods_of(event.path)
    if event.http_method in methods:
        # The path has an import id with characters that no route allows.
        return refuse(import_not_found())
    if methods:
        return wrong_method(methods)
    message = f"There is no such path. Use {IMPORTS_PATH}; {OPENAPI_PATH} describes the API."
    return refuse(RequestError("NOT_FOUND", message))


def wrong_method(methods: tuple[str, ...]) -> Response[dict[str, Any]]:
    allowed = ", ".join(methods)
    message = f"This path does not have this method. Use {allowed}."
    return refuse(RequestError("METHOD_NOT_ALLOWED", message), {"Allow": allowed})


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def internal_error(_: Exception) -> Response[dict[str, Any]]:
    logger.exception("request failed")
    message = "The request failed on our side. Send it again in a while."
    return refuse(RequestError("INTERNAL_ERROR", message))


@logger.inject_lambda_context(
    clear_state=True, correlation_id_path=correlation_paths.API_GATEWAY_REST
)
@limits_retries(PATIENCE_SECONDS)
@counts_waits
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    answer: dict[str, Any] = app.resolve(without_base_path(event), context)
    answer["multiValueHeaders"][REQUEST_ID_HEADER] = [request_id(event)]
    return answer
