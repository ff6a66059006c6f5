"""The embedded AWS (ministack), with the real template built and deployed onto it by the SAM CLI.

python -m local.stack up      start, deploy, make a key, write STATE/env, keep running
python -m local.stack down    stop what `up` started
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import requests
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "layers" / "contact_imports"))

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope  # noqa: E402

TOOLS = ROOT / ".local" / "tools"
BUILD = ROOT / ".aws-sam" / "build"
STACK_NAME = "contact-imports"
PROJECT_ID = "demo"
REGION = "us-east-1"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"

_START_SECONDS = 60
_STOP_SECONDS = 10
_ARTIFACTS_BUCKET = "sam-artifacts"


class StackError(Exception):
    """The local stack could not do what was asked; the message says what to look at."""


@dataclass
class LocalStack:
    """One embedded AWS: `port` on `host`, its files under `state`. `settings` are ministack's own."""

    port: int
    host: str = "127.0.0.1"
    state: Path = ROOT / ".local" / "stack"
    settings: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        """Where AWS is, for a client on this machine."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104
        return f"{'https' if self.ca_file else 'http'}://{host}:{self.port}"

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust; None where it does not speak TLS (`settings` decides: USE_SSL)."""
        if self.settings.get("USE_SSL") != "1":
            return None
        return self.state / "tmp" / "ministack-tls" / "server.crt"

    @property
    def api_url(self) -> str:
        """Where the API is; its own host name does not resolve everywhere."""
        return f"{self.endpoint}/restapis/{self.outputs['ApiId']}/prod/_user_request_"

    @property
    def aws_environment(self) -> dict[str, str]:
        """What a process needs in its environment to use this AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            **({"AWS_CA_BUNDLE": str(self.ca_file)} if self.ca_file else {}),
        }

    @property
    def _pid_file(self) -> Path:
        return self.state / "ministack.pid"

    @property
    def _log_file(self) -> Path:
        return self.state / "ministack.log"

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of this AWS."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.aws_environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.aws_environment["AWS_SECRET_ACCESS_KEY"],
            verify=str(self.ca_file) if self.ca_file else None,
            **options,
        )

    def start(self) -> None:
        """Starts an empty AWS and waits until it answers; raises StackError where it does not."""
        if self._answers():
            raise StackError(f"Something answers at {self.endpoint} already. Choose another PORT.")
        for folder in ("tmp", "data", "s3"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)
        environment = {
            **_clean_environment(),
            "BIND_HOST": self.host,
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": str(self.state / "tmp"),
            "STATE_DIR": str(self.state / "data"),
            "S3_DATA_DIR": str(self.state / "s3"),
            # Functions use 127.0.0.1 unless told otherwise; with TLS, this would keep them from trusting it.
            **({} if self.ca_file else {"AWS_ENDPOINT_URL": self.endpoint}),
            **self.settings,
        }
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [TOOLS / "ministack" / "bin" / "python", "-m", "ministack"],
                cwd=self.state,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._pid_file.write_text(str(self._process.pid))
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StackError(f"The embedded AWS did not start. See {self._log_file}.")
            time.sleep(0.1)

    def stop(self) -> bool:
        """Stops it with everything it started; False where nothing was running."""
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return False
        self._pid_file.unlink()
        if not _is_ministack(pid):
            return False
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while _group_lives(pid):
            if self._process is not None:
                self._process.poll()  # so that it does not stay as a zombie
            if time.monotonic() > deadline:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            time.sleep(0.05)
        return True

    def build(self) -> None:
        """Builds functions and layer for this machine's Python, as `make build` does for a Lambda runtime."""
        self._sam("build", "--template-file", str(ROOT / "template.yaml"))
        compile_all = (sys.executable, "-m", "compileall", "-q")
        subprocess.run([*compile_all, "--invalidation-mode", "unchecked-hash", BUILD], check=True)

    def deploy(self) -> None:
        """Deploys what was built with `sam deploy`, and reads the stack's outputs."""
        self.client("s3").create_bucket(Bucket=_ARTIFACTS_BUCKET)
        self._sam(
            "deploy",
            *("--template-file", str(BUILD / "template.yaml")),
            *("--stack-name", STACK_NAME),
            *("--s3-bucket", _ARTIFACTS_BUCKET),
            *("--capabilities", "CAPABILITY_IAM"),
            "--no-confirm-changeset",
        )
        stack = self.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        self.outputs = {out["OutputKey"]: out["OutputValue"] for out in stack["Outputs"]}

    def make_key(self, *scopes: Scope, projects: tuple[str, ...] = (PROJECT_ID,)) -> str:
        """A new API key's text; with every scope where none is named."""
        keys = ApiKeyTable(self.client("dynamodb"), self.outputs["ApiKeysTableName"])
        return keys.create(scopes or tuple(Scope), projects, datetime.now(UTC))

    def _answers(self) -> bool:
        if self.ca_file and not self.ca_file.exists():
            return False
        try:
            health = f"{self.endpoint}/_ministack/health"
            return requests.get(
                health, timeout=1, verify=str(self.ca_file) if self.ca_file else True
            ).ok
        except requests.RequestException:
            return False

    def _sam(self, command: str, *arguments: str) -> None:
        result = subprocess.run(
            [
                *(TOOLS / "sam" / "bin" / "sam", command),
                *arguments,
                *("--parameter-overrides", f"Runtime={RUNTIME}"),
            ],
            cwd=ROOT,
            env={**_clean_environment(), **self.aws_environment, "SAM_CLI_TELEMETRY": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.state.mkdir(parents=True, exist_ok=True)
        log = self.state / f"sam-{command}.log"
        log.write_text(result.stdout + result.stderr)
        if result.returncode:
            raise StackError(f"sam {command} failed. See {log}:\n{result.stderr[-2000:]}")


def free_port() -> int:
    """A port that nothing on loopback listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_env(stack: LocalStack, api_key: str) -> Path:
    """Writes the `export` lines that the README's commands need; returns the file."""
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
    path = stack.state / "env"
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}='{value}'\n" for name, value in values.items()))
    return path


def write_sam_local(stack: LocalStack, container_host: str) -> None:
    """Writes what `sam local invoke` needs to run the built functions against this stack.

    It passes on only variables that a template declares, so it gets a copy that declares
    AWS_ENDPOINT_URL. `container_host` is this machine as a container sees it.
    """
    template = yaml.safe_load((BUILD / "template.yaml").read_text())
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    variables["AWS_ENDPOINT_URL"] = ""
    template["Parameters"]["Runtime"]["Default"] = RUNTIME
    (BUILD / "sam-local.yaml").write_text(yaml.safe_dump(template, sort_keys=False))
    functions = stack.client("lambda").get_paginator("list_functions").paginate()
    environment = {}
    for function in (item for page in functions for item in page["Functions"]):
        logical_id = function["FunctionName"].removeprefix(f"{STACK_NAME}-").rsplit("-", 1)[0]
        environment[logical_id] = {
            **function["Environment"]["Variables"],
            "AWS_ENDPOINT_URL": f"http://{container_host}:{stack.port}",
        }
    (stack.state / "sam-env.json").write_text(json.dumps(environment, indent=2) + "\n")


def _is_ministack(pid: int) -> bool:
    """Whether the process is ours: a pid file can outlive its process, and the number be somebody else's."""
    try:
        return "ministack" in Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _group_lives(pid: int) -> bool:
    """Whether the process or one that it started is left."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _clean_environment() -> dict[str, str]:
    """This process's environment without anybody's AWS settings or Python paths."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PYTHON", "POWERTOOLS_", "SAM_CLI_"))
        and name != "VIRTUAL_ENV"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("command", choices=("up", "down"))
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--state", type=Path, default=ROOT / ".local")
    parser.add_argument(
        "--container-host",
        default=os.environ.get("SAM_LOCAL_HOST_IP", "host.docker.internal"),
        help="this machine as a container sees it, for sam local invoke",
    )
    arguments = parser.parse_args()
    stack = LocalStack(arguments.port, arguments.host, arguments.state.resolve())
    if arguments.command == "down":
        print("Stopped." if stack.stop() else "Nothing was running.")
        return
    try:
        stack.start()
        try:
            stack.build()
            stack.deploy()
            env = write_env(stack, stack.make_key())
            write_sam_local(stack, arguments.container_host)
        except BaseException:
            stack.stop()
            raise
    except StackError as error:
        sys.exit(str(error))
    print(f"The stack is up at {stack.endpoint}.\n\n    source {os.path.relpath(env)}\n")


if __name__ == "__main__":
    main()
