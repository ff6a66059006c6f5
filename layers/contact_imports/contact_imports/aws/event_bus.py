"""Events on EventBridge about imports that ended."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from contact_imports.aws.retry import TRANSIENT_CODES, StillUnprocessedError, attempts
from contact_imports.model.import_job import Import

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

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

        Raises EventRefusedError, StillUnprocessedError.
        """
        entry: PutEventsRequestEntryTypeDef = {
            "EventBusName": self._bus,
            "Source": SOURCE,
            "DetailType": f"contact_import.{job.status.value}",
            "Detail": msgspec.json.encode(job.as_api(now)).decode(),
            # Stacks of an account share the bus, so rules need to tell them apart.
            "Resources": [f"project/{job.project_id}", f"stack/{self._stack}"],
        }
        for _ in attempts():
            (result,) = self._client.put_events(Entries=[entry])["Entries"]
            if "ErrorCode" not in result:
                return
            if result["ErrorCode"] not in TRANSIENT_CODES:
                raise EventRefusedError(result["ErrorCode"])
        raise StillUnprocessedError("an event could not be sent")
