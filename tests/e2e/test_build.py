"""The build that is deployed: the output of `sam build`, with bytecode."""

from __future__ import annotations

import importlib.util
from importlib.machinery import BYTECODE_SUFFIXES
from pathlib import Path

import pytest

from local import sam
from local.sam import ARCHITECTURE, ARM64, RUNTIME, X86_64
from tests.e2e.conftest import Account

_UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # PEP 552


@pytest.mark.parametrize(
    "module", ["ContactImportsLayer/python/contact_imports/model/contact.py", "ApiFunction/app.py"]
)
def test_modules_are_deployed_with_bytecode_that_is_taken_as_it_is(
    account: Account, module: str
) -> None:
    bytecode = Path(importlib.util.cache_from_source(str(account.stack.build_folder / module)))
    assert bytecode.suffix in BYTECODE_SUFFIXES
    written = bytecode.read_bytes()
    assert written[:4] == importlib.util.MAGIC_NUMBER
    assert written[4:8] == _UNCHECKED_HASH


_MACHINES = {ARM64: 183, X86_64: 62}
"""`e_machine` of ELF, at byte 18: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html"""


def machines(folder: Path) -> dict[str, int]:
    """The machine of each compiled module under a folder."""
    return {
        path.name: int.from_bytes(path.read_bytes()[18:20], "little")
        for path in folder.rglob("*.so")
    }


def test_the_local_stack_is_built_for_this_machine(account: Account) -> None:
    compiled = machines(account.stack.build_folder)
    assert compiled
    assert set(compiled.values()) == {_MACHINES[ARCHITECTURE]}


def test_the_layer_is_built_for_another_machine_too(tmp_path: Path, account: Account) -> None:
    other = ARM64 if ARCHITECTURE == X86_64 else X86_64
    sam.build(tmp_path / "build", RUNTIME, other, tmp_path / "log")
    compiled = machines(tmp_path / "build")
    assert len(compiled) == len(machines(account.stack.build_folder))
    assert set(compiled.values()) == {_MACHINES[other]}
