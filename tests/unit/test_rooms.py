"""The rooms of the core package import each other in one direction."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from local.stack import ROOT

PACKAGE = ROOT / "layers" / "contact_imports" / "contact_imports"
LOWER_ROOMS = {
    "model": set[str](),
    "files": {"model"},
    "messages": {"model", "files"},
    "aws": {"model", "files", "messages"},
    "jobs": {"model", "files", "messages", "aws"},
    "api": {"model", "files", "messages", "aws"},
}
AWS_LIBRARIES = {"boto3", "botocore", "aws_lambda_powertools", "s3transfer"}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions and for types."""
    modules = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            modules.add(module)
            modules |= {f"{module}.{alias.name}" for alias in node.names}
    return modules


def rooms_of(modules: set[str]) -> set[str]:
    return {
        module.split(".")[1]
        for module in modules
        if module.startswith("contact_imports.") and module.count(".") >= 1
    }


def test_every_module_is_in_a_room() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py"}
    assert {path.parent.name for path in PACKAGE.glob("*/*.py")} == set(LOWER_ROOMS)


@pytest.mark.parametrize("room", LOWER_ROOMS)
def test_a_room_imports_only_lower_rooms(room: str) -> None:
    paths = sorted((PACKAGE / room).glob("*.py"))
    assert paths
    allowed = LOWER_ROOMS[room] | {room}
    wrong = {
        f"{path.relative_to(PACKAGE)} -> {other}"
        for path in paths
        for other in rooms_of(imports_of(path)) - allowed
    }
    assert wrong == set()


@pytest.mark.parametrize("room", ["model", "files"])
def test_pure_rooms_import_no_aws_library(room: str) -> None:
    wrong = {
        f"{path.relative_to(PACKAGE)} -> {module}"
        for path in (PACKAGE / room).glob("*.py")
        for module in imports_of(path)
        if module.split(".")[0] in AWS_LIBRARIES
    }
    assert wrong == set()


def test_every_room_is_an_empty_package() -> None:
    for room in LOWER_ROOMS:
        assert (PACKAGE / room / "__init__.py").read_bytes() == b""


def test_nothing_in_the_package_imports_what_is_not_deployed() -> None:
    for path in PACKAGE.rglob("*.py"):
        roots = {module.split(".")[0] for module in imports_of(path)}
        assert roots.isdisjoint({"tests", "local", "bench", "functions"}), path
