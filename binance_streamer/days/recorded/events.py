"""Messages of recorded rows: the inverse of the writer, which made rows of messages.

In: the stem of a daily file, the symbol, and cells as text; None is an empty cell, "" the text `""`. Out: the event of
the exchange, or the fields of a message of ours. A row of the message is the recorded row, byte for byte. Keys come in
the exchange's order, so that mostly the event is the one that was received, too; its spaces are not recorded.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rest_series import REST_SERIES, series_name
from binance_streamer.exchange.rows import OWN_COLUMNS, SNAPSHOT_STEM, SNAPSHOT_TYPE, RowForm
from binance_streamer.exchange.stream_types import (
    STREAM_TYPES,
    event_name,
    file_stem,
    rest_row_form,
    row_form,
    suffixes,
)
from binance_streamer.exchange.streams import stream_of

Cells = Sequence[str | None]
"""The cells of a row, in the order of the file's columns."""

_ORDER = {
    "aggtrade": "e E a s ps p q nq f l T m st",
    "trade": "e E T s ps t p q X m st",
    "bookticker": "e u s ps b B a A T E st",
    "depth": "e E T s ps U u pu b a st",
    "partialdepth": "e E T s ps U u pu b a st",
    "rpidepth": "e E T s ps U u pu b a st",
    "markprice": "e E s ps p ap P i r T st",
    "miniticker": "e E s c o h l v q ps st",
    "ticker": "e E s ps p P w c o h l v q Q O C F L n st",
    "kline": "e E s k.t k.T k.s k.i k.f k.L k.o k.c k.h k.l k.v k.n k.x k.q k.V k.Q k.B",
    "continuouskline": "e E ps ct k.t k.T k.i k.f k.L k.o k.c k.h k.l k.v k.n k.x k.q k.V k.Q k.B",
    "forceorder": "e E o.s o.S o.o o.f o.q o.p o.ap o.X o.l o.z o.T",
    SNAPSHOT_TYPE: "lastUpdateId E T bids asks",
    "openinterest": "openInterest symbol time",
    "premiumindex": "symbol markPrice indexPrice estimatedSettlePrice lastFundingRate interestRate nextFundingTime "
    "time",
    "ticker24h": "symbol priceChange priceChangePercent weightedAvgPrice lastPrice lastQty openPrice highPrice "
    "lowPrice volume quoteVolume openTime closeTime firstId lastId count",
    "fundingrate": "symbol fundingTime fundingRate markPrice rateType",
    "fundinginfo": "symbol adjustedFundingRateCap adjustedFundingRateFloor fundingIntervalHours disclaimer updateTime",
    **dict.fromkeys(
        ("longshortratio", "toplongshortaccountratio", "toplongshortpositionratio"),
        "symbol longShortRatio longAccount shortAccount timestamp",
    ),
    "takerlongshortratio": "buySellRatio buyVol sellVol timestamp",
    "openinteresthist": "symbol sumOpenInterest sumOpenInterestValue CMCCirculatingSupply timestamp",
}
"""Keys in the order in which the exchange sends them (docs/exchange.md §2, §4); a key that is not here comes last."""
_INTEGERS = frozenset(
    {
        *("E", "T", "a", "f", "l", "t", "u", "U", "pu", "k.t", "k.T", "k.n", "k.f", "k.L", "o.T"),
        *("lastUpdateId", "time", "timestamp", "openTime", "closeTime", "fundingTime", "nextFundingTime"),
        *("firstId", "lastId", "count", "fundingIntervalHours"),
    }
)
"""Keys with numbers in JSON; numbers of all other keys are texts."""
_INTEGERS_OF = {
    "ticker": frozenset({"E", "O", "C", "F", "L", "n"}),
    "miniticker": frozenset({"E"}),
    "bookticker": frozenset({"u", "T", "E"}),
}
"""The same of stream types whose letters mean something else."""
_MAX_PLANS = 1000
"""Remembered; a stream has one for each text in its column `extra`."""

_decode_extra = msgspec.json.Decoder(dict[str, Raw]).decode
_encode_text = msgspec.json.Encoder().encode


def event_of(stem: str, row: Mapping[str, str | None], *, symbol: str) -> bytes:
    """Return the exchange's event that a row was made of.

    `row` has the cells by column, and `source` among them. `ValueError` where the rows of this stem hold messages of
    ours, which `fields_of` returns.
    """
    if "event" in row:
        return kept_event(row["event"] or "", row.get("encoding"))
    writer = EventWriter(stem, symbol, is_rest=row.get("source") == "rest")
    return writer.event([row[column] for column in writer.columns], row["extra"])


def kept_event(cell: str, encoding: str | None) -> bytes:
    """Return an event that is a cell as it came: as text, or in base64."""
    return base64.b64decode(cell) if encoding == "base64" else cell.encode()


class EventWriter:
    """Makes events of the rows of one file that came over one way: the websocket, or REST.

    `columns` are those that an event is made of. What rows have in common, keys and all else around the cells, is put
    together once.
    """

    def __init__(self, stem: str, symbol: str, *, is_rest: bool) -> None:
        stream_type, variant = type_of_stem(stem)
        rest_form = rest_row_form(stream_type) if is_rest else None
        form = rest_form or row_form(stream_type)
        if form is None:
            raise ValueError(f"{stem}: its rows are not made of events in columns")
        self.columns = tuple(column for column, _ in form.columns)
        self._form = form
        self._implied = {} if rest_form else _implied(stream_type, symbol, variant, form)
        self._order = {key: place for place, key in enumerate(_ORDER.get(stream_type, "").split())}
        integers = _INTEGERS_OF.get(stream_type, _INTEGERS)
        self._write = [_cell_writer(form, key, is_integer=key in integers) for _, key in form.columns]
        self._plans: dict[tuple[str | None, tuple[int, ...]], tuple[str, tuple[int, ...]]] = {}

    def event(self, cells: Cells, extra: str | None) -> bytes:
        """Return the event of the cells of `columns` and of the cell `extra`."""
        missing = tuple([place for place, cell in enumerate(cells) if cell is None]) if None in cells else ()
        plan = self._plans.get((extra, missing))
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[extra, missing] = self._plan(extra, missing)
        text, places = plan
        write = self._write
        return (text % tuple([write[place](cells[place]) for place in places])).encode()  # type: ignore[arg-type]

    def _plan(self, extra: str | None, missing: Sequence[int]) -> tuple[str, tuple[int, ...]]:
        """Return the event with a `%s` for each cell, and the places of these cells in their order."""
        form = self._form
        others = {key: _escaped(value) for key, value in _members(extra, form.inner)}
        members: dict[str, str | int] = {key: _escaped(value) for key, value in self._implied.items()}
        members |= {key: place for place, (_, key) in enumerate(form.columns) if place not in missing}
        members |= others
        order = self._order
        keys = sorted(members, key=lambda key: order.get(key, len(order)))
        if [key for key in keys if key in others] != list(others):  # the order of `extra` is recorded, ours is a guess
            keys = [*(key for key in keys if key not in others), *others]
        places: list[int] = []
        if form.array:
            keys = [*form.array, *sorted((key for key in keys if key.isdigit()), key=int)]
            text = f"[{','.join(_value(members[key], places) for key in keys)}]"
        else:
            text = _object(keys, members, form.inner, places)
        return text, tuple(places)


def _members(extra: str | None, inner: str) -> Iterator[tuple[str, str]]:
    """Yield keys and values, as JSON, of a cell `extra`; those of the inner object as `k.t`."""
    for key, value in (_decode_extra(extra) if extra else {}).items():
        if key == inner:
            yield from ((f"{key}.{name}", bytes(one).decode()) for name, one in _decode_extra(value).items())
        else:
            yield key, bytes(value).decode()


def _object(keys: Iterable[str], members: Mapping[str, str | int], inner: str, places: list[int]) -> str:
    """Return an object with its members in order; the inner object is the last one, as the exchange has it."""
    prefix = f"{inner}." if inner else ""
    outer = [key for key in keys if not prefix or not key.startswith(prefix)]
    of_inner = [key for key in keys if prefix and key.startswith(prefix)]
    parts = [f"{_name(key)}:{_value(members[key], places)}" for key in outer]
    if inner:
        found = ",".join(f"{_name(key[len(prefix) :])}:{_value(members[key], places)}" for key in of_inner)
        parts.append(f"{_name(inner)}:{{{found}}}")
    return f"{{{','.join(parts)}}}"


def _name(key: str) -> str:
    return _escaped(_encode_text(key).decode())


def _value(member: str | int, places: list[int]) -> str:
    """Return the text of a member, a `%s` where it is the place of a cell."""
    if isinstance(member, str):
        return member
    places.append(member)
    return "%s"


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _cell_writer(form: RowForm, key: str, *, is_integer: bool) -> Callable[[str], str]:
    """Return the function that makes JSON of a cell of this key."""
    if key in form.levels:
        return levels_json
    if key in form.texts:
        return lambda cell: _encode_text(cell).decode()
    if key in form.flags or is_integer:
        return lambda cell: cell or '""'
    return lambda cell: f'"{cell}"'


def levels_json(cell: str) -> str:
    """Return the levels of a cell as the exchange writes them: `[["1.20","3"]]` for `[[1.20,3]]`."""
    if cell == "[]":
        return cell
    inner = cell[2:-2].replace(",", '","').replace(']","[', '"],["')
    return f'[["{inner}"]]'


def _implied(stream_type: str, symbol: str, variant: str, form: RowForm) -> dict[str, str]:
    """Return the members that are not recorded because the file's place says them, in JSON."""
    quoted_symbol = _encode_text(symbol).decode()
    event = event_name(stream_type)
    if event is None:
        return {} if stream_type == SNAPSHOT_TYPE else {"symbol": quoted_symbol}
    found = {"e": _encode_text(event).decode()}
    if form.inner != "o":
        found["s"] = quoted_symbol
    if form.inner and stream_type != "continuouskline":
        found[f"{form.inner}.s"] = quoted_symbol
    if "open_time" in dict(form.columns) and form.inner:
        found[f"{form.inner}.i"] = _encode_text(variant.rpartition("_")[2]).decode()
    return found


def fields_of(stem: str, row: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the fields that a row of a message of ours (`gap`, `orderbook`) was made of, without the common ones."""
    if stem not in OWN_COLUMNS:
        cell = row.get("event")
        found: dict[str, Any] = msgspec.json.decode(cell) if cell else {}
        return found
    fields = {column: _own_value(column, cell) for column in OWN_COLUMNS[stem] if (cell := row[column]) is not None}
    extra = row["extra"]
    return fields | (msgspec.json.decode(extra) if extra else {})


_OWN_TEXTS = frozenset(
    {
        *("gap_id", "state", "stream", "reason", "repaired_by", "kind", "outcome"),
        *("best_bid", "best_ask", "spread"),
    }
)
_is_flag = {"true": True, "false": False}.get


def _own_value(column: str, cell: str) -> Any:
    """Return the value of a cell; prices are texts, as the exchange has them."""
    if column in ("bids", "asks"):
        return msgspec.json.decode(levels_json(cell))
    if column == "differences":
        return msgspec.json.decode(cell)
    if column in _OWN_TEXTS or not cell:
        return cell
    flag = _is_flag(cell)
    return flag if flag is not None else float(cell) if not cell.lstrip("-").isdigit() else int(cell)


def type_of_stem(stem: str) -> tuple[str, str]:
    """Return stream type and variant of a daily file: `depth`, `100ms` for the stem `depth_100ms`.

    The stem itself, without a variant, where it is of no stream of the exchange.
    """
    if stem == SNAPSHOT_STEM:
        return SNAPSHOT_TYPE, ""
    head, _, rest = stem.partition("_")
    series = REST_SERIES.get(head)
    if series is not None and series.has_periods:
        return head, rest
    found = STREAM_TYPES.get(head)
    return (head, rest or found.default_variant) if found is not None else (stem, "")


def stream_name(stem: str, symbol: str) -> str:
    """Return the name of a file's stream at the exchange; of what REST answers path and query, else an empty text."""
    stream_type, variant = type_of_stem(stem)
    if stream_type == SNAPSHOT_TYPE:
        return f"/fapi/v1/depth?symbol={quote(symbol, safe='')}&limit=1000"
    if stream_type in REST_SERIES:
        return series_name(stream_type, symbol, variant)
    suffix = _suffix_by_stem().get(stem)
    return stream_of(symbol, suffix).name if suffix is not None else ""


def _suffix_by_stem() -> dict[str, str]:
    """Return the spellings of all streams of a symbol, by the stems of their files."""
    if not _SUFFIXES:
        for suffix in suffixes():
            try:
                stream = stream_of("BTCUSDT", suffix)
            except ExchangeError:
                continue
            _SUFFIXES[file_stem(stream.stream_type, stream.variant)] = suffix
    return _SUFFIXES


_SUFFIXES: dict[str, str] = {}
