"""Requirements are pinned, and name no registry, so that the machine's own settings apply."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from local.stack import ROOT

LOCKED = [*(ROOT / "requirements").glob("*.txt"), *(ROOT / "layers").glob("*/requirements.txt")]
NODE = ROOT / "tests" / "generators"


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.name)
def test_python_packages_have_one_version_and_no_address(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z,0-9]+\])?==[^ /]+( ; .+)?", line), line


def test_node_packages_have_one_version_and_no_address() -> None:
    wanted = json.loads((NODE / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    packages = json.loads((NODE / "package-lock.json").read_text())["packages"]
    root = packages.pop("")
    assert root["devDependencies"] == wanted
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert package["integrity"].startswith("sha512-"), name
