from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from local.stack import LocalStack
from tests.conftest import BUCKET
from tests.events import handler
from tests.pipeline import Pipeline
from tests.simulation.aws_calls import AwsCalls, InlineExecutor
from tests.simulation.world import NewWorld, World, poisoned_handle_message


@pytest.fixture(scope="module")
def simulated(
    embedded_aws: LocalStack, function_environment: None
) -> Iterator[tuple[Pipeline, AwsCalls]]:
    """The handlers without threads and waiting, and with every AWS call in the simulation's hands.

    For one module at a time: other tests that run in the same process need the real ones, and their logs.
    """
    with pytest.MonkeyPatch.context() as patch, AwsCalls().installed() as calls:
        patch.setattr("contact_imports.jobs.apply_row_batch.ThreadPoolExecutor", InlineExecutor)
        patch.setattr("contact_imports.aws.contacts_table.ThreadPoolExecutor", InlineExecutor)
        patch.setattr("contact_imports.jobs.report_import.ThreadPoolExecutor", InlineExecutor)
        patch.setattr("contact_imports.aws.row_queue.ThreadPoolExecutor", InlineExecutor)
        patch.setattr("contact_imports.aws.retry._BASE_SECONDS", 0)
        handler("row_batch").stores.cache_clear()
        handler("dead_letter").stores.cache_clear()
        for function in ("processor", "row_batch", "dead_letter", "import_ended"):
            patch.setattr(handler(function).logger._logger, "disabled", True)
        yield Pipeline(embedded_aws, BUCKET), calls
    handler("row_batch").stores.cache_clear()
    handler("dead_letter").stores.cache_clear()


@pytest.fixture
def new_world(simulated: tuple[Pipeline, AwsCalls]) -> Iterator[NewWorld]:
    """Makes a world whose chance comes from a seed."""

    def make(seed: int) -> World:
        pipeline, calls = simulated
        calls.invocations, calls.answers = [], {}
        calls.before = calls.watch = None
        handler("row_batch").stores.cache_clear()
        world = World(pipeline, calls, random.Random(seed))
        patch.setattr("functions.row_batch.app.handle_message", poisoned_handle_message(world))
        return world

    with pytest.MonkeyPatch.context() as patch:
        yield make


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits any file into three partitions of batches of two rows."""
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 2)
    monkeypatch.setattr("contact_imports.jobs.split_upload.choose_partition_count", lambda _: 3)
