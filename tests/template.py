"""template.yaml as data, and its resources made one by one, so that tests cannot drift from it."""

from __future__ import annotations

from typing import Any

import yaml

from local.stack import ROOT, LocalStack

QUEUE_TEXT_ATTRIBUTES = ("VisibilityTimeout", "MessageRetentionPeriod")


class _Loader(yaml.SafeLoader):
    pass


def _function(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    name = suffix if suffix == "Ref" else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".") if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}  # type: ignore[arg-type]


_Loader.add_multi_constructor("!", _function)


def load() -> dict[str, Any]:
    """The template, with !Ref and the like in their long forms."""
    return yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # type: ignore[no-any-return]  # noqa: S506


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Logical id to properties of every resource of a type."""
    return {
        name: resource["Properties"]
        for name, resource in load()["Resources"].items()
        if resource["Type"] == kind
    }


def create_tables(stack: LocalStack) -> dict[str, str]:
    """Makes the template's tables; logical id to table name."""
    dynamodb = stack.client("dynamodb")
    taken = (
        "AttributeDefinitions",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "KeySchema",
    )
    for name, properties in resources("AWS::DynamoDB::Table").items():
        known = {key: value for key, value in properties.items() if key in taken}
        dynamodb.create_table(TableName=name, **known)
    return {name: name for name in resources("AWS::DynamoDB::Table")}


def create_queues(stack: LocalStack) -> dict[str, str]:
    """Makes the template's queues, without redrive: tests deliver messages themselves."""
    sqs = stack.client("sqs")
    urls = {}
    for name, properties in resources("AWS::SQS::Queue").items():
        fifo = bool(properties.get("FifoQueue"))
        attributes = {key: str(properties[key]) for key in QUEUE_TEXT_ATTRIBUTES}
        if fifo:
            attributes |= {
                "FifoQueue": "true",
                "DeduplicationScope": properties["DeduplicationScope"],
                "FifoThroughputLimit": properties["FifoThroughputLimit"],
            }
        created = sqs.create_queue(QueueName=name + ".fifo" * fifo, Attributes=attributes)
        urls[name] = created["QueueUrl"]
    return urls
