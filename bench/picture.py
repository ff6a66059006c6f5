"""Bars as an SVG, without a library: a few rectangles and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

_WIDTH, _LABEL, _BAR, _ROW, _TITLE = 760, 210, 440, 24, 40
_OURS, _OTHER, _INK = "#1f6feb", "#9aa4b2", "#57606a"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `ours` has another colour."""

    name: str
    value: float
    ours: bool


def picture(groups: Mapping[str, list[Bar]]) -> str:
    """Groups of bars under their titles, each group on a scale of its own."""
    parts: list[str] = []
    y = 0
    for title, bars in groups.items():
        y += _TITLE
        parts.append(_text(0, y - 12, title, weight="bold"))
        most = max(bar.value for bar in bars)
        for bar in bars:
            width = max(1, bar.value / most * _BAR)
            colour = _OURS if bar.ours else _OTHER
            parts.append(_text(_LABEL - 8, y + 15, bar.name, anchor="end"))
            parts.append(
                f'<rect x="{_LABEL}" y="{y + 4}" width="{width:.0f}" height="14" fill="{colour}"/>'
            )
            number = f"{bar.value:,.0f}" if bar.value >= 10 else f"{bar.value:.2f}"
            parts.append(_text(_LABEL + width + 6, y + 15, number))
            y += _ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 8}" '
        f'font-family="sans-serif" font-size="12">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.0f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" fill="{_INK}">'
        f"{escape(text)}</text>"
    )
