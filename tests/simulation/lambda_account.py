"""A small model of an account's Lambda: many dropped files that compete for a few concurrent executions.

Only time passes here; no code of ours runs. What AWS does with an event that finds no free execution:

- An asynchronous one goes back to Lambda's queue, and is tried again after 1 second, then after twice as long each time, up
  to 5 minutes, until it is too old. Then it goes to the failure destination.
  https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
- A message of a queue is tried again until its visibility timeout is over. Then it is received once more, up to the
  queue's maximum, and goes to the dead-letter queue.
  https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
- A record of a stream is tried again until it is too old.
  https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html

AWS does not say how often an event source tries again; here it is as often as an asynchronous event, but once a minute at
least.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.template import resources

_FIRST_WAIT, _LONGEST_WAIT, _LONGEST_SOURCE_WAIT = 1, 300, 60

FUNCTIONS = resources("AWS::Serverless::Function")
QUEUES = resources("AWS::SQS::Queue")
EVENT_AGE = FUNCTIONS["ProcessorFunction"]["EventInvokeConfig"]["MaximumEventAgeInSeconds"]
ENDED = FUNCTIONS["ImportEndedFunction"]["Events"]["Ended"]["Properties"]


@dataclass
class Account:
    """A clock, and executions that functions share."""

    concurrency: int
    longer: float = 1
    """How many times longer than AWS says it waits before an asynchronous event is tried again."""
    now: float = 0
    running: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Does something later."""
        self._count += 1
        heapq.heappush(self._due, (self.now + seconds, self._count, what))

    def invoke(self, seconds: float, done: Callable[[], None]) -> bool:
        """Runs a function for so long; False if no execution is free."""
        if self.running >= self.concurrency:
            return False
        self.running += 1

        def end() -> None:
            self.running -= 1
            done()

        self.after(seconds, end)
        return True

    def wait(self, tries: int, longest: float) -> float:
        """How long until the next try."""
        seconds = min(longest, _FIRST_WAIT * 2.0 ** min(tries, 20))
        return seconds * self.chance.uniform(0.5, 1)

    def run(self) -> None:
        """Until nothing is left to be done."""
        while self._due:
            self.now, _, what = heapq.heappop(self._due)
            what()


@dataclass
class Source:
    """An event source: a queue or a stream of which up to `most` messages are tried at a time."""

    account: Account
    most: int
    seconds: float
    tried_for: float
    """How long a message is tried before it counts as received once more."""
    receives: int = 10**9
    waiting: deque[tuple[Callable[[], None], int]] = field(default_factory=deque)
    held: int = 0
    given_up: int = 0
    most_receives: int = 0

    def put(self, done: Callable[[], None]) -> None:
        """Adds a message, which is seen within a second; `done` is called when it was handled."""
        self.account.after(self.account.chance.random(), lambda: self._add(done, 0))

    def _add(self, done: Callable[[], None], received: int) -> None:
        self.waiting.append((done, received))
        self._pull()

    def _pull(self) -> None:
        while self.waiting and self.held < self.most:
            self.held += 1
            done, received = self.waiting.popleft()
            self.most_receives = max(self.most_receives, received + 1)
            self._try(done, received + 1, self.account.now, 0)

    def _try(self, done: Callable[[], None], received: int, since: float, tries: int) -> None:
        def finish() -> None:
            self._release()
            done()

        if self.account.invoke(self.seconds, finish):
            return
        if self.account.now - since <= self.tried_for:
            wait = self.account.wait(tries, _LONGEST_SOURCE_WAIT)
            self.account.after(wait, lambda: self._try(done, received, since, tries + 1))
            return
        self._release()
        if received >= self.receives:
            self.given_up += 1
        else:
            self._add(done, received)

    def _release(self) -> None:
        self.held -= 1
        self._pull()


@dataclass
class Ends:
    """How the files ended, and when the last of each step was done, in seconds after the drop."""

    files: int
    imported: int = 0
    failed: int = 0
    last: dict[str, float] = field(default_factory=dict)
    lost_batches: int = 0
    lost_failures: int = 0
    lost_ends: int = 0
    most_receives: int = 0


def drop(
    account: Account,
    files: int,
    *,
    row_batch_concurrency: int,
    processor_seconds: float,
    row_batch_seconds: float = 1,
    ended_seconds: float = 1,
    dead_letter_seconds: float = 1,
) -> Ends:
    """Drops so many files at once, each of one row batch, and waits until nothing is left to be done."""
    ends = Ends(files)
    rows, failures = QUEUES["RowQueue"], QUEUES["ProcessorFailuresQueue"]
    row_batches = Source(
        account,
        row_batch_concurrency,
        row_batch_seconds,
        rows["VisibilityTimeout"],
        rows["RedrivePolicy"]["maxReceiveCount"],
    )
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: it begins with five.
    dead_letters = Source(
        account,
        5,
        dead_letter_seconds,
        failures["VisibilityTimeout"],
        failures["RedrivePolicy"]["maxReceiveCount"],
    )
    reports = Source(
        account,
        ENDED["ParallelizationFactor"],
        ended_seconds,
        ENDED["MaximumRecordAgeInSeconds"],
        receives=1,
    )

    def note(step: str) -> None:
        ends.last[step] = account.now

    def reported() -> None:
        note("reported")

    def imported() -> None:
        note("applied")
        ends.imported += 1
        reports.put(reported)

    def failed() -> None:
        note("failed")
        ends.failed += 1
        reports.put(reported)

    def processed() -> None:
        note("processed")
        row_batches.put(imported)

    def attempt(tries: int) -> None:
        if account.now > EVENT_AGE:
            note("given up")
            dead_letters.put(failed)
        elif not account.invoke(processor_seconds, processed):
            wait = account.wait(tries, _LONGEST_WAIT) * account.longer
            account.after(wait, lambda: attempt(tries + 1))

    for _ in range(files):
        attempt(0)
    account.run()
    ends.lost_batches, ends.lost_failures = row_batches.given_up, dead_letters.given_up
    ends.lost_ends, ends.most_receives = reports.given_up, row_batches.most_receives
    return ends
