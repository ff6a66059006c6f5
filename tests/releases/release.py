"""The code of a release, and its functions in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.emulator import ROOT

RELEASES = ROOT / "tests" / "releases"
CODE = "code.zip"
CORE = Path("layers") / "contact_imports" / "contact_imports"
_CODE_TIME = (1980, 1, 1, 0, 0, 0)

DiesAt = tuple[str, int]
"""An AWS operation, and how many calls of it are made before the function dies instead of the next one."""


class FunctionError(Exception):
    """A function raised; the message is the error's type."""


class Release:
    """The functions of a release, whose code is in `folders`. Use it in a `with` statement."""

    def __init__(self, folders: list[Path], variables: Mapping[str, str]) -> None:
        path = os.pathsep.join(map(str, folders))
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(RELEASES / "lambda_process.py")],
            env={**os.environ, **variables, "PYTHONPATH": path, "POWERTOOLS_LOG_LEVEL": "CRITICAL"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def invoke(self, function: str, event: Any, dies_at: DiesAt | None = None) -> Any:
        """The answer of a function; raises FunctionError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        call = {"function": function, "event": event, "dies_at": dies_at}
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise FunctionError(answer["error"])
        return answer["answer"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()


def tree(root: Path = ROOT) -> list[Path]:
    """The folders of the code in a checkout."""
    return [root, root / CORE.parent]


def pack_code(root: Path, target: Path) -> None:
    """Stores the functions and the core package of a checkout."""
    with zipfile.ZipFile(target, "w") as archive:
        for base, folder in ((root / CORE.parent, CORE.name), (root, "functions")):
            for path in sorted((base / folder).rglob("*.py")):
                entry = zipfile.ZipInfo(str(path.relative_to(base)), _CODE_TIME)
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)


def unpack_code(name: str, folder: Path) -> list[Path]:
    """The folders of a recorded release's code."""
    with zipfile.ZipFile(RELEASES / name / CODE) as archive:
        archive.extractall(folder)
    return [folder]


def recorded_releases() -> list[str]:
    """The names of the recorded releases, oldest first."""
    return [line.split()[0] for line in (RELEASES / "releases.txt").read_text().splitlines()]
