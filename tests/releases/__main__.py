"""Records a release: `python -m tests.releases record NAME [CHECKOUT]`.

Brings imports to every moment of `moments` with the functions of the checkout (this one if none is named), and stores
what there is then, and the code, under tests/releases/NAME.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from local.stack import ROOT, LocalStack, free_port
from tests import template
from tests.conftest import BUCKET, variables_of_functions
from tests.pipeline import Pipeline
from tests.releases.moments import MOMENTS, record
from tests.releases.release import CODE, RELEASES, Release, pack_code, recorded_releases, tree


def main(arguments: list[str]) -> None:
    match arguments:
        case ["record", name, *rest] if len(rest) < 2:
            record_release(name, Path(rest[0]).resolve() if rest else ROOT)
        case _:
            sys.exit(__doc__)


def record_release(name: str, root: Path) -> None:
    """Records every moment with the functions of a checkout."""
    folder = RELEASES / name
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as state:
        stack = LocalStack(free_port(), state=Path(state))
        stack.start()
        try:
            stack.outputs = template.create_tables(stack) | template.create_queues(stack)
            stack.client("s3").create_bucket(Bucket=BUCKET)
            variables = variables_of_functions(stack) | {"LAYER_VERSION": name}
            with Release(tree(root), variables) as release:
                for moment in MOMENTS:
                    recording = record(moment, Pipeline(stack, BUCKET), lambda _: release)
                    recording.save(folder / f"{moment}.json.gz")
        finally:
            stack.stop()
    pack_code(root, folder / CODE)
    if name not in recorded_releases():
        with (RELEASES / "releases.txt").open("a") as names:
            names.write(f"{name}\n")


main(sys.argv[1:])
