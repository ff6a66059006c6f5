"""Shows the imports of a stack that have not ended: how far, how old, and when they are failed if nothing moves.

python -m local.imports [--stack-name contact-imports] [--once]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.live import Live
from rich.table import Table

from local.deployed import outputs_of
from local.emulator import ROOT
from local.sam import STACK_NAME

sys.path.insert(0, str(ROOT / "layers" / "contact_imports"))

from contact_imports.aws.imports_table import ImportTable
from contact_imports.model.import_job import Import

MOST_SHOWN = 50
_REFRESH_SECONDS = 2


def open_imports(imports: ImportTable) -> Iterator[tuple[Import, bool]]:
    """The imports that have not ended, and those whose end is being reported (True)."""
    for ids, reporting in ((imports.all_open(), False), (imports.all_unfollowed(), True)):
        for import_id in ids:
            job = imports.get(import_id)
            if job is not None:
                yield job, reporting


def table_of(imports: ImportTable, now: datetime) -> Table:
    """At most `MOST_SHOWN` open imports as a table."""
    table = Table("import", "project", "state", "rows", "age", title="Open imports")
    table.columns[0].no_wrap = True
    more = False
    for number, (job, reporting) in enumerate(open_imports(imports)):
        if number == MOST_SHOWN:
            more = True
            break
        counts = job.counts
        rows = f"{counts.settled:,}/{counts.total:,}" if counts.total else ""
        state = "reporting" if reporting else job.status.value
        age = timedelta(seconds=int((now - job.created_at).total_seconds()))
        table.add_row(job.id, job.project_id, state, rows, str(age))
    if more:
        table.caption = f"and more than these {MOST_SHOWN}"
    elif not table.row_count:
        table.caption = "none"
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stack-name", default=STACK_NAME)
    parser.add_argument("--once", action="store_true", help="print them once, and do not watch")
    arguments = parser.parse_args()
    console = Console()
    try:
        outputs = outputs_of(boto3.client("cloudformation"), arguments.stack_name)
        imports = ImportTable(boto3.client("dynamodb"), outputs["ImportsTableName"])
        if arguments.once or not console.is_terminal:
            console.print(table_of(imports, datetime.now(UTC)))
            return
        with Live(table_of(imports, datetime.now(UTC)), console=console) as live:
            while True:
                time.sleep(_REFRESH_SECONDS)
                live.update(table_of(imports, datetime.now(UTC)))
    except KeyboardInterrupt:
        pass
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS answered: {error}")


if __name__ == "__main__":
    main()
