"""The course of a field test: recorder and plain connections side by side, a reconnect, a restart, a few requests.

| share of the time | step |
|---|---|
| 0 | paths are probed |
| 1/3 | the second of the plain connections are closed and opened again |
| 1/2 | the worker of the liquid symbol is stopped and started hard, without a handover |
| 2/3 | REST is asked for what the streams have brought |
"""

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import requests

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.fieldtest.asks import ask_all
from binance_streamer.cli.fieldtest.recorder import STREAMS, note_files, recorder_config, run_folder
from binance_streamer.cli.fieldtest.rest import RestAsker, chosen_symbols, path_of
from binance_streamer.cli.fieldtest.seen import Observations
from binance_streamer.cli.fieldtest.statuses import StatusFold
from binance_streamer.cli.fieldtest.traffic import ObservedTraffic
from binance_streamer.cli.fieldtest.watch import Watch
from binance_streamer.cli.journals import unwritten
from binance_streamer.cli.supervisor.foreground import Foreground, Interruption, take_next, take_pending
from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import Config, NetworkConfig
from binance_streamer.exchange.streams import stream_of

_BEGIN_S = 60.0
"""Within which the recorder has to write its first row; a machine under load takes twenty."""
_RESTART_S = 30.0
_LAST_STEP_S = 120.0
"""For a step that is still under way at the end."""
_LONGEST_PROBE_S = 10.0
_PATIENCE_S = 90.0
"""For a minute with room for a request; a run that is hardly longer leaves the request out."""

Report = Callable[[str], None]


class _Step(NamedTuple):
    """Something that is done once, a share of the duration after the beginning, beside the recording."""

    share: float
    what: str
    act: Callable[[], None]


def nothing_seen(symbols: tuple[str, ...], minutes: float) -> Observations:
    """Return the observations of a run that has not begun."""
    return Observations(
        minutes, symbols, ObservedTraffic([stream_of(symbol, suffix) for symbol in symbols for suffix in STREAMS])
    )


def preflight(network: NetworkConfig, wanted: tuple[str, ...]) -> tuple[RestAsker, tuple[str, ...]]:
    """Ask for the exchange's list, and return the symbols: those that are wanted, else three that are chosen from it.

    Raises `CommandError` where the exchange cannot be reached from here, or does not trade a wanted symbol.
    """
    asker = RestAsker(network)
    try:
        listing = asker.ask(path_of("exchangeInfo"), weight=1)
        if listing is None or listing.status != 200:
            raise CommandError(f"the exchange answers with status {listing and listing.status}", Exit.NOT_CHECKED)
        tickers = None if wanted else asker.rows(path_of("ticker/24hr"), weight=40)
    except requests.RequestException as error:
        why = "`binance-streamer doctor` says more"
        raise CommandError(f"the exchange is not reached: {type(error).__name__}; {why}", Exit.NOT_CHECKED) from error
    try:
        limits = [one["limit"] for one in listing.body["rateLimits"] if one["rateLimitType"] == "REQUEST_WEIGHT"]
        asker.weight_limit = min(limits, default=asker.weight_limit)
        traded = {one["symbol"] for one in listing.body["symbols"] if one["status"] == "TRADING"}
        chosen = wanted or chosen_symbols(listing.body, tickers)
    except (KeyError, TypeError, ValueError) as error:
        raise CommandError(f"the exchange's list cannot be read: {type(error).__name__}", Exit.NOT_CHECKED) from error
    if missing := [symbol for symbol in chosen if symbol not in traded]:
        raise CommandError(f"not traded: {', '.join(missing)}; name others with --symbols", Exit.NOT_CHECKED)
    return asker, chosen


class FieldTest:
    """One run, in the folder `data`; `say` takes a line for each step."""

    def __init__(
        self, network: NetworkConfig, asker: RestAsker, seen: Observations, *, data: Path, say: Report
    ) -> None:
        """`seen` has the symbols, and the minutes that are planned; everything else is noted in it."""
        self._network = network
        self._duration_s = seen.minutes * 60
        self._data = data
        self._say = say
        self._asker = asker
        self._asker.patience_s = _PATIENCE_S if self._duration_s > 2 * _PATIENCE_S else 0.0
        self._watch = Watch(network, seen.traffic)
        self.seen = seen

    def run(self) -> None:
        """Record and observe until the time is over or Ctrl-C, then look at the files."""
        with run_folder() as run, Interruption() as interruption:
            config = recorder_config(
                self._network, self.seen.symbols, duration_s=self._duration_s, data=self._data, run=run / "run"
            )
            fold = StatusFold(self.seen.recorder, config.network.connection_lifetime)
            with (
                Foreground(config, self._data / "streamer.yaml") as foreground,
                Tap(config.endpoints.bus_subscribe, ["status."]) as tap,
            ):
                self._observe(foreground, tap, fold, interruption)
                foreground.shutdown(self._say)
                take_pending(tap, fold.take)
            self._conclude(config, foreground, fold)

    def _observe(self, foreground: Foreground, tap: Tap, fold: StatusFold, interruption: Interruption) -> None:
        """Let the recorder begin, then go through the steps beside it; where it does not begin, nothing is watched."""
        self.seen.minutes, planned_s = 0.0, self._duration_s
        begun_s = time.monotonic()
        self._until(begun_s + _BEGIN_S, tap, fold, lambda: interruption.requested or fold.totals.has_begun)
        if not fold.totals.has_begun:
            return
        self._say(f"recording {', '.join(self.seen.symbols)} for {planned_s:.0f} s")
        self._watch.start()
        begun_s = time.monotonic()
        thread: threading.Thread | None = None

        def is_free() -> bool:
            return interruption.requested or thread is None or not thread.is_alive()

        for step in self._steps(foreground):
            self._until(begun_s + step.share * planned_s, tap, fold, lambda: interruption.requested)
            self._until(math.inf, tap, fold, is_free)
            if interruption.requested:
                break
            foreground.check()
            self._say(step.what)
            thread = threading.Thread(target=step.act, name="step", daemon=True)
            thread.start()
        self._until(begun_s + planned_s, tap, fold, lambda: interruption.requested)
        self._until(time.monotonic() + _LAST_STEP_S, tap, fold, is_free)
        self.seen.minutes = round((time.monotonic() - begun_s) / 60, 1)
        self._watch.stop()

    def _until(self, until_s: float, tap: Tap, fold: StatusFold, is_over: Callable[[], bool]) -> None:
        """Take in statuses until a time, or until it is over."""
        while time.monotonic() < until_s and not is_over():
            take_next(tap, fold.take, 0.1)

    def _steps(self, foreground: Foreground) -> list[_Step]:
        return [
            _Step(0.0, "probing paths", self._probe),
            _Step(1 / 3, "reconnecting", self._reconnect),
            _Step(
                1 / 2,
                "restarting a worker hard, for gaps to repair",
                lambda: self._restart(foreground),
            ),
            _Step(2 / 3, "asking REST", lambda: ask_all(self.seen, self._asker)),
        ]

    def _probe(self) -> None:
        self.seen.probes = self._watch.probe(min(_LONGEST_PROBE_S, self._duration_s / 15))

    def _reconnect(self) -> None:
        self._watch.reconnect(1)
        self.seen.reconnected = True

    def _restart(self, foreground: Foreground) -> None:
        name = f"ingest-{self.seen.symbols[0]}"
        try:
            foreground.supervisor.stop(name)
            foreground.supervisor.start(name)
            foreground.supervisor.await_running([name], _RESTART_S)
        except CommandError as error:
            self.seen.recorder.faults.append(f"{name} could not be restarted: {error}")
        self.seen.recorder.restarted = name

    def _conclude(self, config: Config, foreground: Foreground, fold: StatusFold) -> None:
        """Note what is known only at the end: connections, requests, losses, files."""
        seen = self.seen
        seen.connections, seen.refused, seen.ended_s = self._watch.connections, self._watch.refused, self._watch.ended_s
        seen.rest = self._asker.seen
        seen.recorder.losses = fold.totals.losses
        seen.recorder.rows = fold.totals.rows if fold.totals.has_begun else 0
        seen.recorder.faults += [*foreground.faults, *unwritten(self._data / "streamer.yaml")]
        self._say("verifying the files")
        note_files(seen.recorder, Path(config.storage.output_directory))
