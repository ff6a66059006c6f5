"""Keeps a stack running on an embedded AWS.

python -m local.up up      start, deploy, make a key, write STATE/env; returns while the stack keeps running
python -m local.up down    stop it, and delete its data
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from pathlib import Path

import yaml
from rich.console import Console

from local.emulator import ROOT, TOOLS, StackError, signals_end_this_process, why
from local.sam import ARCHITECTURE, RUNTIME, STACK_NAME
from local.stack import PROJECT_ID, LocalStack
from local.stages import bring_up

DEFAULT_STATE = ROOT / ".local"
DEMO_STATE = DEFAULT_STATE / "demo"


def up(stack: LocalStack, container_host: str) -> None:
    """Brings a stack up and leaves it running.

    Raises StackError and OSError if it fails; then nothing is left running.
    """
    if stack.is_running():
        print(_already_up(stack))
        return
    _env(stack).unlink(missing_ok=True)
    with signals_end_this_process():
        try:
            bring_up(Console(), stack)
            write_env(stack, stack.make_key())
            write_sam_local(stack, container_host)
        except BaseException:
            stack.stop()
            raise
    print(
        f"The stack is up. In every shell that uses it:\n\n    source {shown(_env(stack))}\n\n"
        f"{_make('down', stack)} stops it and deletes its data: contacts, imports and API keys."
    )


def down(state: Path) -> None:
    """Stops the stack of a folder, and for the default folder the demo's too; prints which stacks still run."""
    for folder in (state, DEMO_STATE) if state == DEFAULT_STATE else (state,):
        stack = LocalStack(0, state=folder)
        running = stack.stop()
        if running:
            stack.forget()
            print(f"Stopped the stack of {shown(folder)} and deleted its data.")
        elif folder == state:
            print(f"No stack is running in {shown(folder)}.")
        if not stack.is_running():
            for leftover in (_env(stack), stack.state / "sam-env.json", stack.state / "build.toml"):
                leftover.unlink(missing_ok=True)
            shutil.rmtree(stack.state / "bin", ignore_errors=True)
    for pid_file in sorted(DEFAULT_STATE.glob("*/ministack.pid")):
        other = LocalStack(0, state=pid_file.parent)
        if other.is_running():
            print(f"Still running: {shown(other.state)}. {_make('down', other)} stops it.")


def write_env(stack: LocalStack, api_key: str) -> Path:
    """Writes the `export` lines that the README's commands need; returns the file.

    `aws` becomes the one of the set-up: before 2.13 (1.29.0 of version 1) the AWS CLI ignores AWS_ENDPOINT_URL,
    and goes to AWS itself.
    """
    values = {
        **stack.aws_environment,
        "API_URL": stack.api_url,
        "API_KEY": api_key,
        "PROJECT_ID": PROJECT_ID,
        "UPLOADS_BUCKET": stack.outputs["UploadsBucketName"],
        "CONTACTS_TABLE": stack.outputs["ContactsTableName"],
        "IMPORTS_TABLE": stack.outputs["ImportsTableName"],
        "ROW_QUEUE_URL": stack.outputs["RowQueueUrl"],
    }
    commands = stack.state / "bin"
    commands.mkdir(exist_ok=True)
    aws = commands / "aws"
    aws.unlink(missing_ok=True)
    aws.symlink_to(TOOLS / "aws" / "bin" / "aws")
    lines = [f"export {name}='{value}'\n" for name, value in values.items()]
    lines.append(f"export PATH='{commands}':\"$PATH\"\n")
    path = _env(stack)
    path.touch(mode=0o600)
    path.write_text("".join(lines))
    return path


def write_sam_local(stack: LocalStack, container_host: str) -> None:
    """Writes what `sam local invoke` needs to run the built functions against this stack.

    It passes on only variables that a template declares, so it gets a copy that declares
    AWS_ENDPOINT_URL. `container_host` is this machine as a container sees it.
    """
    template = yaml.safe_load((stack.build_folder / "template.yaml").read_text())
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    variables["AWS_ENDPOINT_URL"] = ""
    template["Parameters"]["Runtime"]["Default"] = RUNTIME
    template["Parameters"]["Architecture"]["Default"] = ARCHITECTURE
    (stack.build_folder / "sam-local.yaml").write_text(yaml.safe_dump(template, sort_keys=False))
    functions = stack.client("lambda").get_paginator("list_functions").paginate()
    environment = {}
    for function in (item for page in functions for item in page["Functions"]):
        logical_id = function["FunctionName"].removeprefix(f"{STACK_NAME}-").rsplit("-", 1)[0]
        environment[logical_id] = {
            **function["Environment"]["Variables"],
            "AWS_ENDPOINT_URL": f"http://{container_host}:{stack.port}",
        }
    (stack.state / "sam-env.json").write_text(json.dumps(environment, indent=2) + "\n")


def _env(stack: LocalStack) -> Path:
    return stack.state / "env"


def shown(path: Path) -> str:
    """A path as a person types it here: relative in this folder, absolute elsewhere."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _make(target: str, stack: LocalStack) -> str:
    """The command for this stack, as a person types it."""
    state = "" if stack.state == DEFAULT_STATE else f" STATE={shown(stack.state)}"
    return f"`make {target}{state}`"


def _already_up(stack: LocalStack) -> str:
    """The message if the folder's stack is up; raises StackError if its address is not the requested one."""
    where = shown(stack.state)
    env = _env(stack)
    found = re.search(r"AWS_ENDPOINT_URL='(.*)'", env.read_text()) if env.exists() else None
    if found is None:
        raise StackError(
            f"The stack of {where} is being started, or its start was broken off. Wait for it, or end it: "
            f"{_make('down', stack)}."
        )
    if found[1] != stack.endpoint:
        raise StackError(
            f"The stack of {where} is already up, at {found[1]}. A second one needs a folder of its own: "
            f"`make up PORT={stack.port} STATE={shown(DEFAULT_STATE / 'second')}`."
        )
    return (
        f"The stack of {where} is already up, at {found[1]}. In every shell that uses it:\n\n"
        f"    source {shown(env)}\n\n{_make('down', stack)} stops it and deletes its data."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=("up", "down"))
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE)
    parser.add_argument(
        "--container-host",
        default=os.environ.get("SAM_LOCAL_HOST_IP", "host.docker.internal"),
        help="this machine as a container sees it, for sam local invoke",
    )
    arguments = parser.parse_args()
    state = arguments.state.resolve()
    try:
        if arguments.command == "down":
            down(state)
        else:
            up(
                LocalStack(arguments.port, arguments.host, state, detached=True),
                arguments.container_host,
            )
    except (StackError, OSError) as error:
        sys.exit(why(error))


if __name__ == "__main__":
    main()
