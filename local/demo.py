"""The main job, once: start the embedded AWS, deploy, import a file over HTTP, show what came of it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local import sample
from local.client import ImportsClient
from local.stack import PROJECT_ID, ROOT, LocalStack, StackError, free_port

_SHOWN_CONTACTS = 6
_SHOWN_ERRORS = 3
_SECONDS_A_ROW = 0.01
_SECONDS_AT_LEAST = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    arguments = parser.parse_args()
    console = Console()
    stack = LocalStack(free_port(), state=ROOT / ".local" / "demo")
    try:
        _run(console, stack, arguments.rows)
    except (StackError, TimeoutError) as error:
        sys.exit(str(error))
    finally:
        stack.stop()


def _run(console: Console, stack: LocalStack, rows: int) -> None:
    with console.status("Starting the embedded AWS"):
        stack.start()
    console.print(f"[green]✓[/] The embedded AWS runs at {stack.endpoint}")
    with console.status("Building the functions (sam build)"):
        stack.build()
    console.print("[green]✓[/] Built with sam build")
    with console.status("Deploying template.yaml (sam deploy)"):
        stack.deploy()
    console.print(f"[green]✓[/] Deployed with sam deploy: {stack.api_url}")
    client = ImportsClient(stack.api_url, stack.make_key())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "contacts.csv"
        sample.write(path, rows, seed=1)
        console.print(f"[green]✓[/] A file of {rows:,} rows, {path.stat().st_size:,} bytes")
        started = time.monotonic()
        response = client.send(path, PROJECT_ID, sample.COLUMN_MAP, tags="newsletter,launch")
    if not response.ok:
        raise StackError(f"The API answered {response.status_code}: {response.text}")
    created = response.json()["data"]
    console.print(f"[green]✓[/] POST /v1/contacts/imports: import {created['id']}\n")
    ended = _show_progress(console, client, created["id"], rows)
    seconds = time.monotonic() - started
    _show_counts(console, ended, seconds)
    _show_errors(console, client, ended)
    _show_contacts(console, stack)
    if ended["status"] != "completed":
        raise StackError(f"The import failed: {ended['error']}")


def _show_progress(
    console: Console, client: ImportsClient, import_id: str, rows: int
) -> dict[str, Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("processing", total=None)

        def show(data: dict[str, Any]) -> None:
            counts = data["counts"]
            settled = sum(counts.values()) - counts["total"]
            total = counts["total"] or None
            progress.update(task, description=data["status"], total=total, completed=settled)

        return client.wait(import_id, max(_SECONDS_AT_LEAST, rows * _SECONDS_A_ROW), show)


def _show_counts(console: Console, data: dict[str, Any], seconds: float) -> None:
    table = Table(title=f"\nImport {data['id']}: {data['status']} after {seconds:.1f} s")
    for name, count in data["counts"].items():
        table.add_column(name, justify="right", footer=f"{count:,}")
    table.add_row(*(f"{count:,}" for count in data["counts"].values()))
    console.print(table)


def _show_errors(console: Console, client: ImportsClient, data: dict[str, Any]) -> None:
    response = client.errors(data["id"], format="json", limit=_SHOWN_ERRORS)
    response.raise_for_status()
    table = Table("row", "line", "field", "code", "message", title="\nA few of the failed rows")
    for row in response.json()["data"]["data"]:
        table.add_row(str(row["row"]), str(row["line"]), row["field"], row["code"], row["message"])
    console.print(table)


def _show_contacts(console: Console, stack: LocalStack) -> None:
    names = ("email", "firstName", "country", "tags")
    table = Table(*names, title="\nA few of the contacts")
    items = stack.client("dynamodb").scan(
        TableName=stack.outputs["ContactsTableName"], Limit=_SHOWN_CONTACTS
    )["Items"]
    for item in items:
        table.add_row(*(_text(item.get(name)) for name in names))
    console.print(table)


def _text(value: dict[str, Any] | None) -> str:
    if value is None:
        return ""
    if "M" in value:
        return ", ".join(f"{key}={inner['S']}" for key, inner in sorted(value["M"].items()))
    return ", ".join(sorted(value["SS"])) if "SS" in value else str(value["S"])


if __name__ == "__main__":
    main()
