"""The exchange's list of symbols, and its changes; numbers keep the exchange's own digits."""

from typing import Any, NamedTuple

import msgspec

from binance_streamer.config.groups import Contract
from services.rest.answers import AnswerError, Odd, decode, try_decode
from services.rest.market.trading_hours import CONTRACT_TYPE

SUSPICIOUS_LOSS = 0.25
"""An answer that loses more of the universe at once is taken for an error of the exchange until it comes twice
(facts page §5.2.15)."""
TRADING = "TRADING"
UNLISTED = "UNLISTED"
"""Status of a configured symbol that the answer does not have; not a status of the exchange."""

_VOLATILE = frozenset({"serverTime", "symbols"})


class _Listed(msgspec.Struct):
    symbol: str
    status: str
    contractType: str = ""  # noqa: N815 (the exchange's names)
    underlyingType: str = ""  # noqa: N815
    quoteAsset: str = ""  # noqa: N815


class _RateLimit(msgspec.Struct):
    rateLimitType: str  # noqa: N815 (the exchange's name)
    interval: str
    limit: int
    intervalNum: int = 1  # noqa: N815


class _Saved(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    symbols: dict[str, msgspec.Raw]
    other: dict[str, msgspec.Raw]


class Universe(NamedTuple):
    """One answer: each symbol's object as it came, their statuses, and the other members except the time."""

    symbols: dict[str, bytes]
    statuses: dict[str, str]
    other: dict[str, bytes]
    weight_limit: int | None
    markets: dict[str, str]
    """Of the contracts that follow the hours of one: its name in the trading schedule."""
    odd: list[Odd]
    contracts: list[Contract]
    """Each symbol as groups ask for it."""


class Change(NamedTuple):
    """A change to record: the whole objects that are new or different, and the names of symbols that are gone."""

    changed: dict[str, bytes]
    removed: list[str]
    other: dict[str, bytes]

    def as_json(self) -> bytes:
        """Return the change as compact JSON, with the exchange's own digits."""
        return msgspec.json.encode({"changed": _raw(self.changed), "removed": self.removed, "other": _raw(self.other)})

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed or self.other)


def read_exchange_info(body: bytes) -> Universe:
    """Return what is understood of the answer, and what is odd in it; raise `AnswerError` where no symbol is.

    A symbol whose status cannot be read is taken to be trading, so that its silence is told and not hidden.
    """
    members = decode(body, dict[str, msgspec.Raw], "an exchangeInfo")
    objects = decode(members.get("symbols", msgspec.Raw(b"null")), list[msgspec.Raw], "the symbols of an exchangeInfo")
    odd: list[Odd] = []
    found = [(_listed(raw, odd), raw) for raw in objects]
    listed = {one.symbol: one for one, _ in found if one is not None}
    if not listed:
        raise AnswerError(f"exchangeInfo: expected at least one symbol, got {body[:200]!r}")
    other = {key: bytes(raw) for key, raw in members.items() if key not in _VOLATILE}
    nameless = [raw for one, raw in found if one is None]
    if nameless:
        other["symbols"] = msgspec.json.encode(nameless)
    return Universe(
        symbols={one.symbol: bytes(raw) for one, raw in found if one is not None},
        statuses={name: one.status for name, one in listed.items()},
        other=other,
        weight_limit=_weight_limit(members.get("rateLimits", msgspec.Raw(b"[]")), odd),
        markets={name: one.underlyingType for name, one in listed.items() if one.contractType == CONTRACT_TYPE},
        odd=odd,
        contracts=[Contract(one.symbol, one.status, one.contractType, one.quoteAsset) for one in listed.values()],
    )


def _listed(raw: msgspec.Raw, odd: list[Odd]) -> _Listed | None:
    """Return what is understood of an entry, None where not even its name is."""
    found = try_decode(raw, _Listed, "exchangeInfo symbols", odd=odd)
    if found is not None:
        return found
    entry = try_decode(raw, dict[str, Any], "", odd=[])
    if entry is None or not isinstance(entry.get("symbol"), str):
        return None
    texts = {key: entry[key] for key in _Listed.__struct_fields__ if isinstance(entry.get(key), str)}
    return _Listed(**{"status": TRADING, **texts})


class Listing:
    """The universe as it was recorded last, and a doubtful one that awaits its confirmation."""

    def __init__(self, symbols: dict[str, bytes], other: dict[str, bytes]) -> None:
        self.symbols = symbols
        self.other = other
        self._is_doubted = False

    @classmethod
    def loaded(cls, content: bytes) -> "Listing":
        """The inverse of `saved`; raises `AnswerError`."""
        saved = decode(content, _Saved, "the recorded exchangeInfo")
        return cls(_bytes(saved.symbols), _bytes(saved.other))

    def saved(self) -> bytes:
        """Return the list as JSON, for the next run of the process."""
        return msgspec.json.encode((_raw(self.symbols), _raw(self.other)))

    def count_doubt(self, universe: Universe) -> bool:
        """Return True if this answer loses so much that it has to come a second time before it is believed.

        It remembers that it has doubted: the same answer is believed when it is given here again.
        """
        lost = len(self.symbols.keys() - universe.symbols.keys())
        is_suspicious = lost > SUSPICIOUS_LOSS * len(self.symbols)
        is_doubtful = is_suspicious and not self._is_doubted
        self._is_doubted = is_doubtful
        return is_doubtful

    def change_to(self, universe: Universe) -> Change:
        """Return the difference from the list that was recorded last; it is false where there is none."""
        return Change(
            changed=_different(self.symbols, universe.symbols),
            removed=sorted(self.symbols.keys() - universe.symbols.keys()),
            other=_different(self.other, universe.other),
        )

    def take(self, universe: Universe) -> None:
        """Remember this list as the one that was recorded last."""
        self.symbols = universe.symbols
        self.other = universe.other


def _different(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, bytes]:
    return {key: raw for key, raw in after.items() if key not in before or not _equal(before[key], raw)}


def _equal(one: bytes, other: bytes) -> bool:
    """As JSON values: another order of keys or other spaces are no change."""
    if one == other:
        return True
    try:
        values: list[Any] = [decode(raw, object, "JSON") for raw in (one, other)]
    except AnswerError:  # a member that is never read may hold anything: bytes that are no UTF-8, for one
        return False
    return bool(values[0] == values[1])


def _raw(members: dict[str, bytes]) -> dict[str, msgspec.Raw]:
    return {key: msgspec.Raw(value) for key, value in members.items()}


def _bytes(members: dict[str, msgspec.Raw]) -> dict[str, bytes]:
    return {key: bytes(value) for key, value in members.items()}


def _weight_limit(raw: msgspec.Raw, odd: list[Odd]) -> int | None:
    place = "exchangeInfo rateLimits"
    for entry in try_decode(raw, list[msgspec.Raw], place, odd=odd) or ():
        limit = try_decode(entry, _RateLimit, place, odd=odd)
        if limit and (limit.rateLimitType, limit.interval, limit.intervalNum) == ("REQUEST_WEIGHT", "MINUTE", 1):
            return max(1, limit.limit)
    return None
