"""The times after which something is given up are in the right order, so that nothing is given up that goes on."""

from __future__ import annotations

import pytest

from contact_imports.jobs.end_import import SWEEPS, SWEPT_AGAIN_AFTER
from contact_imports.model.import_job import (
    FOLLOW_TRIES,
    IMPORT_DEADLINE_SECONDS,
    PRESIGNED_POST_SECONDS,
    REPORT_RETRY_SECONDS,
    REPORT_TRIES,
    SLOWEST_UPLOAD_SECONDS,
    UPLOAD_DEADLINE_SECONDS,
)
from tests.events import handler
from tests.template import load, resources

pytestmark = pytest.mark.usefixtures("function_environment")

FUNCTIONS = resources("AWS::Serverless::Function")
QUEUES = resources("AWS::SQS::Queue")
(BUCKET,) = resources("AWS::S3::Bucket").values()
DAY = 24 * 3600


def test_the_processor_reads_then_sends_then_notes_how_far_it_got() -> None:
    processor = handler("processor")
    timeout = FUNCTIONS["ProcessorFunction"]["Timeout"] * 1000
    reading_ends = timeout - processor.READING_ENDS_BEFORE_TIMEOUT_MS
    sending_ends = timeout - processor.SENDING_ENDS_BEFORE_TIMEOUT_MS
    assert 0 < reading_ends < sending_ends < timeout
    # What was measured with a CPU that is half as slow again (docs/cost-and-speed.md), in seconds.
    slowest_reading, slowest_sending = 465, 210
    assert slowest_reading * 1000 < reading_ends
    assert slowest_sending * 1000 < sending_ends - reading_ends


def test_the_three_tries_of_a_processor_send_what_one_has_no_time_for() -> None:
    # Each try reads the file anew, and has at least this to send.
    sends = handler("processor").READING_ENDS_BEFORE_TIMEOUT_MS
    sends -= handler("processor").SENDING_ENDS_BEFORE_TIMEOUT_MS
    assert FUNCTIONS["ProcessorFunction"]["EventInvokeConfig"]["MaximumRetryAttempts"] == 2
    assert 3 * sends / 1000 > 10 * 60


def test_a_failed_processor_is_recorded_before_its_import_is_overdue() -> None:
    invoke = FUNCTIONS["ProcessorFunction"]["EventInvokeConfig"]
    failures = QUEUES["ProcessorFailuresQueue"]
    tries = failures["RedrivePolicy"]["maxReceiveCount"] * failures["VisibilityTimeout"]
    assert tries <= UPLOAD_DEADLINE_SECONDS - invoke["MaximumEventAgeInSeconds"]
    assert tries < failures["MessageRetentionPeriod"]


@pytest.mark.parametrize(
    "queue", ["DeadLetterQueue", "ProcessorFailuresQueue", "UnhandledDeadLettersQueue"]
)
def test_a_dead_letter_is_kept_until_its_import_has_ended(queue: str) -> None:
    assert (
        QUEUES[queue]["MessageRetentionPeriod"] > UPLOAD_DEADLINE_SECONDS + IMPORT_DEADLINE_SECONDS
    )


def test_a_file_is_there_until_its_import_was_reported() -> None:
    # From the object's creation to the last try of the report, which reads it again.
    ends = UPLOAD_DEADLINE_SECONDS + IMPORT_DEADLINE_SECONDS
    reported = ends + REPORT_TRIES * REPORT_RETRY_SECONDS
    upload = PRESIGNED_POST_SECONDS + SLOWEST_UPLOAD_SECONDS
    shortest = load()["Parameters"]["UploadRetentionDays"]["MinValue"] * DAY
    assert upload + reported < shortest
    by_id = {rule["Id"]: rule for rule in BUCKET["LifecycleConfiguration"]["Rules"]}
    replaced = by_id["expire-files"]["NoncurrentVersionExpiration"]["NoncurrentDays"] * DAY
    assert reported < replaced
    # An upload in parts that is under way may take as long as any.
    parts = by_id["abort-multipart-uploads"]["AbortIncompleteMultipartUpload"][
        "DaysAfterInitiation"
    ]
    assert upload < parts * DAY


def test_everything_is_tried_for_longer_than_the_schedule_waits() -> None:
    assert FOLLOW_TRIES > REPORT_TRIES
    # An overdue import that cannot be ended is tried for a day, and has its record until then.
    assert SWEEPS * SWEPT_AGAIN_AFTER.total_seconds() >= DAY
