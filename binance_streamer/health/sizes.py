"""Numbers as people read them, the same in tables, problems and alerts."""


def size(number_bytes: int) -> str:
    """Write a number of bytes in short: `12 B`, `3.4 MB`, in powers of ten."""
    value = float(number_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def amount(number: int, noun: str) -> str:
    """Write a number of things: `1 row`, `2 rows`; the noun is one that takes an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ahead_or_behind(offset_ms: float, decimals: int = 1) -> str:
    """Write how another clock stands to ours by its time minus ours: `0.8 ms ahead of`, or `0.8 ms behind`."""
    side = "behind" if offset_ms < 0 else "ahead of"
    return f"{abs(offset_ms):.{decimals}f} ms {side}"
