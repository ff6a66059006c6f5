"""The first stages of `make up` and `make demo`, with their progress on the console."""

from __future__ import annotations

from rich.console import Console

from local.stack import LocalStack


def bring_up(console: Console, stack: LocalStack) -> None:
    """Starts an embedded AWS, builds the template and deploys it; raises StackError and OSError."""
    with console.status("Starting the embedded AWS"):
        stack.start()
    done(console, f"The embedded AWS runs at {stack.endpoint}")
    with console.status("Building the functions (sam build)"):
        stack.build()
    done(console, "Built with sam build")
    with console.status("Deploying template.yaml (sam deploy)"):
        stack.deploy()
    done(console, "Deployed with sam deploy. The API is at")
    # On a line of its own, and never broken: people copy it.
    console.print(stack.api_url, soft_wrap=True)


def done(console: Console, stage: str) -> None:
    """Prints that a stage is done."""
    console.print(f"[green]✓[/] {stage}")
