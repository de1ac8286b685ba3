"""Samples of the memory, descriptors and threads of processes, and the criterion that none of it grows.

Memory is compared by a straight line through the samples after a warm-up, so that neither a step at the start nor noise
counts as growth. A kind of process may have a reason to grow, such as the levels of order books: see `Reason`.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

WARM_UP_S = 120.0
"""Seconds after which a process has all that it needs: copies are remembered for up to a minute."""
_SHORTEST = 8
"""The least number of samples of one process that are judged."""


class Sample(NamedTuple):
    """One process at one moment."""

    at_s: float
    """By the monotonic clock."""
    at_ns: int
    """By the wall clock, which recorded rows have."""
    rss_bytes: int
    descriptors: int
    """Without the first one of each recorded file: the writer opens those when they get their first row."""
    threads: int


class Reason(NamedTuple):
    """A reason for which the memory of one kind of process may grow, and the time after which there is no other."""

    warm_up_s: float
    bytes_between: Callable[[int, int], float]
    """The memory that the process may have more at the second moment than at the first; in ns of the wall clock."""


class Tolerance(NamedTuple):
    """The increase from beginning to end that is no growth: a part of the mean, and so much beside."""

    part: float
    beside: float


_TOLERANCES = {
    "rss_bytes": Tolerance(0.15, 4 * 2**20),
    "descriptors": Tolerance(0.1, 6),
    "threads": Tolerance(0.1, 2),
}


_NO_REASON = Reason(WARM_UP_S, lambda _from_ns, _to_ns: 0.0)


class Samples:
    """Samples by process and run; a killed process begins a new run."""

    def __init__(self) -> None:
        self._by_run: dict[tuple[str, int], list[Sample]] = defaultdict(list)

    def take(self, pids: Iterable[tuple[str, int]]) -> list[Sample]:
        """Take a sample of each of these processes (name, pid), and return those taken."""
        taken = []
        for name, pid in pids:
            try:
                sample = _look(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # has just been killed
            self.add(name, pid, sample)
            taken.append(sample)
        return taken

    def add(self, name: str, pid: int, sample: Sample) -> None:
        """Keep a sample of a process."""
        self._by_run[name, pid].append(sample)

    def grown(self, reasons: Mapping[str, Reason] | None = None) -> list[str]:
        """Return what grew in a process that ran long enough to tell: memory by more than its kind has reason for."""
        found = []
        for (name, pid), samples in self._by_run.items():
            reason = (reasons or {}).get(name.partition("-")[0], _NO_REASON)
            settled = [sample for sample in samples if sample.at_s - samples[0].at_s > reason.warm_up_s]
            if len(settled) < _SHORTEST:
                continue
            for key, tolerance in _TOLERANCES.items():
                values = [(sample.at_s, float(getattr(sample, key))) for sample in settled]
                mean = sum(value for _, value in values) / len(values)
                growth = slope(values) * (values[-1][0] - values[0][0])
                allowed = tolerance.part * mean + tolerance.beside
                if key == "rss_bytes":
                    allowed += max(0.0, reason.bytes_between(settled[0].at_ns, settled[-1].at_ns))
                if growth > allowed:
                    found.append(f"{name} ({pid}): {key} grew by {growth:.0f} from a mean of {mean:.0f}")
        return found

    def highest(self) -> dict[str, int]:
        """Return the most memory, in bytes, that a process of each kind has held."""
        found: dict[str, int] = {}
        for (name, _), samples in self._by_run.items():
            kind = name.partition("-")[0]
            found[kind] = max([found.get(kind, 0), *(sample.rss_bytes for sample in samples)])
        return found


def slope(values: Sequence[tuple[float, float]]) -> float:
    """Return by how much y grows with x, by least squares; 0 where all x are the same."""
    mean_x = sum(x for x, _ in values) / len(values)
    mean_y = sum(y for _, y in values) / len(values)
    spread = sum((x - mean_x) ** 2 for x, _ in values)
    return sum((x - mean_x) * (y - mean_y) for x, y in values) / spread if spread else 0.0


def _look(pid: int) -> Sample:
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text(encoding="ascii").split()[1])
    threads = sum(1 for _ in (process / "task").iterdir())
    return Sample(time.monotonic(), time.time_ns(), pages * 4096, _descriptors(process / "fd"), threads)


def _descriptors(folder: Path) -> int:
    targets = []
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            targets.append(entry.readlink().name)
    return len(targets) - len({name for name in targets if name.endswith((".csv", ".csv.zst"))})
