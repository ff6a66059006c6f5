"""Makes the virtual environments: .venv, and one for each tool under .local/tools.

python3 local/set_up.py .venv requirements/dev.txt

It runs before anything is installed, so it imports only the standard library. Python 3.6 can read it, so that an old
Python prints which version it needs instead of a syntax error.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
NEWEST = (3, 14)
"""The versions that our dependencies support and that AWS Lambda has runtimes for."""

FREE_BYTES_NEEDED = 500 * 1024**2
"""The largest environment (the SAM CLI's) takes 340 MB."""

_OFFLINE = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "Connection refused",
    "No route to host",
    "(from versions: none)",
    "Could not satisfy the requirement",
)
"""What pip prints where it cannot reach the package index; the last two, what a quiet pip and the SAM CLI do."""

_CAUSES = {
    "The disk is full. Free some space and run the command again.": ("No space left on device",),
    "The package index cannot be reached. Connect to the network, or set pip's index-url or proxy "
    "(pip config set), and run the command again.": _OFFLINE,
    "The package index's certificate is not trusted. Set pip's cert to your network's certificate "
    "(pip config set global.cert FILE) and run the command again.": ("CERTIFICATE_VERIFY_FAILED",),
}


def likely_cause(output: str) -> str:
    """What is probably wrong, and what to do, by what pip or the SAM CLI printed; empty if unknown."""
    for cause, signs in _CAUSES.items():
        if any(sign in output for sign in signs):
            return cause
    return ""


def make_environment(folder: Path, requirements: Path) -> None:
    """Makes a virtual environment and installs the requirements; ends the program where that fails.

    One that was finished once is brought up to date; what an earlier try left is cleared away.
    """
    _check_python()
    python = folder / "bin" / "python"
    made = folder / ".made"
    finished = made.exists() and python.exists()
    if finished:
        made.unlink()
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(str(folder.parent)).free
    if free < FREE_BYTES_NEEDED:
        sys.exit(
            f"The disk has {free // 1024**2:,} MB left for {folder}, which needs {FREE_BYTES_NEEDED // 1024**2:,} MB. Free some space and run the command "
            "again."
        )
    print(f"Installing {requirements} into {folder}", flush=True)
    log = folder.parent / "{}-setup.log".format(folder.name.lstrip("."))
    if not finished:
        _run(folder, log, sys.executable, "-m", "venv", "--clear", str(folder))
    pip = (str(python), "-m", "pip", "--disable-pip-version-check")
    _run(folder, log, *pip, "install", "-r", str(requirements))
    made.touch()


def _check_python() -> None:
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            "This needs Python {} to {}, and {} is {}. Install one of them and name it: "
            "make PYTHON=/path/to/python3.13 ...".format(
                *(".".join(map(str, version)) for version in (OLDEST, NEWEST)),
                sys.executable,
                ".".join(map(str, sys.version_info[:3])),
            )
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        sys.exit(
            f"{sys.executable} cannot make virtual environments. Install its venv module "
            "(on Debian: sudo apt-get install python3-venv)."
        )


def _run(folder: Path, log: Path, *command: str) -> None:
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        return
    cause = likely_cause(result.stdout)
    if "full" not in cause:
        log.write_text(result.stdout)
        cause = f"{cause} See {os.path.relpath(str(log))}.".lstrip()
    sys.exit(f"{folder} could not be installed. {cause}")


def main() -> None:
    try:
        make_environment(Path(sys.argv[1]), Path(sys.argv[2]))
    except OSError as error:
        sys.exit(f"{sys.argv[1]} could not be installed. {error.strerror}: {error.filename}")


if __name__ == "__main__":
    main()
