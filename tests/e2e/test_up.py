"""`make up`, `make down` and `make demo` as people use them, in processes of their own."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.emulator import Emulator, free_port
from local.stack import ROOT

WIDTH = 80


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": str(WIDTH), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@dataclass
class Up:
    """A stack that `make up` started."""

    port: int
    state: Path
    said: str

    def command(
        self, command: str, *, port: int | None = None, state: Path | None = None
    ) -> list[object]:
        """`make up` or `make down`, with this stack's port and state unless others are given."""
        return ["local.up", command, "--port", port or self.port, "--state", state or self.state]

    def shell(self, script: str) -> str:
        """The output of a script in a shell with this stack's environment."""
        command = f"set -euo pipefail; source {shlex.quote(str(self.state / 'env'))}; {script}"
        return subprocess.run(
            ["bash", "-c", command], cwd=self.state, capture_output=True, text=True, check=True
        ).stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(free_port(), tmp_path_factory.mktemp("up"), "")
    try:
        started = run(*up.command("up"))
        assert started.returncode == 0, started.stdout + started.stderr
        up.said = started.stdout
        yield up
    finally:
        run(*up.command("down"))


def test_up_tells_its_stages_and_what_comes_next(stack: Up) -> None:
    stages = [line for line in stack.said.splitlines() if line.startswith("✓")]
    assert len(stages) == 3
    assert f"    source {stack.state}/env\n" in stack.said
    assert f"`make down STATE={stack.state}` stops it and deletes its data" in stack.said


def test_the_shell_has_what_the_readme_uses(stack: Up) -> None:
    version = stack.shell("command -v aws; aws --version")
    assert version.startswith(f"{stack.state}/bin/aws\naws-cli/1.")
    table = stack.shell(
        "aws dynamodb describe-table --table-name $CONTACTS_TABLE --query Table.TableStatus"
    )
    assert table == '"ACTIVE"\n'
    answer = stack.shell(
        "printf 'Email\\na@example.com\\n' > contacts.csv\n"
        "aws s3 cp --quiet contacts.csv s3://$UPLOADS_BUCKET/drop/$PROJECT_ID/contacts.csv\n"
        'curl -sS -X POST $API_URL/v1/contacts/imports -H "Authorization: Bearer $API_KEY" '
        """-F file=@contacts.csv -F projectId=$PROJECT_ID -F 'columnMap={"email":"Email"}'"""
    )
    assert answer.startswith('{"success":true,')


def test_up_twice(stack: Up) -> None:
    again = run(*stack.command("up"))
    assert again.returncode == 0
    assert f"already up, at http://127.0.0.1:{stack.port}." in again.stdout
    assert f"    source {stack.state}/env\n" in again.stdout
    elsewhere = run(*stack.command("up", port=free_port()))
    assert elsewhere.returncode == 1
    assert elsewhere.stderr.count("\n") == 1
    assert f"already up, at http://127.0.0.1:{stack.port}." in elsewhere.stderr
    assert "make up PORT=" in elsewhere.stderr
    assert Emulator(stack.port, state=stack.state).is_running()


def test_a_port_that_is_taken(stack: Up, tmp_path: Path) -> None:
    refused = run(*stack.command("up", state=tmp_path))
    assert refused.returncode == 1
    assert refused.stderr == (
        f"Port {stack.port} of 127.0.0.1 is taken by another program. Choose another one, for example PORT=4600.\n"
    )
    assert not Emulator(stack.port, state=tmp_path).is_running()
    assert Emulator(stack.port, state=stack.state).is_running()


def test_a_folder_that_cannot_be_made(stack: Up, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = run(*stack.command("up", port=free_port(), state=tmp_path / "file" / "state"))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "choose another STATE" in refused.stderr


def test_down_forgets(tmp_path: Path) -> None:
    aws = Emulator(free_port(), state=tmp_path, detached=True)
    aws.start()
    (tmp_path / "env").touch()
    # Its start was broken off: no env says where it is.
    (tmp_path / "env").unlink()
    unfinished = run("local.up", "up", "--port", aws.port, "--state", tmp_path)
    assert unfinished.returncode == 1
    assert f"`make down STATE={tmp_path}`" in unfinished.stderr
    stopped = run("local.up", "down", "--state", tmp_path)
    assert stopped.stdout.startswith(f"Stopped the stack of {tmp_path} and deleted its data.\n")
    assert not aws.is_running()
    assert {path.name for path in tmp_path.iterdir()} == {"ministack.log"}
    again = run("local.up", "down", "--state", tmp_path)
    assert again.returncode == 0
    assert again.stdout.startswith(f"No stack is running in {tmp_path}.\n")
    assert not aws.stop()


def test_the_demo_in_a_narrow_terminal(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    shown = run("local.demo", "--rows", 20, "--state", state)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= WIDTH
    assert "completed after" in shown.stdout
    assert "?" not in shown.stdout
    # Of these 20 rows none fails.
    assert "│    20 │      20 │       0 │       0 │      0 │" in shown.stdout
    assert "failed rows" not in shown.stdout
    (api_url,) = (line for line in shown.stdout.splitlines() if line.startswith("http"))
    assert api_url.endswith("/prod/_user_request_")
    assert not state.exists()


def test_the_demo_ends_when_its_terminal_closes(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "local.demo", "--state", str(state)])  # noqa: S606
    pid_file = state / "ministack.pid"
    deadline = time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.close(terminal)  # the kernel sends SIGHUP
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (128 + signal.SIGHUP, 1)
    assert not Emulator(0, state=state).is_running()
    assert not {"tmp", "data", "s3", "build", "ministack.pid"} & {
        path.name for path in state.iterdir()
    }


def test_one_demo_at_a_time(tmp_path: Path) -> None:
    aws = Emulator(free_port(), state=tmp_path)
    aws.start()
    try:
        refused = run("local.demo", "--state", tmp_path)
        assert refused.returncode == 1
        assert refused.stderr == (
            "A demo is running already. Wait until it ends, or stop it: `make down`.\n"
        )
        assert aws.is_running()
    finally:
        aws.stop()
