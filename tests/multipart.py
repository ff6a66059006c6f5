"""Multipart bodies as clients send them, and as no client should."""

from __future__ import annotations

from collections.abc import Mapping

BOUNDARY = "------------------------d74496d66958873e"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"

FILE = b"Email,First Name\r\nada@example.com,Ada\r\n"
FIELDS: dict[str, str | bytes] = {
    "file": FILE,
    "projectId": "demo",
    "columnMap": '{"email":"Email","firstName":"First Name"}',
}


def body(fields: Mapping[str, str | bytes] | list[tuple[str, str | bytes]]) -> bytes:
    """A form as curl -F writes it; a list can have a field twice."""
    parts = []
    for name, value in fields.items() if isinstance(fields, Mapping) else fields:
        content = value.encode() if isinstance(value, str) else value
        file = '; filename="contacts.csv"\r\nContent-Type: text/csv' if name == "file" else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        parts.append(head.encode() + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
