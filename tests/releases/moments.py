"""The moments of an import at which an upgrade can come; each is reached with the real functions of a release."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from tests.events import failure_event
from tests.gateway import api_event
from tests.multipart import CONTENT_TYPE, body
from tests.pipeline import Pipeline, items_of
from tests.releases.delivery import Delivery, ReleaseOf
from tests.releases.recording import Recording

NOTES = 5
COLUMN_MAP = {
    "email": "Email",
    "firstName": "First",
    "customFields": {f"note{n}": f"Note {n}" for n in range(NOTES)},
}
_LARGE = ",".join(["x" * 8_000] * NOTES)
"""So large that 36 rows are two partitions of several batches each."""

_HEADER = ",".join(("Email", "First", *(f"Note {n}" for n in range(NOTES))))
_FEW = ",a" * NOTES
BEFORE = "\n".join(
    (
        _HEADER,
        f"c1@example.com,Before{_FEW}",
        f"c3@example.com,Before{_FEW}",
        f"c9@example.com,{_FEW}",
        "",
    )
)
CONTENT = "\n".join(
    (
        _HEADER,
        *(f"c{n}@example.com,Name {n},{_LARGE}" for n in range(30)),
        *(f"c{n}@example.com,Again,{_LARGE}" for n in range(0, 16, 5)),
        f"no email,x{_FEW}",
        f"c1@example.com,a{_FEW},shifted",
        f"c2@example.com,{_FEW}",
        "",
    )
)


class Recorder:
    """Brings an import of a project to a moment, and records it."""

    def __init__(self, pipeline: Pipeline, release_of: ReleaseOf, project: str) -> None:
        self._pipeline = pipeline
        self.project = project
        table = ApiKeyTable(pipeline.dynamodb, "ApiKeysTable")
        self._key = table.create(tuple(Scope), (project,), datetime.now(UTC))
        self.delivery = Delivery(pipeline, release_of)
        self.asked: list[dict[str, Any]] = []
        self.before_id = self.post("before", BEFORE)
        self.delivery.upload(self.uploaded(self.before_id))
        self.delivery.finish(self.before_id)
        self.import_id = ""
        self.content = CONTENT
        self.missing: list[int] = []

    def ask(self, event: dict[str, Any]) -> Any:
        """Asks the API's function; the answer must be the same ever after."""
        answer = self.delivery.invoke("api", event)
        assert answer["statusCode"] < 300, answer
        self.asked.append({"event": event, "answer": answer})
        return json.loads(answer["body"]) if answer["body"].startswith("{") else None

    def get(self, path: str) -> None:
        """Asks for something of the import."""
        url = f"/v1/contacts/imports/{self.import_id}{path}"
        self.ask(api_event("GET", url, headers={"Authorization": f"Bearer {self._key}"}))

    def post(self, idempotency_key: str, file: str, **options: str) -> str:
        """Posts a file; returns the import's id."""
        form = {
            "projectId": self.project,
            "columnMap": json.dumps(COLUMN_MAP),
            "tags": '["t"]',
            "file": file,
            **options,
        }
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": CONTENT_TYPE,
            "Idempotency-Key": f"{self.project}-{idempotency_key}",
        }
        event = api_event("POST", "/v1/contacts/imports", headers=headers, body=body(form))
        return str(self.ask(event)["data"]["id"])

    def begin(self, **options: str) -> dict[str, Any]:
        """Posts the import's file; returns the event of its upload."""
        self.import_id = self.post("it", CONTENT, **options)
        return self.uploaded(self.import_id)

    def uploaded(self, import_id: str) -> dict[str, Any]:
        """The event of an uploaded file."""
        return self._pipeline.object_event(f"imports/{self.project}/{import_id}.csv")

    def groups(self) -> list[str]:
        """The message groups of the partitions that have messages."""
        return sorted(group for group, bodies in self.delivery.groups.items() if bodies)

    def drop(self) -> dict[str, Any]:
        """Drops the file; returns its event. Its import is known once the processor was told."""
        return self._pipeline.drop(
            f"drop/{self.project}/file.csv",
            CONTENT.encode(),
            column_map=json.dumps(COLUMN_MAP),
            tags='["t"]',
        )

    def find_dropped(self) -> None:
        """Finds the import of the dropped file."""
        items = items_of(self._pipeline.dynamodb, "ImportsTable")
        (self.import_id,) = (
            item["importId"]["S"]
            for item in items
            if item.get("projectId") == {"S": self.project} and "droppedKey" in item
        )

    def recording(self) -> Recording:
        """What there is now."""
        recording = Recording(
            project=self.project,
            before_id=self.before_id,
            import_id=self.import_id,
            before_content=BEFORE,
            content=self.content,
            missing=sorted(self.missing),
            groups={
                group: list(bodies) for group, bodies in self.delivery.groups.items() if bodies
            },
            dead=self.delivery.dead,
            events=self.delivery.events,
            failures=self.delivery.failures,
            asked=self.asked,
        )
        recording.take_state(self._pipeline)
        return recording


def pending(recorder: Recorder) -> None:
    """The client has a presigned POST, and has not posted the file yet."""
    fields = {"projectId": recorder.project, "columnMap": COLUMN_MAP, "tags": ["t"]}
    headers = {
        "Authorization": f"Bearer {recorder._key}",
        "Content-Type": "application/json",
        "Idempotency-Key": f"{recorder.project}-it",
    }
    path = "/v1/contacts/imports/uploads"
    event = api_event("POST", path, headers=headers, body=json.dumps(fields).encode())
    recorder.import_id = recorder.ask(event)["data"]["id"]
    # It posts the file after the upgrade.
    recorder._pipeline.uploads.put(recorder.project, recorder.import_id, CONTENT.encode())
    recorder.delivery.events.append(recorder.uploaded(recorder.import_id))


def accepted(recorder: Recorder) -> None:
    """The file is in the bucket, and the processor was not told yet."""
    recorder.delivery.events.append(recorder.begin())


def half_sent(recorder: Recorder) -> None:
    """The processor died after some row batches, and is going to run again."""
    recorder.delivery.upload(recorder.begin(), dies_at=("SendMessage", 2))


def given_up(recorder: Recorder) -> None:
    """The processor died after some row batches, each time that it ran."""
    recorder.delivery.upload(recorder.begin(), dies_at=("SendMessage", 2))
    recorder.delivery.failures.append(failure_event(recorder.delivery.events.pop()))
    sent = {row for bodies in recorder.delivery.groups.values() for row in _rows(*bodies)}
    recorder.missing = sorted(set(range(2, CONTENT.count("\n") + 1)) - sent)


def half_applied(recorder: Recorder) -> None:
    """All batches are sent; one is counted, and row_batch died after it had applied another."""
    recorder.delivery.upload(recorder.begin())
    first, second, *_ = recorder.groups()
    assert recorder.delivery.rows(first)
    assert not recorder.delivery.rows(second, dies_at=("UpdateItem", 0))


def dry_run(recorder: Recorder) -> None:
    """The same of a dry run."""
    recorder.delivery.upload(recorder.begin(dryRun="true"))
    first, second, *_ = recorder.groups()
    assert recorder.delivery.rows(first)
    assert not recorder.delivery.rows(second, dies_at=("UpdateItem", 0))


def gap(recorder: Recorder) -> None:
    """The first batch of a partition is a dead letter, and the second has overtaken it."""
    recorder.delivery.upload(recorder.begin())
    first, second, *_ = recorder.groups()
    recorder.missing = sorted(_rows(recorder.delivery.groups[first][0]))
    recorder.delivery.bury(first)
    assert recorder.delivery.rows(first)
    assert recorder.delivery.rows(second)


def ended(recorder: Recorder) -> None:
    """All rows are counted, and nothing has followed the end."""
    recorder.delivery.upload(recorder.begin())
    for group in recorder.groups():
        while recorder.delivery.groups[group]:
            assert recorder.delivery.rows(group)


def followed(recorder: Recorder) -> None:
    """All is done; clients ask for the import and its failed rows."""
    recorder.delivery.upload(recorder.begin())
    recorder.delivery.finish(recorder.import_id)
    recorder.get("")
    recorder.get("/failed-rows")
    recorder.get("/errors")


def dropped(recorder: Recorder) -> None:
    """A dropped file, whose processor died after some row batches, and is going to run again."""
    recorder.delivery.upload(recorder.drop(), dies_at=("SendMessage", 2))
    recorder.find_dropped()


Moment = Callable[[Recorder], None]
MOMENTS: dict[str, Moment] = {
    moment.__name__: moment
    for moment in (
        pending,
        accepted,
        half_sent,
        given_up,
        half_applied,
        dry_run,
        gap,
        ended,
        followed,
        dropped,
    )
}


def record(name: str, pipeline: Pipeline, release_of: ReleaseOf) -> Recording:
    """Records the moment of this name."""
    project = f"{name.replace('_', '-')}-{secrets.token_hex(4)}"
    recorder = Recorder(pipeline, release_of, project)
    MOMENTS[name](recorder)
    return recorder.recording()


def _rows(*bodies: str) -> set[int]:
    messages = [json.loads(text) for text in bodies]
    return {row[0] for message in messages for row in (*message["rows"], *message["rejected"])}
