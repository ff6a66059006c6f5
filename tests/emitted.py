"""Metrics as CloudWatch reads them from what a function prints."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, NamedTuple

import pytest


class Emitted(NamedTuple):
    """One line of the embedded metric format: its namespace, the unit of each metric, and its values."""

    namespace: str
    units: dict[str, str]
    values: dict[str, list[float]]


def read(text: str) -> list[Emitted]:
    """The lines with metrics in what was printed. A line has nothing but metrics, and no dimension.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    return [_read(json.loads(line)) for line in text.splitlines() if '"_aws"' in line]


def _read(line: dict[str, Any]) -> Emitted:
    about = line.pop("_aws")
    assert about.keys() == {"Timestamp", "CloudWatchMetrics"}
    (directive,) = about["CloudWatchMetrics"]
    assert directive.keys() == {"Namespace", "Dimensions", "Metrics"}
    assert directive["Dimensions"] == [[]]
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units.keys() == line.keys()
    assert all(isinstance(value, float) for values in line.values() for value in values)
    return Emitted(directive["Namespace"], units, line)


def values(capsys: pytest.CaptureFixture[str]) -> dict[str, list[float]]:
    """All values of each metric that was sent since this was called last."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in read(capsys.readouterr().out):
        for name, sent in one.values.items():
            found[name] += sent
    return dict(found)
