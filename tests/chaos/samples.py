"""What processes hold, over time, and whether it grows."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_WARM_UP_S = 120.0
"""After so long a process must have what it needs: copies are remembered for up to a minute."""
_SHORTEST = 8
"""Samples of one process without which nothing is said."""


class Sample(NamedTuple):
    """One process at one moment."""

    at_s: float
    rss_bytes: int
    descriptors: int
    """Without the first one of each recorded file: the writer opens those when they get their first row."""
    threads: int


class Tolerance(NamedTuple):
    """How much more at the end of a run than at its beginning is no growth: a part of the mean, and so much beside."""

    part: float
    beside: float


_TOLERANCES = {
    "rss_bytes": Tolerance(0.15, 4 * 2**20),
    "descriptors": Tolerance(0.1, 6),
    "threads": Tolerance(0.1, 2),
}


class Samples:
    """By process and run; a killed process begins anew."""

    def __init__(self) -> None:
        self._by_run: dict[tuple[str, int], list[Sample]] = defaultdict(list)

    def take(self, pids: Iterable[tuple[str, int]]) -> list[Sample]:
        """Look at these processes now."""
        taken = []
        for name, pid in pids:
            try:
                sample = _look(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # has just been killed
            self._by_run[name, pid].append(sample)
            taken.append(sample)
        return taken

    def grown(self, allowed_bytes: Mapping[str, float] | None = None) -> list[str]:
        """What grew in a process that ran long enough to tell; memory by more than its kind has good reason for."""
        found = []
        for (name, pid), samples in self._by_run.items():
            settled = [sample for sample in samples if sample.at_s - samples[0].at_s > _WARM_UP_S]
            if len(settled) < _SHORTEST:
                continue
            for key, tolerance in _TOLERANCES.items():
                values = [(sample.at_s, float(getattr(sample, key))) for sample in settled]
                mean = sum(value for _, value in values) / len(values)
                growth = slope(values) * (values[-1][0] - values[0][0])
                reason = (allowed_bytes or {}).get(name.partition("-")[0], 0.0) if key == "rss_bytes" else 0.0
                if growth > tolerance.part * mean + tolerance.beside + reason:
                    found.append(f"{name} ({pid}): {key} grew by {growth:.0f} from a mean of {mean:.0f}")
        return found

    def highest(self) -> dict[str, int]:
        """The most memory that a process of each kind has held."""
        found: dict[str, int] = {}
        for (name, _), samples in self._by_run.items():
            kind = name.partition("-")[0]
            found[kind] = max([found.get(kind, 0), *(sample.rss_bytes for sample in samples)])
        return found


def slope(values: Sequence[tuple[float, float]]) -> float:
    """Least squares: how much y grows with x."""
    mean_x = sum(x for x, _ in values) / len(values)
    mean_y = sum(y for _, y in values) / len(values)
    spread = sum((x - mean_x) ** 2 for x, _ in values)
    return sum((x - mean_x) * (y - mean_y) for x, y in values) / spread if spread else 0.0


def _look(pid: int) -> Sample:
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text(encoding="ascii").split()[1])
    threads = sum(1 for _ in (process / "task").iterdir())
    return Sample(time.monotonic(), pages * 4096, _descriptors(process / "fd"), threads)


def _descriptors(folder: Path) -> int:
    targets = []
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            targets.append(entry.readlink().name)
    return len(targets) - len({name for name in targets if name.endswith(".csv")})
