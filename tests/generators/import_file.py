"""Imports a file as a program with a generated client would; prints what it saw as JSON.

tests/e2e/test_generators.py puts it next to the client that openapi-python-client generates.
"""

from __future__ import annotations

import io
import json
import os
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
from contact_imports_client import AuthenticatedClient, Client
from contact_imports_client.api.contacts import (
    create_contact_import,
    create_contact_import_upload,
    download_contact_import_failed_rows,
    get_contact_import,
    list_contact_import_failed_rows,
    list_contact_imports,
)
from contact_imports_client.models import (
    ApiError,
    ApiResponseContactImportStatus,
    ColumnMapFields,
    CreateContactImportRequest,
    CreateContactImportUploadRequest,
    CreateContactImportUploadRequestOnConflict,
    Status,
)
from contact_imports_client.types import File

POLL_SECONDS = 0.2

PROJECT_ID = os.environ["PROJECT_ID"]
CONTENT = Path(os.environ["FILE"]).read_bytes()
BAD_CONTENT = Path(os.environ["BAD_FILE"]).read_bytes()
TRUST = ssl.create_default_context(cafile=os.environ["CA_FILE"])


def form(content: bytes) -> CreateContactImportRequest:
    return CreateContactImportRequest(
        file=File(io.BytesIO(content), "contacts.csv", "text/csv"),
        project_id=PROJECT_ID,
        column_map=json.dumps({"email": "Email", "name": "Name"}),
        tags="posted",
    )


def ended(client: AuthenticatedClient, import_id: str) -> Any:
    while True:
        answer = get_contact_import.sync(import_id, client=client)
        assert isinstance(answer, ApiResponseContactImportStatus)
        if answer.data.completed_at is not None:
            return answer.data
        time.sleep(POLL_SECONDS)


def main() -> None:
    url = os.environ["API_URL"]
    stranger = Client(url, verify_ssl=TRUST)
    refused = list_contact_imports.sync_detailed(client=stranger, project_id=PROJECT_ID)
    assert isinstance(refused.parsed, ApiError)
    client = AuthenticatedClient(
        url, token=os.environ["API_KEY"], verify_ssl=TRUST, follow_redirects=True
    )

    created = create_contact_import.sync_detailed(client=client, body=form(CONTENT))
    posted = ended(client, created.parsed.data.id)

    page = list_contact_import_failed_rows.sync(posted.id, client=client, limit=1).data
    rows = list(page.data)
    while page.next_cursor is not None:
        page = list_contact_import_failed_rows.sync(
            posted.id, client=client, cursor=page.next_cursor
        ).data
        rows += page.data
    report = download_contact_import_failed_rows.sync(posted.id, client=client)

    bad = ended(client, create_contact_import.sync(client=client, body=form(BAD_CONTENT)).data.id)
    redirected = download_contact_import_failed_rows.sync(bad.id, client=client)

    request = CreateContactImportUploadRequest(
        project_id=PROJECT_ID,
        column_map=ColumnMapFields(email="Email", name="Name"),
        tags=["uploaded"],
        on_conflict=CreateContactImportUploadRequestOnConflict.SKIP,
    )
    asked = create_contact_import_upload.sync(client=client, body=request)
    upload = asked.data.upload
    stored = httpx.post(
        upload.url, data=upload.fields.to_dict(), files={"file": io.BytesIO(CONTENT)}, verify=TRUST
    )
    uploaded = ended(client, asked.data.id)

    listed = list_contact_imports.sync(
        client=client, project_id=PROJECT_ID, status=Status.COMPLETED
    )
    print(
        json.dumps(
            {
                "refusal": {"status": refused.status_code, "code": refused.parsed.code},
                "request_id": created.headers["X-Request-Id"],
                "posted": posted.counts.to_dict(),
                "failed_rows": [[row.row, row.code] for row in rows],
                "report": report,
                "redirected": redirected,
                "stored": stored.is_success,
                "uploaded": uploaded.counts.to_dict(),
                "listed": sorted(entry.id for entry in listed.data.data),
                "ids": sorted([posted.id, uploaded.id, bad.id]),
            }
        )
    )


if __name__ == "__main__":
    main()
