"""Starts the embedded AWS, deploys, imports a file over HTTP and shows the result."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from local import sample
from local.client import ImportsClient, NoApiAnswerError
from local.emulator import AlreadyRunningError, StackError, free_port, signals_end_this_process, why
from local.stack import PROJECT_ID, LocalStack
from local.stages import bring_up, done
from local.up import DEMO_STATE

_SHOWN_CONTACTS = 6
_SHOWN_ERRORS = 3
_SECONDS_A_ROW = 0.01
_SECONDS_AT_LEAST = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--state", type=Path, default=DEMO_STATE)
    arguments = parser.parse_args()
    stack = LocalStack(free_port(), state=arguments.state.resolve())
    with signals_end_this_process():
        try:
            _run(Console(), stack, arguments.rows)
        except AlreadyRunningError:
            sys.exit("A demo is running already. Wait until it ends, or stop it: `make down`.")
        except (
            StackError,
            TimeoutError,
            OSError,
            httpx.HTTPError,
            NoApiAnswerError,
            BotoCoreError,
            ClientError,
        ) as error:
            _end(stack)
            sys.exit(why(error))
        except BaseException:
            _end(stack)
            raise
        _end(stack)
        shutil.rmtree(stack.state)


def _end(stack: LocalStack) -> None:
    """Stops the stack; its logs stay, so that you can find the cause of a failure."""
    stack.stop()
    stack.forget()


def _run(console: Console, stack: LocalStack, rows: int) -> None:
    bring_up(console, stack)
    with (
        ImportsClient(stack.api_url, stack.make_key()) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        path = Path(folder) / "contacts.csv"
        sample.write(path, rows, seed=1)
        done(console, f"A file of {rows:,} rows, {path.stat().st_size:,} bytes")
        started = time.monotonic()
        response = client.send(path, PROJECT_ID, sample.COLUMN_MAP, tags="newsletter,launch")
        if not response.is_success:
            raise StackError(f"The API answered {response.status_code}: {response.text}")
        created = response.json()["data"]
        done(console, f"POST /v1/contacts/imports: import {created['id']}\n")
        ended = _show_progress(console, client, created["id"], rows)
        seconds = time.monotonic() - started
        console.print(f"\nImport {ended['id']}: {ended['status']} after {seconds:.1f} s")
        _show_counts(console, ended)
        if ended["counts"]["failed"]:
            _show_errors(console, client, ended)
        _show_contacts(console, stack)
    if ended["status"] != "completed":
        raise StackError(f"The import failed: {ended['error']}")


class _RowsColumn(TextColumn):
    """The number of counted rows and of all rows; empty before the file is read."""

    def render(self, task: Task) -> Text:
        return Text("" if task.total is None else f"{task.completed:,.0f}/{task.total:,.0f} rows")


def _show_progress(
    console: Console, client: ImportsClient, import_id: str, rows: int
) -> dict[str, Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        _RowsColumn(""),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("processing", total=None)

        def show(data: dict[str, Any]) -> None:
            counts = data["counts"]
            counted = sum(counts.values()) - counts["total"]
            total = counts["total"] or None
            progress.update(task, description=data["status"], total=total, completed=counted)

        return client.wait(import_id, max(_SECONDS_AT_LEAST, rows * _SECONDS_A_ROW), show)


def _show_counts(console: Console, data: dict[str, Any]) -> None:
    table = Table()
    for name in data["counts"]:
        table.add_column(name, justify="right")
    table.add_row(*(f"{count:,}" for count in data["counts"].values()))
    console.print(table)


def _show_errors(console: Console, client: ImportsClient, data: dict[str, Any]) -> None:
    response = client.errors(data["id"], format="json", limit=_SHOWN_ERRORS)
    response.raise_for_status()
    console.print("\nA few of the failed rows")
    table = Table("row", "line", "field", "code", "message")
    for row in response.json()["data"]["data"]:
        table.add_row(str(row["row"]), str(row["line"]), row["field"], row["code"], row["message"])
    console.print(table)


def _show_contacts(console: Console, stack: LocalStack) -> None:
    names = ("email", "firstName", "country", "tags")
    console.print("\nA few of the contacts")
    table = Table(*names)
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
