"""Builds for AWS Lambda, and deploys to the account and region of the AWS environment.

python -m local.deploy build [--runtime python3.13] [--architecture arm64]
python -m local.deploy deploy [--stack-name contact-imports] [--runtime python3.13] [--architecture arm64]
    [Parameter=value ...]
"""

from __future__ import annotations

import argparse
import os
import re
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local import sam
from local.deployed import outputs_of
from local.emulator import StackError, why
from local.sam import ARM64, BUILD, RUNTIME, STACK_NAME, X86_64

MAX_STACK_NAME_CHARACTERS = 27
"""The bucket's name, which has at most 63 (S3), ends with `-uploads-`, 12 digits of the account, `-` and the region,
of which the longest of AWS has 14."""

_STACK_NAME = re.compile(rf"[a-z][a-z0-9-]{{0,{MAX_STACK_NAME_CHARACTERS - 1}}}")


_OF_THE_BUILD = ("Runtime", "Architecture")
"""Parameters that the build needs too."""


def build(runtime: str, architecture: str) -> None:
    """Builds into the SAM CLI's default folder; raises StackError."""
    log = BUILD.parent / "build.log"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    print(f"Building for {runtime} on {architecture}", flush=True)
    sam.build(BUILD, runtime, architecture, log)


def deploy(stack_name: str, runtime: str, architecture: str | None, parameters: list[str]) -> None:
    """Builds and deploys, and prints the API's URL and the first steps.

    Without an architecture, a stack keeps the one that it has, and a new one gets the template's default. Raises StackError, BotoCoreError and ClientError.
    """
    if not _STACK_NAME.fullmatch(stack_name):
        raise StackError(
            f"{stack_name!r} cannot be the stack's name, which is part of its bucket's name. Use at most "
            f"{MAX_STACK_NAME_CHARACTERS} lower-case letters, digits and hyphens, with a letter first: STACK=contact-imports."
        )
    for name in _OF_THE_BUILD:
        if any(parameter.startswith(f"{name}=") for parameter in parameters):
            raise StackError(
                f"{name} is also a setting of the build. Set it outside of PARAMETERS: {name.upper()}=..."
            )
    account = boto3.client("sts").get_caller_identity()["Account"]
    region = boto3.session.Session().region_name
    print(f"Deploying {stack_name} to account {account} in {region}", flush=True)
    architecture = architecture or _deployed_architecture(stack_name) or ARM64
    build(runtime, architecture)
    sam.deploy(BUILD, stack_name, runtime, architecture, parameters, dict(os.environ), None)
    print(_first_steps(stack_name, outputs_of(boto3.client("cloudformation"), stack_name)))


def _deployed_architecture(stack_name: str) -> str | None:
    """The Architecture that a stack was deployed with; None if there is no such stack."""
    try:
        stack = boto3.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        # What CloudFormation answers about a stack that does not exist.
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}
    return parameters.get("Architecture")


def _first_steps(stack_name: str, outputs: dict[str, str]) -> str:
    stack = "" if stack_name == STACK_NAME else f" STACK={stack_name}"
    return f"""
Deployed. For the shell that uses it:

    export API_URL={outputs["ApiUrl"]}
    export UPLOADS_BUCKET={outputs["UploadsBucketName"]}
    export PROJECT_ID=acme
    export API_KEY=$(make -s key PROJECT=$PROJECT_ID{stack})

The first import:

    make sample ROWS=1000 SAMPLE=contacts.csv
    curl $API_URL/v1/contacts/imports -H "Authorization: Bearer $API_KEY" \\
      -F file=@contacts.csv -F projectId=$PROJECT_ID -F 'columnMap={{"email":"Email"}}'

docs/operations.md explains the rest: upgrades, troubleshooting, deleting the stack."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("build", "deploy"):
        command = commands.add_parser(name)
        command.add_argument("--runtime", default=RUNTIME)
        command.add_argument("--architecture", choices=(ARM64, X86_64))
        if name == "deploy":
            command.add_argument("--stack-name", default=STACK_NAME)
            command.add_argument("parameter", nargs="*", help="Name=value, of the template")
    arguments = parser.parse_args()
    try:
        if arguments.command == "build":
            build(arguments.runtime, arguments.architecture or ARM64)
        else:
            deploy(
                arguments.stack_name,
                arguments.runtime,
                arguments.architecture,
                arguments.parameter,
            )
    except (BotoCoreError, ClientError) as error:
        sys.exit(
            f"AWS answered: {error} Check the credentials and the region (AWS_PROFILE, AWS_REGION)."
        )
    except (StackError, OSError) as error:
        sys.exit(why(error))


if __name__ == "__main__":
    main()
