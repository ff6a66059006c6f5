"""Settings of pytest for a mutation run: the same examples each time, and no search for the smallest failure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        test: Any = getattr(item, "obj", None)
        chosen = getattr(test, "_hypothesis_internal_use_settings", None)
        if chosen is None:
            continue
        phases = [phase for phase in chosen.phases if phase not in (Phase.shrink, Phase.explain)]
        function = getattr(test, "__func__", test)
        function._hypothesis_internal_use_settings = settings(chosen, phases=phases, database=None)
