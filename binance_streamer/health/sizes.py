"""Numbers of bytes as people read them, the same in tables, problems and alerts."""


def size(number_bytes: int) -> str:
    """Write a number of bytes in short: `12 B`, `3.4 MB`, in powers of ten."""
    value = float(number_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
