"""The embedded AWS as people treat it: what cannot start says so, and nothing is left running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local import emulator
from local.emulator import AlreadyRunningError, Emulator, StackError, free_port, why
from local.stack import ROOT

OWNER = """
import sys, time
from pathlib import Path
from local.emulator import Emulator, signals_end_this_process

aws = Emulator(int(sys.argv[1]), state=Path(sys.argv[2]))
with signals_end_this_process():
    try:
        aws.start()
        print("started", flush=True)
        time.sleep(600)
    finally:
        aws.stop()
"""


def ends(pid: int, seconds: float = 20) -> bool:
    """Whether a process ends within a generous time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_process_that_started_it(tmp_path: Path, number: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(free_port()), str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout
    assert owner.stdout.readline() == "started\n"
    pid = int((tmp_path / "ministack.pid").read_text())
    assert Emulator(0, state=tmp_path).is_running()
    owner.send_signal(number)
    owner.send_signal(number)  # make and the terminal both send it
    owner.wait(30)
    owner.stdout.close()
    assert ends(pid)
    assert not Emulator(0, state=tmp_path).is_running()


def test_one_that_is_detached_goes_on(tmp_path: Path) -> None:
    script = OWNER.replace("sys.argv[2])", "sys.argv[2]), detached=True")
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(free_port()), str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout
    assert owner.stdout.readline() == "started\n"
    owner.kill()
    owner.wait(30)
    owner.stdout.close()
    # Another process finds it and stops it.
    assert Emulator(0, state=tmp_path).is_running()
    assert Emulator(0, state=tmp_path).stop()
    assert not Emulator(0, state=tmp_path).stop()


def test_a_folder_has_one_at_a_time(tmp_path: Path) -> None:
    first, second = (Emulator(free_port(), state=tmp_path) for _ in range(2))
    first.start()
    try:
        with pytest.raises(AlreadyRunningError):
            second.start()
        assert first.is_running()
        first.client("s3").list_buckets()
    finally:
        assert first.stop()


def test_one_that_starts_again_is_empty(tmp_path: Path) -> None:
    for _ in range(2):
        aws = Emulator(free_port(), state=tmp_path)
        aws.start()
        try:
            assert aws.client("s3").list_buckets()["Buckets"] == []
            aws.client("s3").create_bucket(Bucket="bucket")
        finally:
            aws.stop()


def test_where_the_pid_file_cannot_be_written_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "ministack.pid").symlink_to("/dev/full")
    aws = Emulator(free_port(), state=tmp_path)
    with pytest.raises(OSError, match="No space left") as full:
        aws.start()
    assert "The disk is full" in why(full.value)
    assert aws._process is not None
    assert aws._process.poll() is not None


def test_what_does_not_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "_START_SECONDS", 0)
    aws = Emulator(free_port(), state=tmp_path)
    with pytest.raises(StackError, match=r"did not start. See .*ministack\.log"):
        aws.start()
    assert aws._process is not None
    assert aws._process.poll() is not None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Emulator, "is taken by another program. Choose another"),
        (lambda _: Emulator(65536), "65536 is not a port"),
        (
            lambda _: Emulator(free_port(), "192.0.2.1"),
            "192.0.2.1 is not an address of this machine",
        ),
        (
            lambda _: Emulator(free_port(), "no.such.host.invalid"),
            "is not an address of this machine",
        ),
    ],
)
def test_where_it_cannot_listen(
    tmp_path: Path, wrong: Callable[[int], Emulator], said: str
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        aws = wrong(other.getsockname()[1])
        aws.state = tmp_path
        with pytest.raises(StackError, match=said) as error:
            aws.start()
    assert "\n" not in why(error.value)
    assert aws._process is None


def test_a_disk_with_too_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    monkeypatch.setattr(emulator, "_FREE_BYTES_NEEDED", 2 * free)
    with pytest.raises(StackError, match=r"The disk has [\d,]+ MB left .* Free some space"):
        Emulator(free_port(), state=tmp_path).start()


def test_a_proxy_is_not_asked_for_this_machines_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.com")
    aws = Emulator(free_port(), state=tmp_path)
    aws.start()
    try:
        assert aws.client("s3").list_buckets()["Buckets"] == []
        assert aws.aws_environment["NO_PROXY"] == "example.com,127.0.0.1,localhost"
    finally:
        aws.stop()
