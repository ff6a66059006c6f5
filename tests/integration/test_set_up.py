"""The set-up where something is in its way: a line that says what is wrong and what to do."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import set_up
from local.stack import ROOT

NOBODY = "http://127.0.0.1:9/simple"


def run(folder: Path, requirements: str, **environment: str) -> subprocess.CompletedProcess[str]:
    file = folder.parent / "requirements.txt"
    file.write_text(requirements)
    return subprocess.run(
        [sys.executable, "local/set_up.py", folder, file],
        cwd=ROOT,
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_network_and_again_after_that(tmp_path: Path) -> None:
    folder = tmp_path / "environment"
    no_network = {"PIP_INDEX_URL": NOBODY, "PIP_RETRIES": "1", "PIP_FIND_LINKS": ""}
    failed = run(folder, "six==1.17.0\n", **no_network)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "The package index cannot be reached. Connect to the network" in failed.stderr
    log = tmp_path / "environment-setup.log"
    assert str(log.name) in failed.stderr
    assert "Connection refused" in log.read_text()
    assert not (folder / ".made").exists()

    # What the failed one left is not built upon.
    leftover = folder / "leftover"
    leftover.touch()
    assert run(folder, "").returncode == 0
    assert (folder / ".made").exists()
    assert not leftover.exists()

    # One that was finished is only brought up to date.
    leftover.touch()
    assert run(folder, "").returncode == 0
    assert leftover.exists()


def test_a_requirement_that_cannot_be_installed_names_the_log(tmp_path: Path) -> None:
    failed = run(tmp_path / "environment", "./no-such-package\n")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "environment-setup.log" in failed.stderr


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failed = subprocess.run(
        [sys.executable, "local/set_up.py", tmp_path / "file" / "environment", os.devnull],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert str(tmp_path / "file") in failed.stderr


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13), (3, 15, 0)])
def test_a_python_that_does_not_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: tuple[int, ...]
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 to 3\.14.* make PYTHON=") as refused:
        set_up.make_environment(tmp_path / "environment", Path(os.devnull))
    assert ".".join(map(str, version)) in str(refused.value)
    assert not (tmp_path / "environment").exists()


def test_a_python_that_is_too_old_can_read_it() -> None:
    ast.parse(Path(set_up.__file__).read_text(), feature_version=(3, 6))


def test_a_python_without_venv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match="apt-get install python3-venv"):
        set_up.make_environment(tmp_path / "environment", Path(os.devnull))


def test_a_disk_with_too_little_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(set_up, "FREE_BYTES_NEEDED", 1 << 60)
    with pytest.raises(SystemExit, match=r"The disk has [\d,]+ MB left .* Free some space"):
        set_up.make_environment(tmp_path / "environment", Path(os.devnull))


@pytest.mark.parametrize(
    ("printed", "cause"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full."),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution",
         "The package index cannot be reached."),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate",
         "The package index's certificate is not trusted."),
        ("ERROR: ResolutionImpossible", ""),
    ],
)  # fmt: skip
def test_what_pip_and_sam_print_is_understood(printed: str, cause: str) -> None:
    assert set_up.likely_cause(printed).startswith(cause)
    assert bool(set_up.likely_cause(printed)) == bool(cause)


def test_a_python_that_is_not_there() -> None:
    # --always-make: as where nothing is set up yet.
    failed = subprocess.run(
        ["make", "--always-make", ".venv/.made", "PYTHON=/no/such/python3.13"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode != 0
    assert failed.stderr.startswith("There is no /no/such/python3.13 here. Install Python 3.11")
