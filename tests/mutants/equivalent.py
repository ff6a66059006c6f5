"""Generated mutations that no test can tell from the source, each with the reason."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {}
