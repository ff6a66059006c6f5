"""The parameters of a request's path, query and headers, and the refusals of invalid ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.api_gateway import Route
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from contact_imports.model.errors import RequestError
from contact_imports.model.import_job import Status
from contact_imports.model.limits import MAX_IDEMPOTENCY_KEY_CHARS, MAX_REPORTED_ROWS
from contact_imports.model.spelling import nearest

MAX_PAGE = 100
MAX_FAILED_ROWS_PAGE = 1_000

_CURSOR = "The `next_cursor` of the page before"
_MAX_CURSOR_DIGITS = len(str(MAX_REPORTED_ROWS))
_MAX_SHOWN_NAME_CHARS = 64

ImportId = Annotated[
    str, Path(description="Import job ID (MongoDB ObjectId)", pattern="^[0-9a-fA-F]{24}$")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_IDEMPOTENCY_KEY_CHARS,
        description="The same key and the same request give the same answer for 24 hours.",
    ),
]
ProjectId = Annotated[
    str,
    Query(alias="projectId", min_length=1, description="The id of a project of your API key"),
]
OnlyStatus = Annotated[
    Status | None,
    Query(description=f"One of {', '.join(Status)}, to list only those imports"),
]
PageSize = Annotated[
    int, Query(ge=1, le=MAX_PAGE, description=f"A number of imports, from 1 to {MAX_PAGE}")
]
ImportCursor = Annotated[str | None, Query(pattern="^[0-9a-f]{24}$", description=_CURSOR)]


def _failed_rows_page_size(*, shown: bool = True) -> Query:
    return Query(
        ge=1,
        le=MAX_FAILED_ROWS_PAGE,
        description=f"A number of rows, from 1 to {MAX_FAILED_ROWS_PAGE}",
        include_in_schema=shown,
    )


def _failed_rows_cursor(*, shown: bool = True) -> Query:
    pattern = f"^[0-9]{{1,{_MAX_CURSOR_DIGITS}}}$"
    return Query(pattern=pattern, description=_CURSOR, include_in_schema=shown)


FailedRowsPageSize = Annotated[int, _failed_rows_page_size()]
FailedRowsCursor = Annotated[str, _failed_rows_cursor()]

ReportFormat = Annotated[
    Literal["csv", "spreadsheet", "json"],
    Query(
        description="`csv`: the cells as they were. `spreadsheet`: cells that a spreadsheet would take for formulas are "
        "made harmless; sent again, they are read as they were",
        # json works too, undocumented: earlier, it had no path of its own.
        json_schema_extra={"enum": ["csv", "spreadsheet"]},
    ),
]

# The parameters of ?format=json, which works undocumented.
OldFailedRowsPageSize = Annotated[int, _failed_rows_page_size(shown=False)]
OldFailedRowsCursor = Annotated[str, _failed_rows_cursor(shown=False)]

_WRONG = {
    "missing": "is missing",
    "string_too_short": "is empty",
    "int_parsing": "is not a whole number",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "literal_error": "has an unknown value",
    "enum": "has an unknown value",
    "string_pattern_mismatch": "is not a cursor that the API returned",
}
"""The fault of a query parameter, by the type of pydantic's error."""


def misplaced_parameter(route: Route, event: APIGatewayProxyEvent) -> RequestError | None:
    """The refusal (400) of a query parameter that is unknown to a route or repeated; None if there is none."""
    known = _query(route)
    single = {name: [value] for name, value in event.query_string_parameters.items()}
    for name, values in {**single, **event.multi_value_query_string_parameters}.items():
        if name not in known:
            documented = [known_name for known_name in known if known[known_name].include_in_schema]
            return _refusal(
                name[:_MAX_SHOWN_NAME_CHARS], "is not known", _instead(name, documented)
            )
        if len(values) > 1:
            return _refusal(name, "is given more than once", "Send it once.")
    return None


def invalid_parameter(route: Route, error: RequestValidationError) -> RequestError:
    """The refusal (400) of a query parameter or header that is missing or not valid."""
    first: Mapping[str, Any] = error.errors()[0]
    where, name = first["loc"][:2]
    if where == "header":
        message = f"Idempotency-Key must have 1 to {MAX_IDEMPOTENCY_KEY_CHARS} characters."
        return RequestError("INVALID_IDEMPOTENCY_KEY", message)
    wrong = _WRONG.get(first["type"], "is not valid")
    description = _query(route)[name].description or ""
    return _refusal(name, wrong, f"Send {description[:1].lower()}{description[1:]}.")


def _refusal(name: str, wrong: str, advice: str) -> RequestError:
    message = f"The query parameter {name!r} {wrong}. {advice}"
    return RequestError("INVALID_PARAMETER", message, data={"field": name})


def _instead(name: str, known: Sequence[str]) -> str:
    """What to send instead of an unknown parameter: the one with the nearest name, or the known ones."""
    meant = nearest(name, known)
    if meant:
        return f"Did you mean '{meant}'?"
    if known:
        return f"This path takes {', '.join(known)}."
    return "Leave it out: this path takes no query parameters."


def _query(route: Route) -> dict[str, Query]:
    """A route's query parameters by the name that callers use."""
    return {
        field.alias: field.field_info
        for field in route.dependant.query_params
        if isinstance(field.field_info, Query)
    }
