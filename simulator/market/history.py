"""The aggregate trades of the past, for /fapi/v1/aggTrades."""

import re
from bisect import bisect_left, bisect_right
from itertools import islice

_KEPT = 100_000
_TIME = re.compile(r'"T":(\d+)')


class TradeHistory:
    """Rows as JSON in the order of their ids, which are consecutive.

    It keeps the last 100,000 to 125,000 rows: a quarter is dropped at once, since each removal at the front moves all
    of the rest. Rows older than `since_ms` are left out of answers, which then begin at the oldest row that is not.
    """

    def __init__(self) -> None:
        self._rows: list[str] = []
        self._first_id = 0

    def add(self, agg_id: int, core: str) -> None:
        """Add the next aggregate; `core` has the fields from `p` to `m`, as `Messages.batch_core` writes them."""
        if not self._rows:
            self._first_id = agg_id
        self._rows.append(f'{{"a":{agg_id},{core}}}')
        if len(self._rows) > _KEPT * 5 // 4:
            del self._rows[: _KEPT // 4]
            self._first_id += _KEPT // 4

    def from_id(self, agg_id: int, limit: int, since_ms: int = 0) -> list[str]:
        """Return up to `limit` rows from this id on; from the oldest one where the id is older."""
        start = max(agg_id - self._first_id, bisect_left(self._rows, since_ms, key=_time_ms))
        return self._rows[start : start + limit]

    def between(self, start_ms: int, end_ms: int, limit: int, since_ms: int = 0) -> list[str]:
        """Return up to `limit` rows of a time, both ends inclusive, the oldest first."""
        start = bisect_left(self._rows, max(start_ms, since_ms), key=_time_ms)
        end = bisect_right(self._rows, end_ms, key=_time_ms)
        return list(islice(self._rows, start, min(end, start + limit)))

    def newest(self, limit: int) -> list[str]:
        """Return the last `limit` rows, the oldest of them first."""
        return self._rows[-limit:]


def _time_ms(row: str) -> int:
    """Return the `T` of a row, by which rows are sorted as well."""
    found = _TIME.search(row)
    assert found is not None
    return int(found[1])
