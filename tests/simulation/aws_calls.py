"""Every AWS call that handlers make in this process: recorded, answered otherwise, or the last one they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from botocore.client import BaseClient
from botocore.response import StreamingBody

When = Literal["before", "after"]
Real = Callable[[dict[str, Any]], Any]


class Crash(BaseException):
    """The Lambda dies here: nothing catches it, and nothing that it had started goes on."""


@dataclass(frozen=True)
class CrashPoint:
    """Dies at the `call`-th AWS call, from 0: before it is made, or before its answer arrives."""

    call: int
    when: When


@dataclass(frozen=True)
class Call:
    """One AWS call of a function, on one table, bucket or queue."""

    function: str
    service: str
    operation: str
    resource: str


@dataclass
class AwsCalls:
    """The calls of handlers, one invocation at a time."""

    invocations: list[list[Call]] = field(default_factory=list)
    """The calls of each invocation."""
    answers: dict[str, Real] = field(default_factory=dict)
    """By operation, a function that answers it instead of AWS."""
    trouble: Callable[[Real, str, dict[str, Any]], Any] | None = None
    """Makes a call in AWS's stead: as it is, in part, or not at all."""
    before: Callable[[str, dict[str, Any]], None] | None = None
    """Called before every call."""
    watch: Callable[[str, dict[str, Any], Any], Any] | None = None
    """Called after every call; may replace the answer."""
    _running: _Invocation | None = None

    @contextmanager
    def invocation(
        self,
        function: str,
        crash: CrashPoint | None = None,
        meanwhile: tuple[int, Callable[[], None]] | None = None,
    ) -> Iterator[None]:
        """One invocation of a function. It ends at `crash`; at the call of `meanwhile` something else
        happens, while it waits."""
        before, self._running = self._running, _Invocation(function, crash, meanwhile)
        self.invocations.append(self._running.calls)
        try:
            yield
        finally:
            self._running = before

    def make(self, real: Real, operation: str, arguments: dict[str, Any], service: str) -> Any:
        """A client's call, as botocore would make it."""
        running = self._running
        if running is None:
            return real(arguments)
        if running.dead:
            raise Crash
        number = len(running.calls)
        running.calls.append(Call(running.function, service, operation, _resource(arguments)))
        if running.meanwhile is not None and running.meanwhile[0] == number:
            self._running = None
            running.meanwhile[1]()
            self._running = running
        if running.crash == CrashPoint(number, "before"):
            running.dead = True
            raise Crash
        running.dead = running.crash == CrashPoint(number, "after")
        answerer = self.answers.get(operation, real)

        def answer(arguments: dict[str, Any]) -> Any:
            self._running = None  # calls in the meantime belong to no invocation
            try:
                if self.before is not None:
                    self.before(operation, arguments)
                result = answerer(arguments)
                return self.watch(operation, arguments, result) if self.watch else result
            finally:
                self._running = running

        if self.trouble is not None:
            result = self.trouble(answer, operation, arguments)
        else:
            result = answer(arguments)
        if running.dead:
            # The connection ends with the process.
            if isinstance(body := result.get("Body"), StreamingBody):
                body.close()
            raise Crash
        return result

    @contextmanager
    def installed(self) -> Iterator[AwsCalls]:
        """Puts this between every client of the process and AWS."""
        real = BaseClient._make_api_call  # type: ignore[attr-defined]

        def make(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
            service = client.meta.service_model.service_name
            return self.make(
                lambda changed: real(client, operation, changed), operation, arguments, service
            )

        BaseClient._make_api_call = make  # type: ignore[attr-defined]
        try:
            yield self
        finally:
            BaseClient._make_api_call = real  # type: ignore[attr-defined]


@dataclass
class _Invocation:
    function: str
    crash: CrashPoint | None
    meanwhile: tuple[int, Callable[[], None]] | None
    calls: list[Call] = field(default_factory=list)
    dead: bool = False


def _resource(arguments: dict[str, Any]) -> str:
    match arguments:
        case {"TableName": name, "IndexName": index}:
            return f"{name}/index/{index}"
        case {"TableName": name} | {"Bucket": name} | {"QueueUrl": name}:
            return str(name).rsplit("/", 1)[-1]
        case {"Entries": [{"EventBusName": name}, *_]}:
            return str(name)
        case {"RequestItems": requests}:
            return str(next(iter(requests)))
        case {"TransactItems": [{"Update": {"TableName": name}}, *_]}:
            return str(name)
        case {"Statements": [{"Statement": statement}, *_]}:
            found = re.search('"([^"]+)"', statement)
            return found[1] if found else "?"
        case _:
            return "?"


class InlineExecutor:
    """A thread pool without threads: the same schedule makes the same calls in the same order."""

    def __init__(self, *_: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, *, wait: bool = True) -> None:
        pass
