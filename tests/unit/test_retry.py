"""Every call of every client is retried until the invocation's deadline, and no call can take an invocation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.endpoint import Endpoint
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.session import Session

from contact_imports.aws import retry
from contact_imports.aws.clients import FAST, QUICK, fast_session
from contact_imports.aws.retry import (
    RESERVED_SECONDS,
    StillUnprocessedError,
    attempts,
    is_transient,
    limits_retries,
    time_limit,
)
from tests.events import Context, handler
from tests.http_faults import throttled
from tests.template import resources

URL = "http://127.0.0.1:9"


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_BASE_SECONDS", 0)


class Clock:
    """A clock that only waiting moves."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(retry, "time", made)
    return made


def client() -> Any:
    return fast_session().create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=URL,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=QUICK,
    )


def answers(monkeypatch: pytest.MonkeyPatch, sequence: Iterator[Any]) -> None:
    """Has AWS answer like this, one request after the other; an exception is raised."""

    def send(_endpoint: Endpoint, _request: Any) -> Any:
        answer = next(sequence)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Endpoint, "_send", send)


def answer(status: int, body: bytes = b"{}") -> AWSResponse:
    response = throttled(URL, "dynamodb")
    response.status_code = status
    response._content = body  # type: ignore[attr-defined]
    return response


def failures() -> dict[str, Any]:
    return {
        "throttled": answer(400, b'{"__type":"#ThrottlingException"}'),
        "table throttled": answer(400, b'{"__type":"#ProvisionedThroughputExceededException"}'),
        "request limit": answer(400, b'{"__type":"#RequestLimitExceeded"}'),
        "conflict": answer(400, b'{"__type":"#TransactionConflictException"}'),
        "server error": answer(500, b'{"__type":"#InternalServerError"}'),
        "unavailable": answer(503, b""),
        "no connection": EndpointConnectionError(endpoint_url=URL),
        "slow connection": ConnectTimeoutError(endpoint_url=URL),
        "cut off": ConnectionClosedError(endpoint_url=URL),
        "no answer": ReadTimeoutError(endpoint_url=URL),
    }


@pytest.mark.parametrize("failure", failures())
@pytest.mark.usefixtures("no_waiting")
def test_what_passes_is_retried(monkeypatch: pytest.MonkeyPatch, failure: str) -> None:
    # As often as it takes, in an invocation.
    sequence = iter([*[failures()[failure] for _ in range(20)], answer(200)])
    answers(monkeypatch, sequence)
    with time_limit(60):
        client().get_item(TableName="t", Key={"k": {"S": "v"}})
    assert next(sequence, None) is None


@pytest.mark.parametrize("failure", failures())
def test_nothing_is_retried_after_the_deadline(
    monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    sequence = iter([failures()[failure], answer(200)])
    answers(monkeypatch, sequence)
    with time_limit(0), pytest.raises(Exception) as raised:  # noqa: PT011
        client().get_item(TableName="t", Key={"k": {"S": "v"}})
    assert is_transient(raised.value)
    assert next(sequence, None) is not None


@pytest.mark.parametrize("code", ["ConditionalCheckFailedException", "ValidationException"])
def test_what_does_not_pass_is_not_retried(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    answers(monkeypatch, iter([answer(400, b'{"__type":"#%s"}' % code.encode())]))
    with time_limit(60), pytest.raises(ClientError, match=code) as raised:
        client().get_item(TableName="t", Key={"k": {"S": "v"}})
    assert not is_transient(raised.value)


def test_retries_end_at_the_deadline_and_waits_grow(clock: Clock) -> None:
    with time_limit(60):
        last = max(attempts())
    # Half of 3 seconds each, after shorter ones.
    assert 60 <= clock.now <= 63
    assert 25 < last < 80


@pytest.mark.usefixtures("clock")
def test_a_limit_ends_with_the_one_around_it() -> None:
    with time_limit(0):
        with time_limit(60):
            assert list(attempts()) == [0]
        assert list(attempts()) == [0]
    with time_limit(60), time_limit(0):
        assert list(attempts()) == [0]
    # Without one there are eight.
    assert list(attempts()) == list(range(8))


@pytest.mark.parametrize(
    ("remaining", "longest", "expected"), [(60, 30, 30), (25, 30, 25 - RESERVED_SECONDS)]
)
def test_a_handler_retries_while_lambda_leaves_it_time(
    clock: Clock, remaining: int, longest: float, expected: float
) -> None:
    @limits_retries(longest)
    def handle(_event: dict[str, Any], _context: Context) -> None:
        for _ in attempts():
            pass

    handle({}, Context(remaining_time_in_millis=remaining * 1000))
    assert expected <= clock.now <= expected + 3


def test_what_is_left_unprocessed_passes() -> None:
    assert is_transient(StillUnprocessedError())
    assert not is_transient(ValueError())


@pytest.mark.parametrize(
    "function", ["api", "processor", "row_batch", "dead_letter", "import_ended"]
)
def test_no_call_can_take_an_invocation(function_environment: None, function: str) -> None:
    module = handler(function)
    made = [getattr(module, name, None) for name in ("dynamodb", "events", "s3", "sqs")]
    found = [one() if function == "row_batch" and callable(one) else one for one in made if one]
    (timeout,) = (
        properties["Timeout"]
        for name, properties in resources("AWS::Serverless::Function").items()
        if name == "".join(part.title() for part in function.split("_")) + "Function"
    )
    assert found
    for made_client in found:
        config = made_client.meta.config
        assert config.retries == {"mode": "standard", "total_max_attempts": 1}
        longest = config.connect_timeout + config.read_timeout
        assert longest < timeout / 2
        if made_client.meta.service_model.service_name != "s3":
            assert longest < RESERVED_SECONDS
    # API Gateway waits 29 seconds: a call that begins as the retries end is over by then.
    api = handler("api")
    slowest = api.s3.meta.config
    assert api.PATIENCE_SECONDS + slowest.connect_timeout + slowest.read_timeout < 29


@pytest.mark.parametrize("change", ["another protocol", "no documents", "an error"])
@pytest.mark.usefixtures("no_waiting")
def test_clients_are_botocores_own_where_it_has_changed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    real = Session.get_service_model
    with monkeypatch.context() as patch:

        def changed(session: Session, *arguments: Any) -> Any:
            if change == "an error":
                raise RuntimeError
            model = real(session, *arguments)
            if change == "another protocol":
                patch.setattr(type(model), "resolved_protocol", "smithy-rpc-v2-cbor")
            else:
                value = type(model.shape_for("AttributeValue"))
                patch.setattr(value, "is_document_type", False)
            return model

        patch.setattr(Session, "get_service_model", changed)
        session = fast_session.__wrapped__()
    assert "botocore has changed" in caplog.text
    assert type(session.get_component("data_loader")).__module__.startswith("botocore.")
    # And their calls are retried too.
    sequence = iter([answer(503, b""), answer(200, b'{"Item":{"k":{"S":"v"}}}')])
    answers(monkeypatch, sequence)
    own: Any = session.create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=URL,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=FAST,
    )
    assert own.get_item(TableName="t", Key={"k": {"S": "v"}})["Item"] == {"k": {"S": "v"}}
