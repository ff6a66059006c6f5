"""Metrics, alarms, dashboard, queries and their documents name the same things."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pytest

from contact_imports.aws.metrics import NAMESPACE, Metric, unit_of
from contact_imports.aws.received_messages import seconds_put_off
from contact_imports.model.import_job import (
    PENDING_DEADLINE_SECONDS,
    REPORT_RETRY_SECONDS,
    REPORT_SECONDS,
)
from local.logs import line_of
from local.stack import ROOT
from tests.template import load, resources
from tests.transformed import deployed, deployed_resources

STACK = {"Ref": "AWS::StackName"}
STACK_TEXT = "${AWS::StackName}"
WEBHOOK = {"WebhookUrl": "https://crm.example.com", "WebhookSecret": "s" * 32}
ALARMS = resources("AWS::CloudWatch::Alarm")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

OF_AWS = {
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
    "AWS/ApiGateway": ({"4XXError", "5XXError", "Count", "Latency"}, {"ApiName", "Stage"}),
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    "AWS/Lambda": (
        {"AsyncEventAge", "ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"},
        {"FunctionName"},
    ),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    "AWS/SQS": (
        {
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
        },
        {"QueueName"},
    ),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    "AWS/DynamoDB": (
        {
            "ConsumedReadCapacityUnits",
            "ConsumedWriteCapacityUnits",
            "ReadThrottleEvents",
            "WriteThrottleEvents",
        },
        {"TableName"},
    ),
}
"""The metrics that the template may name, and the dimensions that each of them has."""

TYPES = {
    "FunctionName": "AWS::Serverless::Function",
    "QueueName": "AWS::SQS::Queue",
    "TableName": "AWS::DynamoDB::Table",
}


def dashboard(**parameters: str) -> dict[str, Any]:
    """The dashboard as CloudWatch gets it, with the names of resources for what is put in for them."""
    (properties,) = deployed_resources("AWS::CloudWatch::Dashboard", **parameters).values()
    text, more = properties["DashboardBody"]["Fn::Sub"]
    for name, value in more.items():
        text = text.replace(f"${{{name}}}", value if isinstance(value, str) else value["Fn::Sub"])
    body: dict[str, Any] = json.loads(text)
    return body


def graphs() -> list[dict[str, Any]]:
    return [one["properties"] for one in dashboard()["widgets"] if one["type"] == "metric"]


def lines() -> list[tuple[str, list[str]]]:
    """Namespace and the rest of each line of each graph, without its options."""
    found = []
    for graph in graphs():
        for line in graph["metrics"]:
            namespace, *rest = [part for part in line if not isinstance(part, dict)]
            found.append((namespace, rest))
    return found


def section(title: str) -> str:
    """The text of a section of docs/operations.md, from its heading to the next."""
    _, found, rest = OPERATIONS.partition(f"# {title}\n")
    assert found, f"docs/operations.md has no section {title!r}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def sent_by() -> dict[str, set[str]]:
    """The functions or jobs in whose code each metric is named outside of its definition."""
    found: dict[str, set[str]] = {metric.value: set() for metric in Metric}
    paths = [*ROOT.glob("functions/*/app.py"), *ROOT.glob("layers/*/contact_imports/jobs/*.py")]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=ast.Name(id="Metric"), attr=name):
                    found[Metric[name].value].add(path.parent.name)
    return found


def test_every_metric_is_sent_by_something() -> None:
    for name, senders in sent_by().items():
        assert senders or name == Metric.THROTTLED_WAITS, name
    # Every function may wait for AWS.
    for path in ROOT.glob("functions/*/app.py"):
        assert "\n@counts_waits\ndef lambda_handler(" in path.read_text()


def test_the_namespace_is_the_stacks_name() -> None:
    variables = load()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables[NAMESPACE] == STACK


def test_every_metric_is_in_the_table_of_metrics_with_its_unit_and_its_functions() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|[^|]+\| ([^|]+) \|$", section("Metrics"), re.M)
    assert {(name, unit) for name, unit, _ in rows} == {
        (metric.value, unit_of(metric).value) for metric in Metric
    }
    assert len(rows) == len(Metric)
    functions = {path.parent.name for path in ROOT.glob("functions/*/app.py")}
    for name, _, documented in rows:
        said = set(re.findall(r"`(\w+)`", documented))
        senders = sent_by()[name]
        if name == Metric.THROTTLED_WAITS:
            assert documented.strip() == "every function"
        elif "jobs" in senders:
            # By a job of several functions.
            assert senders - {"jobs"} < said <= functions
        else:
            assert said == senders


def test_the_price_of_the_metrics_is_stated() -> None:
    # https://aws.amazon.com/cloudwatch/pricing/: $0.30 for each of the first 10,000, without a free tier of ten.
    assert f"{len(Metric)} metrics" in section("Metrics")
    assert f"${len(Metric) * 0.3:.2f}" in section("Metrics")


def test_the_dashboard_shows_every_metric() -> None:
    own = {rest[0] for namespace, rest in lines() if namespace == STACK_TEXT}
    assert own == {metric.value for metric in Metric}
    # Without a dimension, as they are sent.
    assert all(len(rest) == 1 for namespace, rest in lines() if namespace == STACK_TEXT)


def test_the_dashboard_names_metrics_that_aws_has_of_resources_that_the_template_has() -> None:
    template = load()["Resources"]
    seen = set()
    for namespace, rest in lines():
        if namespace == STACK_TEXT:
            continue
        name, *dimensions = rest
        metrics, named = OF_AWS[namespace]
        assert name in metrics
        given = dict(zip(dimensions[::2], dimensions[1::2], strict=True))
        assert given.keys() == named
        for dimension, value in given.items():
            if dimension in TYPES:
                resource = re.fullmatch(r"\$\{(\w+)(\.QueueName)?\}", value)
                assert resource is not None
                assert template[resource[1]]["Type"] == TYPES[dimension]
                # A queue's Ref is its URL.
                assert bool(resource[2]) == (dimension == "QueueName")
            else:
                assert value == {"ApiName": STACK_TEXT, "Stage": "${ApiprodStage}"}[dimension]
        seen.add(namespace)
    assert seen == OF_AWS.keys()
    # Its name is SAM's: the title of the API that it makes.
    (api,) = deployed_resources("AWS::ApiGateway::RestApi").values()
    assert api["Body"]["info"]["title"] == STACK


def test_the_dashboard_goes_from_left_to_right_as_the_data_flows() -> None:
    widgets = dashboard()["widgets"]
    places: dict[int, tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    for widget in widgets:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24  # CloudWatch's grid
        taken |= cells
        title = widget["properties"]["title"]
        if step := re.match(r"(\d)\. ", title):
            places.setdefault(int(step[1]), (widget["y"], widget["x"]))
    assert list(places) == sorted(places) == list(range(1, 8))
    assert list(places.values()) == sorted(places.values())


@pytest.mark.parametrize("parameters", [{}, WEBHOOK])
def test_the_dashboard_shows_the_state_of_every_alarm(parameters: dict[str, str]) -> None:
    (shown,) = [one for one in dashboard(**parameters)["widgets"] if one["type"] == "alarm"]
    there = deployed_resources("AWS::CloudWatch::Alarm", **parameters)
    assert sorted(shown["properties"]["alarms"]) == sorted(f"${{{name}.Arn}}" for name in there)


def test_an_alarm_watches_a_metric_that_is_sent() -> None:
    own = {metric.value for metric in Metric}
    for alarm in ALARMS.values():
        dimensions = {one["Name"] for one in alarm.get("Dimensions", [])}
        if alarm["Namespace"] == STACK:
            assert alarm["MetricName"] in own
            assert not dimensions
        else:
            metrics, named = OF_AWS[alarm["Namespace"]]
            assert alarm["MetricName"] in metrics
            assert dimensions == named


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_in_a_sentence_what_it_means_and_where_to_read_on(name: str) -> None:
    text = ALARMS[name]["AlarmDescription"]
    meaning, found, _ = text.partition(f" See {name} in docs/operations.md.")
    assert found
    assert re.fullmatch(r"[A-Z][^.]+\.", meaning)


@pytest.mark.parametrize("name", ALARMS)
def test_every_alarm_has_a_section_in_the_runbook(name: str) -> None:
    assert section(name).strip()


def test_an_alarm_goes_off_after_everything_that_passes_by_itself() -> None:
    old = ALARMS["OldImportAlarm"]
    assert PENDING_DEADLINE_SECONDS < old["Threshold"] <= PENDING_DEADLINE_SECONDS + 3600
    report = ALARMS["OldReportAlarm"]
    assert report["Threshold"] == REPORT_RETRY_SECONDS
    assert report["Period"] * report["EvaluationPeriods"] >= REPORT_SECONDS
    age = ALARMS["RowQueueAgeAlarm"]
    queue = resources("AWS::SQS::Queue")["RowQueue"]
    assert age["Threshold"] < queue["MessageRetentionPeriod"]
    # The shortest time of throttling after which a batch is given up.
    tries = range(1, queue["RedrivePolicy"]["maxReceiveCount"] + 1)
    shortest = sum(min(seconds_put_off(n, passes=True) for _ in range(200)) for n in tries)
    assert age["Threshold"] + 1800 < shortest


def test_only_the_sweeps_silence_is_an_alarm() -> None:
    missing = {name: alarm["TreatMissingData"] for name, alarm in ALARMS.items()}
    assert {name for name, treated in missing.items() if treated == "breaching"} == {
        "SweepSilentAlarm"
    }
    silent = ALARMS["SweepSilentAlarm"]
    # Sent by every run, however little is open.
    assert (silent["Statistic"], silent["Threshold"], silent["ComparisonOperator"]) == (
        *("SampleCount", 1, "LessThanThreshold"),
    )
    assert set(missing.values()) == {"breaching", "notBreaching"}


def test_nothing_counts_lines_of_logs() -> None:
    # Metrics are sent whatever the log level is.
    assert resources("AWS::Logs::MetricFilter") == {}


def test_queries_read_the_logs_of_the_functions() -> None:
    queries = resources("AWS::Logs::QueryDefinition")
    assert {query["Name"]["Fn::Sub"].partition("/")[2] for query in queries.values()} == {
        *("what happened to an import", "slowest row batches", "failures by reason"),
    }
    functions = resources("AWS::Serverless::Function")
    all_logs = [function["LoggingConfig"]["LogGroup"] for function in functions.values()]
    for query in queries.values():
        assert query["LogGroupNames"] in (
            all_logs,
            [functions["RowBatchFunction"]["LoggingConfig"]["LogGroup"]],
        )
    assert queries["ImportQuery"]["LogGroupNames"] == all_logs
    assert 'import_id = "IMPORT_ID"' in queries["ImportQuery"]["QueryString"]
    batches = (ROOT / "functions" / "row_batch" / "app.py").read_text()
    for message in re.findall(r'message = "([^"]+)"', str(queries)):
        assert f'"{message}"' in batches


def test_queries_are_left_out_where_there_are_none() -> None:
    assert len(deployed_resources("AWS::Logs::QueryDefinition")) == 3
    assert deployed_resources("AWS::Logs::QueryDefinition", LogQueries="false") == {}
    assert "Dashboard" in deployed(LogQueries="false")["Resources"]


def test_a_line_of_metrics_is_short_in_the_local_log() -> None:
    line = {
        "_aws": {
            "Timestamp": 0,
            "CloudWatchMetrics": [
                {"Namespace": "n", "Dimensions": [[]], "Metrics": [{"Name": "A"}, {"Name": "B"}]}
            ],
        },
        "A": [2.0],
        "B": [1.5],
    }
    printed = line_of({"message": json.dumps(line), "timestamp": 0}, "ImportEnded")
    assert printed == "00:00:00.000 ImportEnded      METRICS A=2 B=1.5"
