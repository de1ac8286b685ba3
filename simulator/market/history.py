"""The aggregate trades of the past, for /fapi/v1/aggTrades."""

import re
from bisect import bisect_left, bisect_right
from itertools import islice

_KEPT = 100_000
_TIME = re.compile(r'"T":(\d+)')


class TradeHistory:
    """Rows in the order of their ids, which are consecutive.

    What is older than `since_ms` is no longer told of: an answer begins at the oldest row that is.
    """

    def __init__(self) -> None:
        self._rows: list[str] = []
        self._first_id = 0

    def add(self, agg_id: int, core: str) -> None:
        if not self._rows:
            self._first_id = agg_id
        self._rows.append(f'{{"a":{agg_id},{core}}}')
        if len(self._rows) > _KEPT * 5 // 4:
            del self._rows[: _KEPT // 4]
            self._first_id += _KEPT // 4

    def from_id(self, agg_id: int, limit: int, since_ms: int = 0) -> list[str]:
        start = max(agg_id - self._first_id, bisect_left(self._rows, since_ms, key=_time_ms))
        return self._rows[start : start + limit]

    def between(self, start_ms: int, end_ms: int, limit: int, since_ms: int = 0) -> list[str]:
        """Both ends inclusive, the oldest first."""
        start = bisect_left(self._rows, max(start_ms, since_ms), key=_time_ms)
        end = bisect_right(self._rows, end_ms, key=_time_ms)
        return list(islice(self._rows, start, min(end, start + limit)))

    def newest(self, limit: int) -> list[str]:
        return self._rows[-limit:]


def _time_ms(row: str) -> int:
    found = _TIME.search(row)
    assert found is not None
    return int(found[1])
