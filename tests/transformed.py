"""The template as AWS receives it: transformed by the SAM translator."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from tests import template

CODE = "s3://artifacts/code.zip"
"""`sam deploy` uploads folders before the transformation."""

REGION = "us-east-1"


@cache
def _transformed() -> dict[str, Any]:
    source = deepcopy(template.load())
    for resource in source["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            if name in resource["Properties"]:
                resource["Properties"][name] = CODE
    session = boto3.Session(region_name=REGION)
    # The policy map is for AWS's managed policies by name; the template uses none.
    translator = Translator({}, Parser(), boto_session=session)
    return translator.translate(source, {})  # type: ignore[no-any-return]


def load() -> dict[str, Any]:
    """A copy of the transformed template."""
    return deepcopy(_transformed())


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Logical id to properties of every resource of a type, after the transformation."""
    return {
        name: resource.get("Properties", {})
        for name, resource in load()["Resources"].items()
        if resource["Type"] == kind
    }
