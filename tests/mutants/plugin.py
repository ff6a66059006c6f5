"""What a mutation run asks of pytest: no search for the smallest failing example, and an end to tests that hang."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import Phase, settings

SECONDS_VARIABLE = "MUTANTS_TEST_SECONDS"
"""The environment variable with the seconds that a test may take; without it, tests may take any time."""

_AGAIN_SECONDS = 5
"""A test that waits for a thread while it ends is interrupted as often as needed."""


class HangsError(BaseException):
    """A test takes many times longer than without a mutation; nothing that a test calls catches it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Takes the phases from each test of Hypothesis that look for a smaller or a better explained failure."""
    for item in items:
        test: Any = getattr(item, "obj", None)
        function = getattr(test, "__func__", test)
        chosen = getattr(function, "_hypothesis_internal_use_settings", None)
        if chosen is not None:
            phases = [one for one in chosen.phases if one not in (Phase.shrink, Phase.explain)]
            function._hypothesis_internal_use_settings = settings(
                chosen, phases=phases, database=None
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Fails a test that hangs."""
    if SECONDS_VARIABLE not in os.environ:
        return (yield)
    seconds = float(os.environ[SECONDS_VARIABLE])

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise HangsError(f"the test did not end in {seconds:.0f} seconds")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        return (yield)
    except HangsError as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        pytest.fail(str(error))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
