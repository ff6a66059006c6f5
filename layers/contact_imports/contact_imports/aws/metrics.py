"""The metrics that functions send: lines in their logs, in CloudWatch's embedded metric format.

CloudWatch reads the metrics from the log as it arrives, so that sending costs a function no call. Every metric has the
stack's name as its namespace and no dimension, so there is one of each. docs/operations.md says what each means, and the
template's alarms and dashboard name them.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import wraps
from typing import TypeVar

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from contact_imports.aws.retry import take_waits

NAMESPACE = "POWERTOOLS_METRICS_NAMESPACE"
"""The environment variable that has the namespace."""

_DEFAULT_NAMESPACE = "contact-imports"

_NO_DIMENSION = ""
"""As Powertools' service, which it would otherwise make a dimension. CloudWatch does not add up metrics of different
dimensions, so an alarm on waits would have to name five of them."""


class Metric(StrEnum):
    """The name of a metric."""

    IMPORTS_ACCEPTED = "ImportsAccepted"
    IMPORTS_COMPLETED = "ImportsCompleted"
    IMPORTS_FAILED = "ImportsFailed"
    ROWS_CREATED = "RowsCreated"
    ROWS_UPDATED = "RowsUpdated"
    ROWS_SKIPPED = "RowsSkipped"
    ROWS_FAILED = "RowsFailed"
    SECONDS_TO_END = "SecondsToEnd"
    ROW_BATCHES_PUT_OFF = "RowBatchesPutOff"
    ROW_BATCHES_FAILED = "RowBatchesFailed"
    ROW_BATCHES_GIVEN_UP = "RowBatchesGivenUp"
    UPLOADS_GIVEN_UP = "UploadsGivenUp"
    THROTTLED_WAITS = "ThrottledWaits"
    OPEN_IMPORTS = "OpenImports"
    OLDEST_OPEN_IMPORT_SECONDS = "OldestOpenImportSeconds"
    UNREPORTED_ENDS = "UnreportedEnds"
    OLDEST_UNREPORTED_END_SECONDS = "OldestUnreportedEndSeconds"
    SWEEP_FAILURES = "SweepFailures"


_IN_SECONDS = {
    Metric.SECONDS_TO_END,
    Metric.OLDEST_OPEN_IMPORT_SECONDS,
    Metric.OLDEST_UNREPORTED_END_SECONDS,
}

E = TypeVar("E")
C = TypeVar("C")
R = TypeVar("R")


def unit_of(metric: Metric) -> MetricUnit:
    """A metric's unit: Seconds, or Count."""
    return MetricUnit.Seconds if metric in _IN_SECONDS else MetricUnit.Count


def emit(values: Mapping[Metric, float]) -> None:
    """Writes metrics as one line of the function's log, whatever its log level. The line has nothing else in it."""
    metrics = EphemeralMetrics(
        namespace=os.environ.get(NAMESPACE, _DEFAULT_NAMESPACE), service=_NO_DIMENSION
    )
    for metric, value in values.items():
        metrics.add_metric(metric.value, unit_of(metric), value)
    metrics.flush_metrics()


def counts_waits(handle: Callable[[E, C], R]) -> Callable[[E, C], R]:
    """Decorates a Lambda handler: if it waited for AWS, says how often, also if it fails."""

    @wraps(handle)
    def counting(event: E, context: C) -> R:
        try:
            return handle(event, context)
        finally:
            if waits := take_waits():
                emit({Metric.THROTTLED_WAITS: waits})

    return counting
