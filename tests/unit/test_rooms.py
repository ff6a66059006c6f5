"""Imports go one way between the rooms of the core package, and jobs and api do not know each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from local.stack import ROOT

PACKAGE = ROOT / "layers" / "contact_imports" / "contact_imports"
# A room may import those before it.
ROOMS = ("model", "files", "messages", "aws", "jobs", "api")


def imports() -> Iterator[tuple[str, str, str]]:
    """(room, file, room that the file imports)"""
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
                yield room, path.name, (node.module or "").split(".")[1]


def test_imports_go_one_way() -> None:
    seen = set()
    for room, file, imported in imports():
        assert ROOMS.index(imported) <= ROOMS.index(room), f"{room}/{file} imports {imported}"
        assert (room, imported) != ("api", "jobs"), f"api/{file} imports jobs"
        seen.add(room)
    assert seen == set(ROOMS)


def test_a_room_is_empty_but_for_its_files() -> None:
    assert all(not (PACKAGE / room / "__init__.py").read_text() for room in ROOMS)
