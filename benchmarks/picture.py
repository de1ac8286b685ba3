"""A picture of bars in groups, as SVG text."""

from collections.abc import Mapping
from html import escape

_LEFT, _WIDTH, _BAR, _SPACE = 230, 420, 13, 12
_COLOURS = ("#8a8f98", "#b9bec6", "#d0a85c", "#7fb58a", "#2f6fb3")


def bars(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return an SVG document: a group of bars for each row, a bar for each of its values, with its number beside it.

    The last value of a row is the one that the picture is about: it has the strongest colour.
    """
    most = max(value for values in rows.values() for value in values.values())
    parts, top = [_text(10, 20, title, weight="bold")], 40
    for name, values in rows.items():
        parts.append(_text(10, top + _BAR - 2, name))
        colours = (*_COLOURS[: len(values) - 1], _COLOURS[-1])
        for (what, value), colour in zip(values.items(), colours, strict=True):
            width = value / most * _WIDTH
            parts.append(f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR - 2}" fill="{colour}"/>')
            parts.append(_text(_LEFT + width + 6, top + _BAR - 3, f"{what} {value:.2f}", size=11))
            top += _BAR
        top += _SPACE
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 150}" height="{top}" role="img">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, *, size: int = 13, weight: str = "normal") -> str:
    font = f'font-family="sans-serif" font-size="{size}" font-weight="{weight}" fill="#222"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {font}>{escape(text)}</text>'
