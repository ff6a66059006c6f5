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

from local.emulator import ROOT
from local.sam import STACK_NAME

sys.path.insert(0, str(ROOT / "layers" / "contact_imports"))

from contact_imports.aws.imports_table import ImportTable
from contact_imports.model.import_job import IMPORT_DEADLINE_SECONDS, Import

MOST_SHOWN = 50
_REFRESH_SECONDS = 2
_AFTER_EVERY_DEADLINE = timedelta(seconds=2 * IMPORT_DEADLINE_SECONDS)


def open_imports(imports: ImportTable, now: datetime) -> Iterator[tuple[Import, bool]]:
    """The imports that have not ended, and those whose end is being reported (True), the nearest deadline first."""
    later = now + _AFTER_EVERY_DEADLINE
    for ids, reporting in ((imports.overdue(later), False), (imports.unfollowed(later), True)):
        for import_id in ids:
            job = imports.get(import_id)
            if job is not None:
                yield job, reporting


def table_of(imports: ImportTable, now: datetime) -> Table:
    """At most `MOST_SHOWN` open imports as a table."""
    table = Table("import", "project", "state", "rows", "age", title="Open imports")
    table.columns[0].no_wrap = True
    more = False
    for number, (job, reporting) in enumerate(open_imports(imports, now)):
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
        stacks = boto3.client("cloudformation").describe_stacks(StackName=arguments.stack_name)
        outputs = {out["OutputKey"]: out["OutputValue"] for out in stacks["Stacks"][0]["Outputs"]}
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
