"""Shows that a deployment works: small imports, refusals and settings, in a project of its own that is deleted after.

python -m local.verification [--stack-name contact-imports]

The exit code is 0 if nothing fails, 1 if something does, 2 if it could not begin.
"""

from __future__ import annotations

import argparse
import sys

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from local.emulator import signals_end_this_process
from local.sam import STACK_NAME
from local.verification import settings, use
from local.verification.checks import Finding, Verdict, finding_of
from local.verification.deployment import Deployment

_COLOURS = {
    Verdict.HOLDS: "green",
    Verdict.FAILS: "bold red",
    Verdict.KNOWN_DIFFERENCE: "yellow",
    Verdict.NOT_CHECKED: "yellow",
}


def verify(console: Console, deployment: Deployment) -> bool:
    """Makes every check, prints a table of the results, and removes all traces.

    Returns whether nothing failed and everything was removed.
    """
    findings: list[Finding] = []
    with signals_end_this_process():
        try:
            for check in (*settings.CHECKS, *use.CHECKS):
                with console.status(check.promise):
                    findings.append(finding_of(check, deployment))
        finally:
            with console.status("Removing what the checks made"):
                left = deployment.remove_traces()
            _print(console, findings)
            for what in left:
                console.print(f"[bold red]Could not be removed:[/] {what}", highlight=False)
    return not left and not any(finding.verdict is Verdict.FAILS for finding in findings)


def _print(console: Console, findings: list[Finding]) -> None:
    table = Table("promise", "result", show_lines=True)
    for finding in findings:
        result = f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]"
        reason = f"\n{finding.reason}" if finding.reason else ""
        table.add_row(finding.promise, result + reason)
    console.print(table)
    counts = dict.fromkeys(Verdict, 0)
    for finding in findings:
        counts[finding.verdict] += 1
    console.print(", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stack-name", default=STACK_NAME)
    arguments = parser.parse_args()
    try:
        deployment = Deployment.find(arguments.stack_name)
    except (BotoCoreError, ClientError) as error:
        print(
            f"The stack {arguments.stack_name} was not found: {error} Check STACK, the credentials and the region.",
            file=sys.stderr,
        )
        sys.exit(2)
    where = "the embedded AWS" if deployment.is_embedded else "AWS"
    console = Console()
    console.print(
        f"Verifying {arguments.stack_name} on {where}, in the project {deployment.project}"
    )
    sys.exit(0 if verify(console, deployment) else 1)


if __name__ == "__main__":
    main()
