"""The embedded AWS (ministack): one process, its port and its folder."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import boto3
import httpx
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".local" / "tools"
REGION = "us-east-1"

_DATA_FOLDERS = ("tmp", "data", "s3")
_START_SECONDS = 60
_STOP_SECONDS = 10
_HEALTH_SECONDS = 1
_POLL_SECONDS = 0.05
_FREE_BYTES_NEEDED = 300 * 1024**2
"""A build takes 70 MB and its upload 25; the rest is for files and tables."""


class StackError(Exception):
    """A command failed; the message says what is wrong and what to do."""


class AlreadyRunningError(StackError):
    """The state folder belongs to an embedded AWS that is running."""


@dataclass
class Emulator:
    """One embedded AWS: `port` on `host`, its files under `state`. `settings` are ministack's own.

    Unless `detached`, it ends with the process that started it, even if that one is killed.
    """

    port: int
    host: str = "127.0.0.1"
    state: Path = ROOT / ".local" / "stack"
    settings: dict[str, str] = field(default_factory=dict)
    detached: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        """The URL of this AWS, for a client on this machine."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104
        return f"{'https' if self.ca_file else 'http'}://{host}:{self.port}"

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust; None if it does not speak TLS (`settings` decides: USE_SSL)."""
        if self.settings.get("USE_SSL") != "1":
            return None
        return self.state / "tmp" / "ministack-tls" / "server.crt"

    @property
    def aws_environment(self) -> dict[str, str]:
        """The environment variables with which a process uses this AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            **({"AWS_CA_BUNDLE": str(self.ca_file)} if self.ca_file else {}),
            **_no_proxy(),
        }

    @property
    def _pid_file(self) -> Path:
        return self.state / "ministack.pid"

    @property
    def _log_file(self) -> Path:
        return self.state / "ministack.log"

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of this AWS."""
        options["config"] = Config(proxies={}).merge(options.get("config", Config()))
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
        """Starts an empty AWS and waits until it answers.

        Raises AlreadyRunningError if the state folder's AWS is running, StackError if the port is taken or it does not
        start, OSError if the folder cannot be written to. Then nothing is left running.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        _check_disk(self.state)
        with self._pid_file.open("a+") as pid_file:
            if not _lock(pid_file):
                raise AlreadyRunningError(f"An embedded AWS is running in {self.state} already.")
            _check_port(self.host, self.port)
            self.forget()
            for folder in _DATA_FOLDERS:
                (self.state / folder).mkdir()
            with self._log_file.open("wb") as log:
                self._process = subprocess.Popen(
                    [*self._wrapper(), TOOLS / "ministack" / "bin" / "python", "-m", "ministack"],
                    cwd=self.state,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    # It holds the lock of its pid file as long as it lives.
                    pass_fds=(pid_file.fileno(),),
                )
            try:
                if pid_file.tell():  # one that was not stopped left its number
                    pid_file.truncate(0)
                pid_file.write(str(self._process.pid))
                pid_file.flush()
                self._wait_until_it_answers(self._process)
            except BaseException:
                process = self._process
                _end_group(process.pid, lambda: process.poll() is None)
                process.wait()
                raise

    def is_running(self) -> bool:
        """Whether the embedded AWS of this state folder is running, no matter who started it."""
        try:
            with self._pid_file.open("r+") as pid_file:
                return not _lock(pid_file)
        except FileNotFoundError:
            return False

    def stop(self) -> bool:
        """Stops it and every process that it started; False if nothing was running."""
        running = self.is_running()
        if running:
            # Not by the process table: where nobody waits for it, an ended process stays there as a zombie.
            _end_group(int(self._pid_file.read_text()), self.is_running)
        if self._process is not None:
            self._process.wait()
        self._pid_file.unlink(missing_ok=True)
        return running

    def forget(self) -> None:
        """Deletes the data of an AWS that has stopped, but not its logs."""
        for folder in _DATA_FOLDERS:
            shutil.rmtree(self.state / folder, ignore_errors=True)

    def _wrapper(self) -> list[str]:
        setpriv = shutil.which("setpriv")
        return [] if self.detached or setpriv is None else [setpriv, "--pdeathsig", "TERM"]

    def _environment(self) -> dict[str, str]:
        return {
            **clean_environment(),
            **_no_proxy(),
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

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StackError(f"The embedded AWS did not start. See {self._log_file}.")
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        if self.ca_file and not self.ca_file.exists():
            return False
        try:
            with http_client(self.ca_file, _HEALTH_SECONDS) as http:
                return http.get(f"{self.endpoint}/_ministack/health").is_success
        except (httpx.HTTPError, OSError):  # OSError: the certificate is being written
            return False


def why(error: Exception) -> str:
    """One line for a person: what is wrong, where, and what to do."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"The disk is full: {error.filename or 'a file could not be written'}. Free some space and try again."
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}. Correct that, or choose another STATE."
    if isinstance(error, httpx.TransportError):
        return f"The embedded AWS does not answer ({error}). `make down` may have stopped it: start it again."
    return str(error)


def http_client(ca_file: Path | None, timeout: float) -> httpx.Client:
    """A client for this machine's own addresses: no proxy, and no other certificate than this one."""
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    return httpx.Client(verify=verify, timeout=timeout, trust_env=False, follow_redirects=True)


@contextmanager
def signals_end_this_process() -> Iterator[None]:
    """Ends the block by SystemExit on SIGHUP (the terminal closed), SIGINT and SIGTERM, so that it can clean up.

    The first one counts: what follows it, as `make` and a terminal both send them, does not disturb the clean-up.
    """
    caught = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

    def end(number: int, _frame: FrameType | None) -> None:
        for each in caught:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port() -> int:
    """A port that nothing on loopback listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """This process's environment without anybody's AWS settings or Python paths."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PYTHON", "POWERTOOLS_", "SAM_CLI_"))
        and name != "VIRTUAL_ENV"
    }


def _no_proxy() -> dict[str, str]:
    """What keeps a process behind a proxy from asking it for this machine's own addresses."""
    names = {name.lower(): value for name, value in os.environ.items()}
    if not any(names.get(f"{scheme}_proxy") for scheme in ("http", "https", "all")):
        return {}
    value = ",".join(filter(None, (names.get("no_proxy"), "127.0.0.1,localhost")))
    return {"NO_PROXY": value, "no_proxy": value}


def _check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES_NEEDED:
        raise StackError(
            f"The disk has {free // 1024**2:,} MB left for {folder}, and a stack needs "
            f"{_FREE_BYTES_NEEDED // 1024**2:,} MB. Free some space, or choose a STATE on another disk."
        )


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise StackError(_port_trouble(host, port, error)) from None


def _port_trouble(host: str, port: int, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return f"Port {port} of {host} is taken by another program. Choose another one, for example PORT=4600."
    if number == errno.EACCES:
        return f"Port {port} is for root. Choose one over 1023, for example PORT=4566."
    if isinstance(error, OverflowError):
        return f"{port} is not a port. Choose one from 1024 to 65535, for example PORT=4566."
    return f"{host} is not an address of this machine. Leave HOST out for 127.0.0.1."


def _lock(file: TextIO) -> bool:
    """Takes the lock of a file that is open; False where another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_group(pid: int, lives: Callable[[], bool]) -> None:
    """Ends a process and all that it started: by SIGTERM, and what is left when it ended or takes too long by SIGKILL."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while lives() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
