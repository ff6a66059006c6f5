"""Events on EventBridge about imports that ended."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from contact_imports.model.import_job import Import

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "contact-imports"


class EventRefusedError(Exception):
    """EventBridge refused an event, with this error code."""


class EventBus:
    """Events of a stack's imports."""

    def __init__(self, client: EventBridgeClient, bus_name: str, stack_name: str) -> None:
        self._client = client
        self._bus = bus_name
        self._stack = stack_name

    def import_ended(self, job: Import, now: datetime) -> None:
        """Sends `contact_import.completed` or `contact_import.failed`, with the data of the API's GET.

        Raises EventRefusedError.
        """
        response = self._client.put_events(
            Entries=[
                {
                    "EventBusName": self._bus,
                    "Source": SOURCE,
                    "DetailType": f"contact_import.{job.status.value}",
                    "Detail": msgspec.json.encode(job.as_api(now)).decode(),
                    # Stacks of an account share the bus, so rules need to tell them apart.
                    "Resources": [f"project/{job.project_id}", f"stack/{self._stack}"],
                }
            ]
        )
        for entry in response["Entries"]:
            if "ErrorCode" in entry:
                raise EventRefusedError(entry["ErrorCode"])
