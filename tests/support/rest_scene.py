"""The scheduler of the REST process with its tasks, in virtual time and without sockets."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from binance_streamer.exchange.rest_series import Polled
from services.rest.answers import RestAnswer, Verdict
from services.rest.market.clock_offset import SAMPLES, OffsetMeter
from services.rest.market.listing import ListingRecorder
from services.rest.market.series_task import SeriesTasks
from services.rest.oddities import Oddities
from services.rest.schedule.backfill_queue import BackfillQueue
from services.rest.schedule.pacing import Pace
from services.rest.schedule.scheduler import Scheduler
from services.rest.schedule.snapshot_queue import SnapshotQueue
from services.rest.schedule.task import AnyRequest, Moment
from services.rest.tasks import Parts, tasks_in_order
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRows
from tests.support.chance import Chance

NOW_MS = 1_790_000_000_000
LIMIT_2400 = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}


class Recorded:
    """In place of a producer: remembers what is given to it."""

    def __init__(self) -> None:
        self.appended: list[Draft] = []
        self.live: list[Draft] = []
        self.is_full = False

    def append(self, drafts: Sequence[Draft]) -> bool:
        self.appended.extend(drafts)
        return not self.is_full

    def publish_live(self, draft: Draft) -> None:
        self.live.append(draft)


def an_answer(status: int = 200, body: bytes = b"", fault: str = "", **headers: str) -> RestAnswer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return RestAnswer(status, names, body, NOW_MS * 10**6, NOW_MS * 10**6, fault)


def a_list(*listed: dict[str, Any], limit: int = 2400) -> bytes:
    """An exchangeInfo; without a symbol one that nobody has configured."""
    symbols = listed or ({"symbol": "OTHERUSDT", "status": "TRADING"},)
    return json.dumps({"symbols": symbols, "rateLimits": [{**LIMIT_2400, "limit": limit}]}).encode()


TIME = b'{"serverTime":%d}' % NOW_MS
SNAPSHOT = b'{"lastUpdateId":9,"E":1,"bids":[],"asks":[]}'


class RestScene:
    """Asks as the process does. The exchange's clock stands still, unless `exchange_ms` is moved."""

    def __init__(
        self,
        directory: Path,
        *,
        configured: Sequence[str] = (),
        periodic: Sequence[str] = (),
        spacing_s: float = 2.0,
        intervals_s: tuple[float, float] = (600.0, 60.0),
        chance: float = 1.0,
        polled: Sequence[Polled] = (),
        last_rows: LastRows | None = None,
        share: float = 0.5,
    ) -> None:
        """`intervals_s`: of the list, and of the clock; `last_rows`: where the series in `polled` stand."""
        list_interval_s, clock_interval_s = intervals_s
        self.exchange_ms = NOW_MS
        self.recorded = Recorded()
        self.oddities = Oddities()
        self.meter = OffsetMeter(clock_interval_s)
        self.pace = Pace(limit=2400, share=share, spacing_s=spacing_s)
        self.snapshots = SnapshotQueue(periodic, interval_s=3600, retry_s=5)
        self.snapshots.start({}, NOW_MS)
        self.backfill = BackfillQueue(retry_s=5)
        self.listing = ListingRecorder(directory / "listing.json", configured, self.recorded, oddities=self.oddities)
        parts = Parts(self.pace, self.meter, self.listing, self.snapshots, self.backfill, self.recorded, self.oddities)
        self.counts = parts.counts
        self.refused_series = parts.refused_series
        numbers = itertools.count(1)
        self.polling = SeriesTasks(parts, lambda: last_rows or {}, lambda: f"7-rest-{next(numbers)}")
        self.polling.follow(polled)
        self.series = self.polling.tasks
        tasks = tasks_in_order(parts, list_interval_s=list_interval_s, list_retry_s=60.0, series=self.series)
        self.scheduler = Scheduler(self.pace, tasks, delays_s=(5.0, 60.0), rng=Chance(chance))

    def take_next(self, now_s: float) -> AnyRequest | None:
        return self.scheduler.take_next(self._now(now_s))

    def leaving(self, now_s: float) -> AnyRequest:
        """The request that leaves now; it fails the test where there is none."""
        request = self.take_next(now_s)
        assert request is not None, f"nothing is asked for at {now_s}"
        return request

    def path(self, now_s: float) -> str:
        return self.leaving(now_s).path

    def wait_s(self, now_s: float) -> float | None:
        return self.scheduler.wait_s(self._now(now_s))

    def answer(self, request: AnyRequest, answer: RestAnswer, now_s: float) -> Verdict:
        return self.scheduler.take_answer(request, answer, self._now(now_s))

    def good(self, request: AnyRequest, body: bytes, now_s: float) -> None:
        """Answer it with 200; it fails the test where the body is not taken."""
        assert self.answer(request, an_answer(200, body), now_s) == "good", self.scheduler.fault

    def measure_clock(self, now_s: float) -> None:
        """Answer the requests of one measurement."""
        for _ in range(SAMPLES):
            request = self.leaving(now_s)
            assert request.path == "/fapi/v1/time"
            self.good(request, TIME, now_s)

    def list_symbols(self, now_s: float, body: bytes = b"") -> None:
        """Answer the request for the list, which has to be due."""
        request = self.leaving(now_s)
        assert request.path == "/fapi/v1/exchangeInfo"
        self.good(request, body or a_list(), now_s)

    def begin(self, now_s: float = 0.0) -> None:
        """Measure the clock and take the list, as every start does."""
        self.measure_clock(now_s)
        self.list_symbols(now_s)

    def _now(self, now_s: float) -> Moment:
        return Moment(now_s, self.exchange_ms)
