"""The commands of the documents exist: AWS's operations with their options, resources, targets, files, log messages.

Whether they do what the text says was not tried on AWS.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from local.stack import ROOT
from tests import transformed
from tests.template import load, resources

DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "bench/*.md") for path in ROOT.glob(pattern)
)
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
ALARMS = RUNBOOK.partition("\n## Notice trouble\n")[2].partition("\n## ")[0]

GLOBAL_OPTIONS = {"query", "output", "region", "profile", "no-cli-pager"}
PAGING_OPTIONS = {"max-items", "page-size", "starting-token"}
HIGH_LEVEL = {("s3", "cp"), ("s3", "ls")}
"""Commands of the AWS CLI that are no operations of AWS."""

FILLED_IN = re.compile(r"[A-Z][A-Z_]+|.*(\$|SUBSTITUTION|file://).*", re.DOTALL)
"""What the reader or the shell puts something else for."""
KEYWORDS = {"$", "while", "do", "done", "if", "then", "{", "}", "!"}
HELPERS = {"id_of": 1, "arn_of": 1, "look": 1, "log": 1}
"""The runbook's own commands, and their argument that is a resource."""


def blocks_of(text: str) -> Iterator[str]:
    """Each block of commands of a document, and each command within its prose."""
    for fenced in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield "".join(re.findall(r"^\$ ((?:.*\\\n)*.*\n)", fenced, re.MULTILINE))
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"(?:^ {4}.*\n)+", rest, re.MULTILINE)
    prose = re.sub(r"^ {4}.*$", "", rest, flags=re.MULTILINE)
    yield from (span.replace("\n", " ") for span in re.findall(r"`(aws [^`]+)`", prose))


def commands_of(text: str) -> Iterator[list[str]]:
    """Every command of a document as words. A command within another, `$(...)`, is yielded too, and is one word there."""
    for block in blocks_of(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield from commands_in(line)


def commands_in(line: str) -> Iterator[list[str]]:
    """The commands of one line."""
    while (start := line.find("$(")) >= 0:
        depth = 0
        for end in range(start + 1, len(line)):
            depth += (line[end] == "(") - (line[end] == ")")
            if depth == 0:
                break
        else:
            raise AssertionError(f"$( is not closed: {line}")
        yield from commands_in(line[start + 2 : end])
        line = f"{line[:start]}SUBSTITUTION{line[end + 1 :]}"
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&()<>")
    lexer.whitespace_split = True
    for is_separator, group in groupby(lexer, lambda word: bool(set(word) <= set(";|&()"))):
        words = list(group)
        while words and (words[0] in KEYWORDS or re.match(r"\w+=", words[0])):
            words.pop(0)
        if words and not is_separator:
            yield words


def calls_of(text: str, program: str) -> list[list[str]]:
    """The words of every command that begins with a program's name, without that."""
    return [words[1:] for words in commands_of(text) if words[0] == program]


@cache
def operations(service: str) -> dict[str, OperationModel]:
    """A service's operations, named as in the AWS CLI."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name, "-"): model.operation_model(name) for name in model.operation_names}


@cache
def waiters(service: str) -> dict[str, str]:
    """A service's waiters, named as in the AWS CLI, and the operations that they call."""
    loaded = botocore.session.get_session().get_waiter_model(service)
    return {
        xform_name(name, "-"): xform_name(loaded.get_waiter(name).operation, "-")
        for name in loaded.waiter_names
    }


def faults_of(words: list[str]) -> list[str]:
    """What is wrong with a command of the AWS CLI, given without its first word."""
    service, operation, *rest = words
    service = {"s3api": "s3"}.get(service, service)
    if (service, operation) in HIGH_LEVEL:
        return []
    try:
        known = operations(service)
        if operation == "wait":
            operation, *rest = waiters(service).get(rest[0], ""), *rest[1:]
    except UnknownServiceError:
        return [f"no service {service}"]
    if operation not in known:
        return [f"no operation {service} {operation}"]
    shape = known[operation].input_shape
    assert shape is not None
    members = {xform_name(name, "-"): member for name, member in shape.members.items()}
    required = {xform_name(name, "-") for name in shape.required_members}
    faults = []
    named = set()
    for option, values in options_of(rest):
        name = option.removeprefix("no-") if option not in members else option
        named.add(name)
        if name in members:
            faults += [f"--{option}: {fault}" for fault in value_faults(members[name], values)]
        elif option not in GLOBAL_OPTIONS | PAGING_OPTIONS:
            faults.append(f"no option --{option}")
    # A span of prose may name an operation without its options.
    faults += [f"--{name} is missing" for name in sorted(required - named) if rest]
    return faults


def options_of(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option with its values. What follows a redirection is none."""
    before_redirection = words[: next((i for i, w in enumerate(words) if w in (">", "<")), None)]
    option, values = "", list[str]()
    for word in [*before_redirection, "--"]:
        if word.startswith("--"):
            if option:
                yield option, values
            option, values = word.removeprefix("--"), []
        else:
            assert option, f"{word} belongs to no option: {words}"
            values.append(word)


def value_faults(shape: Shape, values: list[str]) -> Iterator[str]:
    """What is wrong with an option's values: one value, several of a list, shorthand (A=b,C=d), or JSON."""
    if shape.type_name == "boolean":
        if values:
            yield "takes no value"
    elif not values:
        yield "has no value"
    elif isinstance(shape, ListShape) and not values[0].startswith("["):
        for value in values:
            yield from value_faults(shape.member, [value])
    elif len(values) > 1:
        yield f"one value, not {values}"
    elif values[0].startswith(("{", "[")):
        yield from json_faults(shape, json.loads(values[0]))
    elif isinstance(shape, StructureShape | MapShape) and not FILLED_IN.fullmatch(values[0]):
        pairs = dict(pair.split("=", 1) for pair in re.split(r",(?=\w+=)", values[0]))
        yield from json_faults(shape, pairs)
    else:
        yield from json_faults(shape, values[0])


def json_faults(shape: Shape, value: Any) -> Iterator[str]:
    """What is wrong with a value. A value that the shell makes, or a name in capitals for a reader to replace, is right
    wherever AWS takes any text."""
    if isinstance(shape, StringShape) and shape.enum:
        if value not in shape.enum and "$" not in value:
            yield f"{value} is none of {shape.enum}"
    elif isinstance(value, str) and FILLED_IN.fullmatch(value):
        return
    elif isinstance(shape, StructureShape):
        for name, member in value.items():
            if name in shape.members:
                yield from json_faults(shape.members[name], member)
            else:
                yield f"no member {name}"
        yield from (f"no {name}" for name in shape.required_members if name not in value)
    elif isinstance(shape, MapShape):
        for member in value.values():
            yield from json_faults(shape.value, member)
    elif isinstance(shape, ListShape):
        for member in value:
            yield from json_faults(shape.member, member)
    elif shape.type_name in ("integer", "long", "double") and not re.fullmatch(r"[\d.]+", value):
        yield f"{value} is no number"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_aws_has_the_operations_and_options_of_the_commands(document: Path) -> None:
    for words in calls_of(document.read_text(), "aws"):
        assert faults_of(words) == [], " ".join(words)


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("aws sqz list-queues", "no service sqz"),
        ("aws sqs list-queue", "no operation sqs list-queue"),
        ("aws dynamodb wait table-gone --table-name x", "no operation dynamodb "),
        ("aws dynamodb delete-table --table x", "no option --table"),
        ("x=$(aws sqs purge-queue --url x)", "no option --url"),
        ("f() { aws sqs purge-queue --url $1; }", "no option --url"),
        ("aws cloudwatch describe-alarms --state-value ON", "--state-value: ON is none of"),
        ("aws dynamodb tag-resource --resource-arn x --tags Name=a", "--tags: no member Name"),
        ("aws dynamodb delete-table --table-name", "--table-name: has no value"),
        ("aws lambda update-event-source-mapping --uuid x --enabled true", "--enabled: takes no"),
    ],
)
def test_a_wrong_command_is_seen(command: str, fault: str) -> None:
    (words,) = calls_of(f"    {command}\n", "aws")
    assert any(found.startswith(fault) for found in faults_of(words))


def test_the_commands_of_the_runbook_are_a_shells() -> None:
    for block in re.findall(r"(?:^ {4}.*\n)+", RUNBOOK, re.MULTILINE):
        checked = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True)
        assert checked.returncode == 0, f"{checked.stderr}{block}"


def test_the_runbook_names_what_the_template_has() -> None:
    known = transformed.load()
    used = [
        words[place]
        for words in commands_of(RUNBOOK)
        for place in [HELPERS.get(words[0], 0)]
        if place and len(words) > place and not words[place].startswith("$")
    ]
    assert len(used) > len(HELPERS)
    assert set(used) <= known["Resources"].keys()


def test_the_runbooks_own_commands_are_defined_in_it() -> None:
    defined = set(re.findall(r"^ {4}(\w+)\(\) \{", RUNBOOK, re.MULTILINE))
    assert defined >= HELPERS.keys()
    programs = {"aws", "make", "sed", "curl", "git", "basename", "date", "openssl", "grep"}
    for words in commands_of(RUNBOOK):
        installed = words[0].startswith((".venv/bin/", ".local/tools/"))
        assert installed or words[0] in defined | programs, words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_outputs_and_queues_of_the_documents_are_in_the_template(document: Path) -> None:
    template = load()
    named = set(re.findall(r"`(\w+(?:Table|Bucket)Name|\w+Queue(?:Url)?)`", document.read_text()))
    assert named <= template["Resources"].keys() | template["Outputs"].keys()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_modules_of_the_documents_exist(document: Path) -> None:
    text = document.read_text()
    for module in re.findall(r"python -m ((?:local|tests|bench)[.\w]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), module
    for name in re.findall(r"(?<![\w./-])((?:tests|local|bench|functions)/[\w/.-]+\.\w+)", text):
        assert (ROOT / name).exists() or name.endswith("X.Y.Z"), name


def test_the_logs_have_the_messages_that_the_runbook_looks_for() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "functions").glob("*/app.py"))
    of_lambda = {"Task timed out", "ERROR"}
    searched = {words[2] for words in calls_of_helper("log")} - of_lambda
    assert len(searched) > len(of_lambda)
    for message in searched:
        assert f'"{message}"' in sources, message


def calls_of_helper(name: str) -> list[list[str]]:
    return [words for words in commands_of(RUNBOOK) if words[0] == name and len(words) > 1]


def test_every_section_of_an_alarm_says_what_to_do() -> None:
    for heading, section in re.findall(r"^### (\w+Alarm)\n(.*?)(?=^###? |\Z)", ALARMS, re.M | re.S):
        for part in ("**What it means.**", "**Look.**", "**Do.**", "**It is over**"):
            assert part in section, heading
        assert any(True for _ in blocks_of(section)), heading


def test_every_alarm_has_a_section_and_every_section_an_alarm() -> None:
    sections = re.findall(r"^### (\w+Alarm)$", ALARMS, re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == resources("AWS::CloudWatch::Alarm").keys()


def test_the_stacks_metrics_that_the_runbook_reads_are_those_of_an_alarm() -> None:
    named = {words[1] for words in calls_of_helper("own")}
    assert named <= {alarm["MetricName"] for alarm in resources("AWS::CloudWatch::Alarm").values()}


@pytest.mark.parametrize(
    ("kind", "noun"),
    [
        ("AWS::Serverless::Function", "Lambda functions"),
        ("AWS::DynamoDB::Table", "DynamoDB tables"),
        ("AWS::SQS::Queue", "SQS queues"),
        ("AWS::CloudWatch::Alarm", "alarms"),
        ("AWS::Logs::QueryDefinition", "saved queries"),
    ],
)
def test_the_readme_counts_what_a_stack_has_by_default(kind: str, noun: str) -> None:
    default = transformed.deployed()["Resources"]
    count = sum(
        resource["Type"] == kind.replace("Serverless", "Lambda") for resource in default.values()
    )
    numbers = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    numbers += ["eleven", "twelve", "thirteen", "fourteen", "fifteen"]
    assert f" {numbers[count]} {noun}" in re.sub(r"\s+", " ", (ROOT / "README.md").read_text())
