"""Amounts with a unit in the configuration: times such as `7d`, sizes such as `500GB`."""

import re

_DAY_S = 86_400
_HOUR_S = 3600
_is_time = re.compile(r"(\d+(?:\.\d+)?)([dh])").fullmatch
_is_size = re.compile(r"(\d+(?:\.\d+)?) ?(kB|MB|GB|TB)").fullmatch
_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
"""Powers of ten, as disks are sold, and as `status` writes sizes."""


def seconds_of(text: str) -> float:
    """Return the seconds of `7d` or `36h`; `ValueError`, which says what is expected, where it is neither."""
    match = _is_time(text)
    if match is None:
        raise ValueError(f"expected days or hours such as 7d or 36h, got {text!r}")
    return float(match[1]) * (_DAY_S if match[2] == "d" else _HOUR_S)


def bytes_of(text: str) -> int:
    """Return the bytes of `500GB` (kB, MB, GB, TB: powers of ten); `ValueError` where it is something else."""
    match = _is_size(text)
    if match is None:
        raise ValueError(f"expected a size such as 500GB (kB, MB, GB, TB), got {text!r}")
    return round(float(match[1]) * _UNITS[match[2]])
