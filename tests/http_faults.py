"""HTTP requests of the functions' clients that AWS throttles, or whose answer is lost after they took effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.endpoint import Endpoint
from botocore.exceptions import ReadTimeoutError

from contact_imports.aws import retry

HttpFault = Literal["throttled", "answer lost"]
FAULTS: tuple[HttpFault, HttpFault] = ("throttled", "answer lost")

FaultOf = Callable[[], HttpFault | None]
"""Is asked for the fault of every request that has a deadline: an invocation's."""

NO_HEADERS: Any = {}
_CODES = {"dynamodb": "ThrottlingException", "sqs": "RequestThrottled"}


@contextmanager
def http_faults(
    fault_of: FaultOf, lost: Callable[[AWSPreparedRequest], None] = lambda _: None
) -> Iterator[None]:
    """Puts faults between botocore and AWS, below its retries; tells `lost` of requests that took effect and whose
    answer was lost."""
    real = Endpoint._send  # type: ignore[attr-defined]

    def send(endpoint: Any, request: Any) -> Any:
        fault = fault_of() if retry._deadline is not None else None
        if fault == "throttled":
            return throttled(request.url, endpoint._endpoint_prefix)
        answer = real(endpoint, request)
        if fault == "answer lost":
            if answer.status_code == 200:
                lost(request)
            raise ReadTimeoutError(endpoint_url=request.url)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "_send", send)
        yield


def throttled(url: str, service: str) -> AWSResponse:
    """What AWS answers when it throttles: a code of the service, or of S3 and EventBridge only a status."""
    if code := _CODES.get(service):
        return AWSResponse(url, 400, NO_HEADERS, _Body(b'{"__type":"#%s"}' % code.encode()))
    return AWSResponse(url, 503, NO_HEADERS, _Body(b""))


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content
