"""The API behind API Gateway: accepts uploads and tells how imports are doing."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.api_keys import ApiKey, ApiKeyTable, Scope
from contact_imports.config import ApiEnvironment
from contact_imports.create_import import authenticate, create_import, get_import, import_not_found
from contact_imports.errors import RequestError
from contact_imports.import_table import ImportTable
from contact_imports.uploads import Uploads

logger = Logger()
app = APIGatewayRestResolver()
dynamodb = boto3.client("dynamodb")
s3 = boto3.client("s3")

IMPORTS_PATH = "/v1/contacts/imports"
IMPORT_ID = re.compile(r"[0-9a-fA-F]{24}")
# Where each known path can be reached; whatever else comes is answered with 404 or 405.
METHODS = {re.compile(IMPORTS_PATH): "POST", re.compile(IMPORTS_PATH + "/[^/]+"): "GET"}


@cache
def environment() -> ApiEnvironment:
    return ApiEnvironment.read()


def import_table() -> ImportTable:
    return ImportTable(dynamodb, environment().IMPORTS_TABLE)


def header(name: str) -> str | None:
    value = app.current_event.headers.get(name)
    return value if value is None else str(value)


def api_key(scope: Scope) -> ApiKey:
    keys = ApiKeyTable(dynamodb, environment().API_KEYS_TABLE)
    return authenticate(header("Authorization"), scope, keys)


@app.post(IMPORTS_PATH)
def post_import() -> dict[str, Any]:
    key = api_key(Scope.WRITE)
    uploads = Uploads(s3, environment().UPLOADS_BUCKET)
    job = create_import(
        key, header("Content-Type"), request_body(), import_table(), uploads, datetime.now(UTC)
    )
    logger.info("import accepted", import_id=job.id, project_id=job.project_id, key_id=key.id)
    data = {"object": "contact_import", "id": job.id, "status": job.status.value}
    return {"success": True, "data": data}


@app.get(IMPORTS_PATH + "/<import_id>")
def get_import_status(import_id: str) -> dict[str, Any]:
    key = api_key(Scope.READ)
    if IMPORT_ID.fullmatch(import_id) is None:
        raise import_not_found()
    return {"success": True, "data": get_import(key, import_id.lower(), import_table()).as_api()}


def request_body() -> bytes:
    event = app.current_event
    body = event.body or ""
    return base64.b64decode(body) if event.is_base64_encoded else body.encode()


def refuse(error: RequestError) -> Response[dict[str, Any]]:
    answer: dict[str, Any] = {"success": False, "error": error.message, "code": error.code}
    if error.data:
        answer["data"] = dict(error.data)
    logger.info("request refused", status=error.status, code=error.code)
    return Response(error.status, content_types.APPLICATION_JSON, answer, headers=error.headers)


@app.exception_handler(RequestError)  # type: ignore[untyped-decorator]
def request_error(error: RequestError) -> Response[dict[str, Any]]:
    return refuse(error)


@app.not_found
def no_route(_: NotFoundError) -> Response[dict[str, Any]]:
    event = app.current_event
    for known, method in METHODS.items():
        if known.fullmatch(event.path):
            if event.http_method == method:  # an import id of characters that no route takes
                return refuse(import_not_found())
            message = f"This path takes {method} alone."
            return refuse(
                RequestError(405, "METHOD_NOT_ALLOWED", message, headers={"Allow": method})
            )
    return refuse(RequestError(404, "NOT_FOUND", f"There is no such path. Use {IMPORTS_PATH}."))


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def internal_error(_: Exception) -> Response[dict[str, Any]]:
    logger.exception("request failed")
    message = "The request failed on our side. Try it again in a while."
    return refuse(RequestError(500, "INTERNAL_ERROR", message))


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
