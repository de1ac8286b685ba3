"""Commands of the control socket: one line in, one line out. docs/simulator.md has the table for readers.

A command changes the simulator at once, between two messages; what it cannot do it refuses with the word that was
expected. Commands that make single streams misbehave are in `stream_commands`.
"""

from collections.abc import Callable

from simulator.control.arguments import ArgumentError, Arguments
from simulator.control.lies import differing
from simulator.control.rest_faults import Kind, RestFault
from simulator.control.stream_commands import Command, StreamCommands, nth_subscriber
from simulator.exchange import Exchange
from simulator.rest.trading_hours import MARKETS
from simulator.server.http import compact_json
from simulator.server.websocket import WebSocket
from simulator.synthetic import SyntheticMarket

_STATUSES = (
    "PENDING_TRADING",
    "TRADING",
    "PRE_DELIVERING",
    "DELIVERING",
    "DELIVERED",
    "PRE_SETTLE",
    "SETTLING",
    "CLOSE",
)


class Commands:
    """The table of all commands, by their first word."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._table: dict[str, Command] = {
            **StreamCommands(exchange).table(),
            "close": self._close,
            "hang": lambda arguments: self._for_seconds(arguments, exchange.hang),
            "refuse": lambda arguments: self._for_seconds(arguments, exchange.admission.refuse),
            "handshake-stall": lambda arguments: self._for_seconds(arguments, exchange.admission.stall),
            "reject": self._reject,
            "forbid": self._forbid,
            "unlisted": self._unlisted,
            "routes": self._routes,
            "shutdown-event": self._shutdown_event,
            "clock": self._clock,
            "history": self._history,
            "rest": self._rest,
            "unserved": self._unserved,
            "symbol": self._symbol,
            "session": self._session,
            "rate": self._rate,
            "pause": lambda arguments: self._set_paused(arguments, paused=True),
            "resume": lambda arguments: self._set_paused(arguments, paused=False),
            "stats": self._stats,
            "status": self._stats,
            "quit": self._quit,
        }

    def execute(self, line: str) -> str:
        """Obey one command at once; return `ack` and what came of it, or `nack` and the reason."""
        arguments = Arguments(line)
        try:
            name = arguments.text("a command")
            if name not in self._table:
                raise ArgumentError(f"{name} is none of {' '.join(sorted(self._table))}")
            return f"ack {self._table[name](arguments)}".rstrip()
        except ArgumentError as error:
            return f"nack {error}"

    def _for_seconds(self, arguments: Arguments, act: Callable[[float], None]) -> str:
        """`NAME SECONDS`: a condition that lasts so long, and ends by itself."""
        seconds = arguments.number("SECONDS")
        arguments.end()
        act(seconds)
        return ""

    def _close(self, arguments: Arguments) -> str:
        """`close fin|rst|CODE [STREAM] [on K]`: end connections, of one stream or all of them.

        `fin` is the bare end that the exchange gives healthy connections; a code is sent in a close frame first.
        """
        how, pattern = arguments.text("fin, rst or a close code"), arguments.text("STREAM", "*")
        arguments.end()
        closing = _closing(how)
        websockets = self._connections(pattern, arguments.connection)
        for websocket in websockets:
            closing(websocket)
        return f"{len(websockets)} connections"

    def _connections(self, pattern: str, number: int | None) -> list[WebSocket]:
        """Return the open websockets that a pattern and `on K` choose, each once."""
        if pattern == "*" and number is None:
            return self._exchange.websockets()
        streams = self._exchange.publisher.matching(pattern)
        if not streams:
            raise ArgumentError(f"no stream {pattern}")
        chosen = [
            subscriber
            for stream in streams
            for subscriber in (stream.subscribers if number is None else [nth_subscriber(stream, number)])
        ]
        return list(dict.fromkeys(subscriber for subscriber in chosen if isinstance(subscriber, WebSocket)))

    def _reject(self, arguments: Arguments) -> str:
        """`reject CODE SECONDS [RETRY_AFTER]`: answer upgrades with this status; it costs an attempt each time."""
        status, seconds = arguments.integer("CODE"), arguments.number("SECONDS")
        retry_after_s = arguments.retry_after_s()
        arguments.end()
        self._exchange.admission.reject(status, seconds, retry_after_s)
        return ""

    def _forbid(self, arguments: Arguments) -> str:
        """`forbid CODE|fin|off STREAM`: an address that may have all streams but some.

        A status answers the upgrade; `fin` lets it in and closes; a close code does so behind the first message.
        """
        how, pattern = arguments.text("CODE, fin or off"), arguments.text("STREAM")
        arguments.end()
        if not self._exchange.publisher.matching(pattern):
            raise ArgumentError(f"no stream {pattern}")
        if how == "off":
            self._exchange.admission.allow(pattern)
        elif how == "fin":
            self._exchange.admission.forbid(pattern, None)
        elif how.isdecimal() and (400 <= int(how) <= 599 or 1000 <= int(how) <= 4999):
            self._exchange.admission.forbid(pattern, int(how))
        else:
            raise ArgumentError(f"a status of 400 to 599, a close code, fin or off expected, not {how}")
        return ""

    def _unlisted(self, arguments: Arguments) -> str:
        """`unlisted CODE|off`: a stream that does not exist has its whole connection refused, as at COIN-M."""
        word = arguments.text("CODE or off")
        arguments.end()
        if word != "off" and not (word.isdecimal() and 400 <= int(word) <= 599):
            raise ArgumentError(f"a status of 400 to 599 or off expected, not {word}")
        self._exchange.admission.refuse_unlisted(None if word == "off" else int(word))
        return ""

    def _routes(self, arguments: Arguments) -> str:
        """`routes any|strict`: every path delivers every stream to those who subscribe from now on."""
        word = arguments.text("any or strict")
        arguments.end()
        if word not in ("any", "strict"):
            raise ArgumentError(f"any or strict expected, not {word}")
        self._exchange.publisher.ignores_routes = word == "any"
        return ""

    def _shutdown_event(self, arguments: Arguments) -> str:
        """`shutdown-event`: announce the end of all connections, about ten minutes before a real one."""
        arguments.end()
        websockets = self._exchange.websockets()
        payload = b'{"e":"serverShutdown","E":%d}' % self._exchange.clock.now_ms()
        self._exchange.publisher.send_to_all(websockets, payload)
        return f"{len(websockets)} connections"

    def _clock(self, arguments: Arguments) -> str:
        """`clock STEP_MS`: set the exchange's clock forward or back; messages carry the new time from now on."""
        step_ms = arguments.integer("STEP_MS")
        arguments.end()
        self._exchange.clock.step(step_ms)
        return ""

    def _history(self, arguments: Arguments) -> str:
        """`history SECONDS [later|refuse]`: how far back aggTrades can be had, and what an older `fromId` gets."""
        seconds, old = arguments.number("SECONDS"), arguments.text("later or refuse", "later")
        arguments.end()
        if old not in ("later", "refuse"):
            raise ArgumentError(f"later or refuse expected, not {old}")
        self._exchange.rest.kept_ms = int(seconds * 1000)
        self._exchange.rest.refuses_old = old == "refuse"
        return ""

    def _unserved(self, arguments: Arguments) -> str:
        """`unserved ENDPOINT SYMBOL`: this polled series (`openInterest`) refuses the symbol from now on."""
        endpoint, symbol = arguments.text("ENDPOINT"), arguments.text("SYMBOL")
        arguments.end()
        self._exchange.rest.series.unserved.add((endpoint, symbol))
        return ""

    def _rest(self, arguments: Arguments) -> str:
        """`rest KIND [N] …`: the next N answers of REST are wrong in this way; `rest ok` ends it, and any ban."""
        kind, rest = arguments.text("what goes wrong"), self._exchange.rest
        if kind == "418":
            return self._ban(arguments)
        fault = None if kind == "ok" else self._rest_fault(kind, arguments)
        arguments.end()
        if fault:
            rest.faults.add(fault)
        else:
            rest.faults.clear()
            rest.weight.pardon()
        return ""

    def _ban(self, arguments: Arguments) -> str:
        """`rest 418 SECONDS [retry-after|text]`: ban the address; the end stands in the header or only in the text."""
        seconds, where = arguments.number("SECONDS"), arguments.text("retry-after or text", "retry-after")
        if where not in ("retry-after", "text"):
            raise ArgumentError(f"retry-after or text expected, not {where}")
        arguments.end()
        self._exchange.rest.faults.ban_as_text = where == "text"
        self._exchange.rest.weight.ban(int(seconds * 1000), self._exchange.clock.now_ms())
        return ""

    def _rest_fault(self, kind: str, arguments: Arguments) -> RestFault:
        """Read the rest of `rest KIND …` for the kinds that count requests."""
        if kind == "slow":
            seconds = arguments.number("SECONDS")
            return RestFault("slow", arguments.count("N"), seconds=seconds)
        if kind == "differ":
            key = arguments.text("KEY")
            if key not in _AGGREGATE_KEYS:
                raise ArgumentError(f"{key} is none of {' '.join(_AGGREGATE_KEYS)}")
            return RestFault("differ", arguments.count("N"), change=differing(key))
        if kind in _REST_KINDS:
            return RestFault(_REST_KINDS[kind], arguments.count("N"))
        status = 503 if kind == "5xx" else int(kind) if kind.isdecimal() and len(kind) == 3 else 0
        if not status:
            raise ArgumentError(f"{kind} is no status and none of 5xx differ ok slow {' '.join(_REST_KINDS)}")
        count, weight = arguments.count("N"), self._exchange.rest.weight
        usual_s = weight.retry_after_s(self._exchange.clock.now_ms()) if status == 429 else None
        return RestFault("status", count, status, arguments.retry_after_s(usual_s))

    def _symbol(self, arguments: Arguments) -> str:
        """`symbol SYMBOL STATUS`: the status in exchangeInfo; streams and REST follow it."""
        symbol, status = arguments.text("SYMBOL"), arguments.text("STATUS")
        arguments.end()
        feed = self._synthetic().feed_of(symbol)
        if feed is None or status not in _STATUSES:
            raise ArgumentError(f"no symbol {symbol}" if feed is None else f"{status} is none of {' '.join(_STATUSES)}")
        feed.status = status
        return ""

    def _session(self, arguments: Arguments) -> str:
        """`session MARKET SECONDS [LATER]`: close the market behind TradFi contracts for so long."""
        market, seconds, later_s = arguments.text("MARKET"), arguments.number("SECONDS"), arguments.number("LATER", 0.0)
        arguments.end()
        if market not in MARKETS:
            raise ArgumentError(f"{market} is none of {' '.join(MARKETS)}")
        start_ms = self._exchange.clock.now_ms() + int(later_s * 1000)
        self._synthetic().sessions.close(market, start_ms, start_ms + int(seconds * 1000))
        return ""

    def _rate(self, arguments: Arguments) -> str:
        """`rate N`: so many messages a second from now on, over all streams of the mix."""
        rate = arguments.number("messages a second")
        arguments.end()
        if rate <= 0:
            raise ArgumentError("the rate must be above 0; use pause")
        self._synthetic().set_rate(rate)
        return ""

    def _synthetic(self) -> SyntheticMarket:
        """Return the synthetic market; a replay cannot be told what its market does."""
        if not isinstance(self._exchange.market, SyntheticMarket):
            raise ArgumentError("a recording cannot do that")
        return self._exchange.market

    def _set_paused(self, arguments: Arguments, *, paused: bool) -> str:
        arguments.end()
        self._exchange.market.is_paused = paused
        return ""

    def _stats(self, arguments: Arguments) -> str:
        """`stats`: counts since the start, as one line of JSON."""
        arguments.end()
        return compact_json(self._exchange.stats())

    def _quit(self, arguments: Arguments) -> str:
        arguments.end()
        self._exchange.stopped.set()
        return ""


_AGGREGATE_KEYS = ("a", "p", "q", "nq", "f", "l", "T", "m")
_REST_KINDS: dict[str, Kind] = {"timeout": "timeout", "html": "html", "truncated": "truncated", "stale": "stale"}


def _closing(how: str) -> Callable[[WebSocket], None]:
    """Return what ends one connection in this way."""
    if how == "fin":
        return WebSocket.close_fin
    if how == "rst":
        return WebSocket.close_rst
    if not how.isdecimal() or not 1000 <= int(how) <= 4999:
        raise ArgumentError(f"fin, rst or a close code expected, not {how}")
    return lambda websocket: websocket.close_code(int(how))
