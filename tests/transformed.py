"""The template as AWS receives it: transformed by the SAM translator, and then with parameters, as it is deployed."""

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

_NO_VALUE = {"Ref": "AWS::NoValue"}


def transform() -> dict[str, Any]:
    """What SAM makes of the template, anew."""
    source = deepcopy(template.load())
    for resource in source["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            if name in resource["Properties"]:
                resource["Properties"][name] = CODE
    session = boto3.Session(region_name=REGION)
    # The policy map is for AWS's managed policies by name; the template uses none.
    translator = Translator({}, Parser(), boto_session=session)
    return translator.translate(source, {})  # type: ignore[no-any-return]


_transformed = cache(transform)


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


def deployed(**parameters: str) -> dict[str, Any]:
    """The transformed template as it is deployed with parameters, and with the defaults of the others.

    References to parameters have their values, conditions are decided, and what they leave out is left out. What
    depends on other resources or on the account is as in the template.
    """
    whole = load()
    assert parameters.keys() <= whole["Parameters"].keys()
    values = {
        name: _value(parameter["Type"], parameters.get(name, str(parameter["Default"])))
        for name, parameter in whole["Parameters"].items()
    }
    conditions = {
        name: _resolve(condition, values, {}) for name, condition in whole["Conditions"].items()
    }
    for section in ("Resources", "Outputs"):
        whole[section] = {
            name: _resolve(one, values, conditions)
            for name, one in whole[section].items()
            if "Condition" not in one or conditions[one["Condition"]]
        }
    return whole


def deployed_resources(kind: str, **parameters: str) -> dict[str, dict[str, Any]]:
    """Logical id to properties of every resource of a type, as it is deployed with parameters."""
    return {
        name: resource.get("Properties", {})
        for name, resource in deployed(**parameters)["Resources"].items()
        if resource["Type"] == kind
    }


def _value(kind: str, text: str) -> Any:
    match kind:
        case "Number":
            return int(text)
        case "CommaDelimitedList":
            return text.split(",")
        case _:
            return text


def _resolve(value: Any, values: dict[str, Any], conditions: dict[str, bool]) -> Any:
    """A part of the template with its parameters and conditions: _NO_VALUE for what is left out."""

    def resolve(part: Any) -> Any:
        return _resolve(part, values, conditions)

    match value:
        case {"Ref": name} if name in values:
            return values[name]
        case {"Fn::If": [condition, yes, no]}:
            return resolve(yes if conditions[condition] else no)
        case {"Fn::Equals": [left, right]}:
            return str(resolve(left)) == str(resolve(right))
        case {"Fn::Not": [condition]}:
            return not resolve(condition)
        case {"Fn::Join": [separator, parts]} if isinstance(resolve(parts), list):
            return separator.join(resolve(parts))
        case {"Fn::Sub": str(text)}:
            for name, given in values.items():
                text = text.replace(f"${{{name}}}", str(given))
            return {"Fn::Sub": text} if "${" in text else text
        case dict():
            if value == _NO_VALUE:
                return value
            resolved = {key: resolve(part) for key, part in value.items()}
            return {key: part for key, part in resolved.items() if part != _NO_VALUE}
        case list():
            return [part for part in map(resolve, value) if part != _NO_VALUE]
        case _:
            return value
