"""Checks by use: requests and small imports, about 3,000 rows together, and what must come of them."""

from __future__ import annotations

import gzip
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from local.verification.checks import Check, CheckError, NotCheckedError, expect_equal
from local.verification.deployment import Deployment, wait_for

_PATH = "/v1/contacts/imports"
_COLUMN_MAP = {"email": "Email", "firstName": "Name", "customFields": {"plan": "Plan"}}
_NO_IMPORT = "0123456789abcdef01234567"

_MEGABYTE = 1_000_000
_TOO_LARGE = (5 * _MEGABYTE, 9 * _MEGABYTE, 11 * _MEGABYTE)
"""Over our limit, over Lambda's (6 MB, in base64) and over API Gateway's (10 MB): three places that refuse."""

_ORDERED_EMAILS = 100
_ORDERED_ROWS = 2_000
"""Enough for several row batches: each address comes twenty times, and its last row must win."""

_REPORT_ROWS = 1_000
_REPORT_CELL = "x" * 1_200
"""A report over 1,000,000 bytes, which the API answers with a redirect to S3."""

_BURST_THREADS = 32
_MOST_BURST = 500
"""Requests that try to exceed `RequestBurst` (100): about $0.002 of API Gateway and Lambda."""

_EVENT_SECONDS = 120
_LONG_POLL_SECONDS = 10


def _refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal; raises CheckError if it has not the shape of the API's errors."""
    expect_equal("status", response.status_code, status)
    try:
        body: dict[str, Any] = response.json()
    except ValueError:
        raise CheckError("The body is not JSON, so it is not the API's.") from None
    expect_equal("body's fields", sorted(body.keys() - {"data"}), ["code", "error", "success"])
    expect_equal("code", (body["success"], body["code"]), (False, code))
    if not response.headers.get("X-Request-Id"):
        raise CheckError("There is no header X-Request-Id.")
    return body


def _counts(data: dict[str, Any], **expected: int) -> None:
    """Raises CheckError unless an import is completed with these counts, and zeros otherwise."""
    expect_equal("status", data["status"], "completed")
    expect_equal("counts", data["counts"], dict.fromkeys(data["counts"], 0) | expected)


def _csv(*rows: str) -> bytes:
    return "\n".join(("Email,Name,Plan", *rows, "")).encode()


def _post(deployment: Deployment, content: bytes, **headers: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {deployment.key}", **headers}
    return deployment.http.post(deployment.api_url + _PATH, content=content, headers=headers)


def openapi_document(deployment: Deployment) -> None:
    response = deployment.http.get(f"{deployment.api_url}/v1/openapi.json")
    expect_equal("status", response.status_code, 200)
    expect_equal("server", response.json()["servers"][0]["url"], deployment.api_url)


def gateway_refusal(deployment: Deployment) -> None:
    response = deployment.http.get(deployment.api_url)
    _refused(response, 404, "NOT_FOUND")


def no_key(deployment: Deployment) -> None:
    response = deployment.http.get(f"{deployment.api_url}{_PATH}/{_NO_IMPORT}")
    _refused(response, 401, "UNAUTHENTICATED")
    # API Gateway renames it.
    names = ("WWW-Authenticate", "x-amzn-Remapped-WWW-Authenticate")
    if not any(response.headers.get(name, "").startswith("Bearer") for name in names):
        raise CheckError("There is no header WWW-Authenticate, under neither of its names.")


def another_project(deployment: Deployment) -> None:
    response = deployment.client.post(_csv("a@example.com,A,"), "another-project", _COLUMN_MAP)
    _refused(response, 403, "PROJECT_FORBIDDEN")


def too_large(deployment: Deployment) -> None:
    for size in _TOO_LARGE:
        response = _post(
            deployment, bytes(size), **{"Content-Type": "multipart/form-data; boundary=x"}
        )
        try:
            _refused(response, 413, "PAYLOAD_TOO_LARGE")
        except CheckError as error:
            raise CheckError(f"A body of {size // _MEGABYTE} MB: {error}") from None


def binary_upload(deployment: Deployment) -> None:
    rows = [f"binary-{number}@example.com,Zoë {number},pro" for number in range(20)]
    packed = gzip.compress(_csv(*rows, "not an address,X,"))
    _counts(deployment.run(packed, _COLUMN_MAP), total=21, created=20, failed=1)
    expect_equal(
        "a contact",
        deployment.contacts("binary-7@example.com"),
        {"binary-7@example.com": {"firstName": "Zoë 7", "plan": "pro"}},
    )


def presigned_post(deployment: Deployment) -> None:
    response = deployment.client.post_json(deployment.project, _COLUMN_MAP)
    response.raise_for_status()
    created = response.json()["data"]
    form, file = created["upload"], _csv("uploaded@example.com,U,free")
    for what, fields in (
        ("another key", {**form["fields"], "key": f"imports/{deployment.project}/other.csv"}),
        ("no policy", {k: v for k, v in form["fields"].items() if k != "policy"}),
        ("no file content", form["fields"]),
    ):
        content = b"" if what == "no file content" else file
        answer = deployment.http.post(form["url"], data=fields, files={"file": content})
        if answer.is_success:
            raise CheckError(f"S3 accepts a form with {what}.")
    deployment.http.post(form["url"], data=form["fields"], files={"file": file}).raise_for_status()
    _counts(deployment.wait(created["id"]), total=1, created=1)


def conditional_writes(deployment: Deployment) -> None:
    first = _csv("one@example.com,One,free", "two@example.com,Two,pro")
    _counts(deployment.run(first, _COLUMN_MAP), total=2, created=2)
    _counts(deployment.run(first, _COLUMN_MAP), total=2, updated=2)
    # One statement that sets a field and removes another, of a contact whose version is known.
    second = _csv("one@example.com,,team", "two@example.com,Two,pro", "three@example.com,Three,")
    changed = deployment.run(second, _COLUMN_MAP, onBlank="clear")
    _counts(changed, total=3, created=1, updated=2)
    third = _csv("one@example.com,Other,other", "four@example.com,Four,")
    _counts(deployment.run(third, _COLUMN_MAP, onConflict="skip"), total=2, created=1, skipped=1)
    expect_equal(
        "a contact after four imports",
        deployment.contacts("one@example.com"),
        {"one@example.com": {"plan": "team"}},
    )


def order(deployment: Deployment) -> None:
    rows = [
        f"ordered-{number % _ORDERED_EMAILS}@example.com,Row {number},"
        for number in range(_ORDERED_ROWS)
    ]
    changed = _ORDERED_ROWS - _ORDERED_EMAILS
    ended = deployment.run(_csv(*rows), _COLUMN_MAP)
    _counts(ended, total=_ORDERED_ROWS, created=_ORDERED_EMAILS, updated=changed)
    emails = [f"ordered-{number}@example.com" for number in range(_ORDERED_EMAILS)]
    found = deployment.contacts(*emails)
    for number, email in enumerate(emails):
        last = _ORDERED_ROWS - _ORDERED_EMAILS + number
        expect_equal("the last row's value", found.get(email), {"firstName": f"Row {last}"})


def idempotency(deployment: Deployment) -> None:
    file, headers = _csv("again@example.com,A,"), {"Idempotency-Key": secrets.token_hex(8)}
    answers = [
        deployment.client.post(file, deployment.project, _COLUMN_MAP, headers) for _ in range(2)
    ]
    for answer in answers:
        answer.raise_for_status()
    first, second = (answer.json()["data"]["id"] for answer in answers)
    deployment.wait(first)
    expect_equal("the second import's id", second, first)


def dry_run(deployment: Deployment) -> None:
    file = _csv("dry@example.com,D,", "dry@example.com,E,")
    _counts(deployment.run(file, _COLUMN_MAP, dryRun="true"), total=2, created=1, updated=1)
    expect_equal("contacts of a dry run", deployment.contacts("dry@example.com"), {})


def report(deployment: Deployment) -> None:
    bad = [f"bad {number},{_REPORT_CELL},free" for number in range(_REPORT_ROWS)]
    ended = deployment.run(_csv("good@example.com,G,", *bad), _COLUMN_MAP)
    _counts(ended, total=_REPORT_ROWS + 1, created=1, failed=_REPORT_ROWS)
    page = deployment.client.failed_rows(ended["id"], limit=1)
    page.raise_for_status()
    (row,) = page.json()["data"]["data"]
    # The header is row 1.
    expect_equal("the first failed row", (row["row"], row["code"]), (3, "invalid_email"))
    url = f"{deployment.api_url}{_PATH}/{ended['id']}/errors"
    answer = deployment.http.get(url, headers={"Authorization": f"Bearer {deployment.key}"})
    expect_equal("status of a large report", answer.status_code, 302)
    stored = deployment.http.get(answer.headers["Location"])
    expect_equal("status of the redirect's target", stored.status_code, 200)
    expect_equal("lines of the report", len(stored.content.splitlines()), _REPORT_ROWS + 1)


def dropped_file(deployment: Deployment) -> None:
    name = f"{deployment.project}/contacts.csv"
    s3, bucket = deployment.aws("s3"), deployment.bucket
    s3.put_object(
        Bucket=bucket,
        Key=f"drop/{name}",
        Body=_csv("dropped@example.com,D,free", "bad,B,free"),
        Metadata={"column-map": json.dumps(_COLUMN_MAP)},
    )

    def result() -> dict[str, Any] | None:
        try:
            answer = s3.get_object(Bucket=bucket, Key=f"results/{name}.result.json")
        except s3.exceptions.NoSuchKey:
            return None
        document: dict[str, Any] = json.loads(answer["Body"].read())
        return document

    found = wait_for("the result of a dropped file", result)
    deployment.import_ids.append(found["id"])
    _counts(found, total=2, created=1, failed=1)
    s3.head_object(Bucket=bucket, Key=f"results/{name}.errors.csv")


def event(deployment: Deployment) -> None:
    """A temporary rule sends the event of one import to a temporary queue."""
    events, sqs = deployment.aws("events"), deployment.aws("sqs")
    name = f"{deployment.stack_name}-{deployment.project}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    deployment.at_the_end(lambda: sqs.delete_queue(QueueUrl=queue))
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    queue_arn = attributes["Attributes"]["QueueArn"]
    pattern = {
        "source": ["contact-imports"],
        "resources": [f"project/{deployment.project}"],
        "detail-type": ["contact_import.completed"],
    }
    rule_arn = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    deployment.at_the_end(lambda: events.delete_rule(Name=name))
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue_arn}])
    deployment.at_the_end(lambda: events.remove_targets(Rule=name, Ids=["queue"]))

    ids: set[str] = set()

    def told() -> bool | None:
        # A rule takes a while until it works, so another import ends as long as none was told of.
        ids.add(deployment.run(_csv("event@example.com,E,"), _COLUMN_MAP)["id"])
        received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=_LONG_POLL_SECONDS)
        bodies = [json.loads(message["Body"]) for message in received.get("Messages", ())]
        return True if any(body["detail"]["id"] in ids for body in bodies) else None

    wait_for("the event of an import's end", told, _EVENT_SECONDS)


def private_bucket(deployment: Deployment) -> None:
    s3 = deployment.aws("s3")
    item = {"Bucket": deployment.bucket, "Key": f"results/{deployment.project}/private"}
    s3.put_object(**item, Body=b"x")
    address = s3.generate_presigned_url("get_object", Params=item)
    unsigned = address.partition("?")[0]
    expect_equal("status without a signature", deployment.http.get(unsigned).status_code, 403)
    plain = address.replace("https://", "http://", 1)
    expect_equal("status without TLS", deployment.http.get(plain).status_code, 403)


def throttling(deployment: Deployment) -> None:
    url = f"{deployment.api_url}{_PATH}/{_NO_IMPORT}"
    refused: httpx.Response | None = None
    with (
        deployment.new_http() as http,
        ThreadPoolExecutor(_BURST_THREADS) as some,
    ):
        for response in some.map(lambda _: http.get(url), range(_MOST_BURST)):
            if response.status_code == 429:
                refused = response
    if refused is None:
        raise NotCheckedError(
            f"{_MOST_BURST:,} requests did not reach the limit. Deploy with a lower RequestBurst to see it."
        )
    _refused(refused, 429, "THROTTLED")
    if not refused.headers.get("Retry-After"):
        raise CheckError("There is no header Retry-After.")


_GATEWAY = "The embedded API Gateway has no responses of its own, and no limits of a body."
_SIGNATURES = "The embedded S3 does not check signatures or policies."

CHECKS = (
    Check("The API serves its OpenAPI document, with its own address", openapi_document),
    Check("A path outside of the API is refused in the API's shape", gateway_refusal, _GATEWAY),
    Check("A request without a key is refused, with WWW-Authenticate", no_key),
    Check("A key cannot use another project", another_project),
    Check("Bodies of 5, 9 and 11 MB are refused in the API's shape", too_large),
    Check("A gzip file in a form arrives undamaged, with exact counts", binary_upload),
    Check("A presigned POST takes one file, and only as it was signed", presigned_post),
    Check("Contacts are written on conditions: created, changed, cleared, skipped", conditional_writes),
    Check("Rows of one address are applied in the order of the file", order),
    Check("A request that is repeated makes one import", idempotency),
    Check("A dry run counts and writes nothing", dry_run),
    Check("Failed rows are reported, and a large report by a redirect", report),
    Check("A dropped file is imported, with its result beside it", dropped_file),
    Check("The end of an import is told on the event bus", event),
    Check("The bucket refuses requests without signature or TLS", private_bucket, _SIGNATURES),
    Check("Requests above the limit are refused with 429 and Retry-After", throttling,
          "The embedded API Gateway is not set to throttle."),
)  # fmt: skip
