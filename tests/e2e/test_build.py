"""The build that is deployed: the output of `sam build`, with bytecode."""

from __future__ import annotations

import importlib.util
from importlib.machinery import BYTECODE_SUFFIXES
from pathlib import Path

import pytest

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
