"""The tables that hold the product to its measures. `./run python -m tests.architecture.measures` prints them filled.

A commit that makes a measure better lowers its `reached` (raises it, where more is better). None makes it worse, but
for code lines: a commit that adds a feature raises them by what the feature takes, and says so.
Code lines are rounded up to a hundred, so that not every change has to touch the table.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """`aimed` is the limit that the code shall come to, `reached` the worst that it may be until then."""

    aimed: float
    reached: float
    more_is_better: bool = False

    def attains(self, value: float) -> bool:
        """Return True if `value` is as good as aimed, or better."""
        return self._is_as_good(value, self.aimed)

    def allows(self, value: float) -> bool:
        """Return True if `value` is not worse than reached, or as good as aimed."""
        return self._is_as_good(value, self.reached) or self.attains(value)

    def improves(self, value: float) -> bool:
        """Return True if `value` is better than reached, so that `reached` can follow."""
        return not self._is_as_good(self.reached, value)

    def _is_as_good(self, value: float, other: float) -> bool:
        return value >= other if self.more_is_better else value <= other


LIMITS: dict[str, Limit] = {
    "siblings in the fullest folder": Limit(aimed=14, reached=14),
    "modules above 300 lines": Limit(aimed=3, reached=3),
    "class names with several meanings": Limit(aimed=5, reached=5),
    "docstrings that begin as a question": Limit(aimed=0, reached=0),
    "public docstrings below five words": Limit(aimed=0, reached=0),
    "explanation lines per 100 code lines": Limit(aimed=25, reached=27.3, more_is_better=True),
    "code lines": Limit(aimed=18_500, reached=37_700),
    "impurities in pure modules": Limit(aimed=0, reached=0),
    "modules outside that say pure": Limit(aimed=0, reached=0),
    "unit tests away from their module": Limit(aimed=0, reached=0),
    "docstrings that say TODO": Limit(aimed=0, reached=0),
}

PURE = (
    "binance_streamer/client/splice.py",
    "binance_streamer/health/builder.py",
    "binance_streamer/health/gaps.py",
    "binance_streamer/health/judge.py",
    "binance_streamer/health/observer.py",
    "binance_streamer/health/snapshot.py",
    "binance_streamer/health/stream_states.py",
    "binance_streamer/exchange",
    "binance_streamer/wire",
    "services/monitor/metrics",
    "services/rest/schedule",
    "services/runtime/gaps",
    "services/runtime/journal/records.py",
    "services/runtime/retry.py",
    "services/writer/rows",
)
"""Modules, and folders with all that is in them, that decide from their arguments alone."""

OUTSIDE = (
    # sockets
    *("asyncio", "http.client", "http.server", "requests", "select", "selectors", "socket", "ssl", "urllib.request"),
    *("websocket", "websockets", "zmq"),
    # clock and chance
    *("random", "secrets", "time", "uuid"),
    # disk
    *("fcntl", "glob", "mmap", "os", "pathlib", "shutil", "sqlite3", "tempfile"),
    # log, processes and threads
    *("concurrent", "logging", "multiprocessing", "signal", "subprocess", "sys", "threading"),
)
"""Modules that a pure one does not import, nor anything in them."""

NOT_MIRRORED = {
    "tests/unit/docs": "tests of the pages in docs/, the licences and what the pages promise",
    "tests/unit/ops": "tests of the dashboards and alert rules in ops/",
    "tests/unit/test_run.py": "tests of ./run, which stands at the root",
}
"""Unit tests, or folders of them, that belong to no folder of product code, and why."""
