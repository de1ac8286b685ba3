"""The golden book of a recording: a slow, obvious oracle for `golden.json` (format in ../shared/data/README.md)."""

import hashlib
from collections.abc import Iterable
from decimal import Decimal

Levels = Iterable[tuple[Decimal, Decimal]]


class GoldenBook:
    """A book from one snapshot and the updates behind it, with the digests that golden recordings carry."""

    def __init__(self, last_update_id: int, bids: Levels, asks: Levels) -> None:
        self.last_update_id = last_update_id
        self.updates_applied = 0
        self._sides: dict[str, dict[Decimal, Decimal]] = {"b": dict(bids), "a": dict(asks)}
        self._digest = 0
        for side, levels in self._sides.items():
            for price, quantity in levels.items():
                self._digest ^= _level_digest(side, price, quantity)
        self._chain = b""

    def update(self, final_update_id: int, bids: Levels, asks: Levels) -> None:
        """Apply one depth update; one that the snapshot already holds is skipped."""
        if final_update_id <= self.last_update_id:
            return
        for side, levels in (("b", bids), ("a", asks)):
            for price, quantity in levels:
                self._set(side, price, quantity)
        self.updates_applied += 1
        link = f"{final_update_id}:{self._digest:016x}".encode()
        self._chain = hashlib.blake2b(self._chain + link, digest_size=8).digest()

    @property
    def final_book(self) -> str:
        """XOR over all levels, 16 hex digits."""
        return f"{self._digest:016x}"

    @property
    def chain_digest(self) -> str:
        """Changes if any update is lost, doubled or altered."""
        return self._chain.hex()

    def _set(self, side: str, price: Decimal, quantity: Decimal) -> None:
        levels = self._sides[side]
        before = levels.pop(price, None)
        if before is not None:
            self._digest ^= _level_digest(side, price, before)
        if quantity:
            levels[price] = quantity
            self._digest ^= _level_digest(side, price, quantity)


def _level_digest(side: str, price: Decimal, quantity: Decimal) -> int:
    text = f"{side} {_plain(price)} {_plain(quantity)}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _plain(number: Decimal) -> str:
    """Without trailing zeros and without an exponent."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
