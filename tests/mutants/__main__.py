"""Runs the tests against each mutation of the exactness core: `make mutants`.

A mutation is made in a copy of the repository, and each worker has a copy and an embedded AWS of its own. What was found
is kept in `.local/mutants.jsonl`, so a run that was stopped goes on where it was, until the sources or what the tests
share changes. A killed mutation is tried again if the tests that killed it change, a survivor if any do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from local.emulator import signals_end_this_process
from local.stack import ROOT
from tests.mutants.mutations import Mutation, all_mutations
from tests.mutants.plugin import SECONDS_VARIABLE
from tests.mutants.results import DOCUMENT, Result, with_results

RESULTS = ROOT / ".local" / "mutants.jsonl"

_COPIED = ("docs", "events", "functions", "layers", "local", "requirements", "tests")
_LINKED = (".local/tools", ".venv")
_PYTEST = (
    *(
        "-x",
        "-q",
        "-p",
        "tests.mutants.plugin",
        "--hypothesis-seed=0",
        "-m",
        "not long and not chaos",
    ),
    *("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # the server has loaded plugins already
)
_SCHEDULES = "60"
"""Random schedules for each mutation, instead of 200: enough to find nearly all that 2,000 find."""

_SLOWER = 3
_SECONDS_MORE = 30
"""A test that takes so many times as long as all of its file without a mutation, and so many seconds more, hangs."""
_MOST_SECONDS = 1800
"""For a file of tests without a mutation."""
_SECONDS_TO_STOP = 20

_ENDED_BY_TEST = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
_NO_EMULATOR = "local.emulator.StackError"


class RunError(Exception):
    """The run cannot go on; the message says why."""


@dataclass(frozen=True)
class _Run:
    """How a run of tests ended: the test that failed, None if all passed, and the end of its output."""

    failed: str | None
    seconds: float
    output: str = ""


class Copy:
    """A copy of the repository in which one file at a time is another."""

    def __init__(self, folder: Path) -> None:
        self._root = folder
        folder.mkdir()
        for name in _COPIED:
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for path in ROOT.iterdir():
            if path.is_file():
                shutil.copy(path, folder)
        for name in _LINKED:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).symlink_to(ROOT / name)
        self._server = _Server(folder)

    @contextmanager
    def mutated(self, path: str, source: str) -> Iterator[None]:
        """A block in which the file has this text."""
        file = self._root / path
        before = file.read_text()
        try:
            self._write(file, source)
            yield
        finally:
            self._write(file, before)

    def _write(self, file: Path, text: str) -> None:
        file.write_text(text)
        # Python takes the compiled file for current if time and size are the same.
        Path(cache_from_source(str(file))).unlink(missing_ok=True)

    def test(self, path: str, usual_seconds: float | None = None) -> _Run:
        """Runs a file of tests until one fails. With its `usual_seconds`, a test that takes much longer fails."""
        most: float = _MOST_SECONDS
        environment = {}
        if usual_seconds is not None:
            most = usual_seconds * _SLOWER + _SECONDS_MORE
            environment = {SECONDS_VARIABLE: str(most)}
        began = time.monotonic()
        shutil.rmtree(self._root / ".hypothesis", ignore_errors=True)
        log = self._root / "tests.log"
        answer = self._server.run([*_PYTEST, path], environment, log, most + _SECONDS_TO_STOP)
        seconds = time.monotonic() - began
        if answer == 0:
            return _Run(None, seconds)
        if answer is None:
            return _Run(f"{path}, which did not end", seconds)
        output = log.read_text(errors="replace")
        failed = _ENDED_BY_TEST.search(output)
        if _NO_EMULATOR in output or (failed is None and answer > 0):
            raise RunError(f"The tests could not be run:\n{output}")
        return _Run(failed[1] if failed else f"{path}: Python crashed", seconds, output)

    def close(self) -> None:
        """Ends its server."""
        self._server.stop()


class _Server:
    """Runs pytest in a folder; see `server`. It is started when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: list[str], environment: dict[str, str], output: Path, most_seconds: float
    ) -> int | None:
        """The exit code of a run; None if it did not end in time."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        run = {"arguments": arguments, "environment": environment, "output": str(output)}
        process.stdin.write(json.dumps(run) + "\n")
        process.stdin.flush()
        for seconds in (most_seconds, _SECONDS_TO_STOP):
            if select.select([process.stdout], [], [], seconds)[0]:
                answer = process.stdout.readline()
                if not answer:
                    raise RunError("A process that runs tests ended.")
                return int(answer) if seconds == most_seconds else None
            process.send_signal(signal.SIGINT)
        self.stop()
        return None

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.server"],
            cwd=self._folder,
            env={**_environment(), "SCHEDULES": _SCHEDULES},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self._process

    def stop(self) -> None:
        """Ends the process, and what it runs; the embedded AWS ends with those who started it."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
        self._process = None


def main() -> int:
    """Returns 1 if a mutation survived that has no explanation, or one did not that has."""
    arguments = _arguments()
    mutations = all_mutations()
    chosen = [one for one in mutations if arguments.only in one.id]
    if arguments.list:
        for one in chosen:
            print(one.id)
        return 0
    digests = _digests()
    known = {} if arguments.again else _known(digests, mutations)
    # They cost the most, since every test passes; they count as survivors.
    explained = [one for one in mutations if one.survives and not arguments.explained]
    known |= {one.id: Result(one.id, one.digest, None, 0.0) for one in explained}
    left = [one for one in chosen if one.id not in known and not arguments.no_run]
    with signals_end_this_process(), tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for result in _run(left, Path(folder), arguments.jobs, fast=arguments.fast):
            known[result.id] = result
            line = {"digest": _digest_of(result.killed_by, digests), "result": asdict(result)}
            with RESULTS.open("a") as file:
                file.write(json.dumps(line) + "\n")
    chosen = [one for one in chosen if one.id in known]
    survivors = [one for one in chosen if known[one.id].killed_by is None]
    print(f"{len(chosen)} mutations, {len(chosen) - len(survivors)} killed")
    for one in survivors:
        print(f"survived: {one.id}\n    {one.survives or 'NOT EXPLAINED'}")
    unexplained = [one for one in survivors if not one.survives]
    wrong = [one for one in chosen if one.survives and one not in survivors]
    for one in wrong:
        print(f"killed, although explained: {one.id}")
    open_ones = [
        one
        for one in mutations
        if one.id in known and known[one.id].killed_by is None and not one.survives
    ]
    # Those that nobody ran count only where all others of their file and kind were tried.
    unfinished = {(one.path, one.is_meant) for one in mutations if one.id not in known}
    for one in explained:
        if (one.path, one.is_meant) in unfinished:
            del known[one.id]
    if known and not open_ones:
        today = datetime.now(UTC).date()
        DOCUMENT.write_text(with_results(DOCUMENT.read_text(), mutations, known, today))
    undecided = len(left) - sum(one.id in known for one in left)
    if undecided:
        print(f"{undecided} are undecided: not all tests were run")
    return 1 if unexplained or wrong or undecided else 0


class _Worker:
    """Tries mutations in a copy; several share what they know of the tests without a mutation."""

    def __init__(self, folder: Path, usual: dict[str, Future[float | None]], lock: Lock) -> None:
        self.copy = Copy(folder)
        self._usual, self._lock = usual, lock

    def run(self, mutation: Mutation, *, fast: bool) -> Result | None:
        """Runs the tests of a mutation until one fails; if `fast`, those only that know most of its file.

        None if no test failed, and not all could be run.
        """
        seconds = 0.0
        paths = mutation.fast_tests if fast else mutation.tests
        left_out = len(paths) < len(mutation.tests)
        for path in paths:
            usual = self._usual_seconds(path)
            if usual is None:
                left_out = True
                continue
            with self.copy.mutated(mutation.path, mutation.source):
                tests = self.copy.test(path, usual)
            seconds += tests.seconds
            if tests.failed is not None:
                return Result(mutation.id, mutation.digest, tests.failed, round(seconds, 1))
        return None if left_out else Result(mutation.id, mutation.digest, None, round(seconds, 1))

    def _usual_seconds(self, path: str) -> float | None:
        """How long a file of tests takes without a mutation; None if a test fails then, so that it shows nothing."""
        with self._lock:
            known = self._usual.get(path)
            if known is None:
                measured = self._usual[path] = Future[float | None]()
        if known is not None:
            return known.result()
        try:
            tests = self.copy.test(path)
        except BaseException as error:
            measured.set_exception(error)
            raise
        print(f"{tests.seconds:6.1f} s  {path} without a mutation", flush=True)
        if tests.failed is not None:
            print(f"{'':10}LEFT OUT, for it fails: {tests.failed}", flush=True)
        usual = None if tests.failed else tests.seconds
        measured.set_result(usual)
        return usual


def _run(mutations: list[Mutation], folder: Path, jobs: int, *, fast: bool) -> Iterator[Result]:
    """The result of each mutation, as they come."""
    usual: dict[str, Future[float | None]] = {}
    lock = Lock()
    workers = [
        _Worker(folder / str(number), usual, lock) for number in range(min(jobs, len(mutations)))
    ]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def run(mutation: Mutation) -> Result | None:
        worker = idle.get()
        try:
            return worker.run(mutation, fast=fast)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(run, one): one for one in mutations}
        try:
            for number, each in enumerate(as_completed(running), 1):
                result = each.result()
                line = _line(result) if result else f"UNDECIDED {running[each].id}"
                print(f"{number:4} of {len(running)}  {line}", flush=True)
                if result is not None:
                    yield result
        finally:
            # At the end, and where the run is stopped: then the tests under way are of no use.
            for each in running:
                each.cancel()
            for worker in workers:
                worker.copy.close()


def _line(result: Result) -> str:
    said = "SURVIVED" if result.killed_by is None else f"killed by {result.killed_by}"
    return f"{result.seconds:6.1f} s  {result.id}\n{'':22}{said}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--only", default="", help="mutations with this in their name or path")
    parser.add_argument("--again", action="store_true", help="forget what was found before")
    parser.add_argument(
        "--explained", action="store_true", help="try those too that are said to survive"
    )
    parser.add_argument(
        "--no-run", action="store_true", help="try nothing, and write down what was found before"
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="run the tests only that know most of a file: what they do not kill stays to be tried",
    )
    parser.add_argument("--list", action="store_true", help="show the mutations' names")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4))
    return parser.parse_args()


def _known(digests: Mapping[str, str], mutations: list[Mutation]) -> dict[str, Result]:
    """What was found before for the same mutations, sources and tests."""
    of_mutations = {one.id: one.digest for one in mutations}
    if not RESULTS.exists():
        return {}
    lines = (json.loads(line) for line in RESULTS.read_text().splitlines())
    read = ((Result(**line["result"]), line["digest"]) for line in lines)
    return {
        one.id: one
        for one, digest in read
        if of_mutations.get(one.id) == one.digest and digest == _digest_of(one.killed_by, digests)
    }


_ALL = "all"
_SHARED = "shared"


def _digests() -> dict[str, str]:
    """The digests of each file of tests, of all other sources (_SHARED), and of everything (_ALL)."""
    found = {name: hashlib.sha256() for name in (_ALL, _SHARED)}
    for name in ("functions", "layers", "local", "tests", "template.yaml", "pyproject.toml"):
        for path in sorted([ROOT / name, *(ROOT / name).rglob("*")]):
            relative = path.relative_to(ROOT)
            if not path.is_file() or {"__pycache__", "mutants"} & set(relative.parts):
                continue
            is_tests = name == "tests" and path.name.startswith("test_")
            for of_file in (_ALL, str(relative) if is_tests else _SHARED):
                hashed = found.setdefault(of_file, hashlib.sha256())
                hashed.update(f"{relative}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return {name: hashed.hexdigest() for name, hashed in found.items()}


def _digest_of(killed_by: str | None, digests: Mapping[str, str]) -> str:
    """Changes with whatever can change a result: to kill a mutation, one file of tests is enough."""
    if killed_by is None:
        return digests[_ALL]
    tests = re.split("::|[,:] ", killed_by)[0]
    return digests[_SHARED] + digests.get(tests, "")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RunError as error:
        sys.exit(str(error))
