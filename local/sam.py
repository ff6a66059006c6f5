"""The SAM CLI of the set-up: builds the template and deploys it, onto the embedded AWS and onto AWS alike."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from local.emulator import ROOT, TOOLS, StackError, clean_environment
from local.set_up import likely_cause

BUILD = ROOT / ".aws-sam" / "build"
"""Where `make build` builds, and the SAM CLI's own commands look."""
STACK_NAME = "contact-imports"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The Lambda runtime that this Python can build the layer for."""
ARM64, X86_64 = "arm64", "x86_64"
ARCHITECTURE = ARM64 if platform.machine() in ("aarch64", "arm64") else X86_64
"""This machine's, as Lambda names it: what is built for another one cannot be imported here."""

_SAM = TOOLS / "sam" / "bin" / "sam"
_SHOWN_ERROR_CHARACTERS = 2000


def build(folder: Path, runtime: str, architecture: str, log: Path) -> None:
    """Builds functions and layer for a Lambda runtime and architecture into a folder, with bytecode; raises StackError.

    The SAM CLI gets compiled packages as wheels for the architecture (`Metadata.BuildArchitecture` of the layer), and
    bytecode is the same on all. Lambda cannot keep what it compiles: without bytecode in the layer, every cold start
    would compile it anew.
    """
    environment = {**clean_environment(), "PATH": _path(), "AWS_DEFAULT_REGION": "us-east-1"}
    python = shutil.which(runtime, path=environment["PATH"])
    if python is None:
        raise StackError(
            f"The layer needs {runtime} to be built, which is not on the PATH. Install it, or build for this "
            f"Python: RUNTIME={RUNTIME}."
        )
    template = ("--template-file", str(ROOT / "template.yaml"))
    parameters = ("--parameter-overrides", f"Runtime={runtime}", f"Architecture={architecture}")
    command = ("build", *template, "--build-dir", str(folder), *parameters)
    _run([_SAM, *command], environment, log)
    # unchecked-hash: packing the files changes their times.
    compiled = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", folder)
    _run([python, *compiled], environment, log)


def deploy(
    folder: Path,
    stack_name: str,
    runtime: str,
    architecture: str,
    parameters: list[str],
    environment: dict[str, str],
    log: Path | None,
) -> None:
    """Deploys what was built for a runtime and an architecture, without a question; raises StackError.

    `parameters` are Name=value. The SAM CLI keeps the values of others that the stack has.

    `environment` says which AWS. Its progress goes to the log file, or to the terminal where there is none.
    """
    command = (
        "deploy",
        *("--template-file", str(folder / "template.yaml")),
        *("--stack-name", stack_name),
        "--resolve-s3",
        *("--capabilities", "CAPABILITY_IAM"),
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
        "--parameter-overrides",
        *(f"Runtime={runtime}", f"Architecture={architecture}", *map(_quoted, parameters)),
    )
    _run([_SAM, *command], environment, log)


def _quoted(parameter: str) -> str:
    """Name="value", since the SAM CLI takes no empty value without quotes; raises StackError."""
    name, equals, value = parameter.partition("=")
    if not equals:
        raise StackError(f"{name!r} is not a parameter with its value. Write Name=value.")
    return f'{name}="{value}"'


def _path() -> str:
    """This environment's own Python first: the SAM CLI takes the first one of the PATH that has pip."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _run(command: list[str | Path], environment: dict[str, str], log: Path | None) -> None:
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={**environment, "SAM_CLI_TELEMETRY": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if log else None,
        stderr=subprocess.STDOUT if log else None,
        text=True,
        check=False,
    )
    name = f"{Path(command[0]).name} {command[1]}"
    if log:
        with log.open("a") as file:
            file.write(result.stdout)
    if result.returncode:
        said = result.stdout[-_SHOWN_ERROR_CHARACTERS:] if log else ""
        raise StackError(
            " ".join(
                filter(None, (f"{name} failed.", likely_cause(said), f"See {log}." if log else ""))
            )
            + (f"\n{said}" if log and not likely_cause(said) else "")
        )
