"""What CloudFormation knows of a deployed stack."""

from __future__ import annotations

from typing import Any


def outputs_of(cloudformation: Any, stack_name: str) -> dict[str, str]:
    """A stack's outputs: key to value. Raises ClientError, if there is no such stack."""
    stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    return {out["OutputKey"]: out["OutputValue"] for out in stack.get("Outputs", [])}


def resources_of(cloudformation: Any, stack_name: str) -> dict[str, dict[str, str]]:
    """A stack's resources: type to logical id to physical id. Raises ClientError, if there is no such stack."""
    found: dict[str, dict[str, str]] = {}
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_name)
    for page in pages:
        for resource in page["StackResourceSummaries"]:
            of_type = found.setdefault(resource["ResourceType"], {})
            of_type[resource["LogicalResourceId"]] = resource.get("PhysicalResourceId", "")
    return found
