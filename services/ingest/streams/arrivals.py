"""A message of one stream as it came, and what becomes of it."""

from typing import NamedTuple

from binance_streamer.exchange.messages import Reading
from services.runtime.gaps.drafts import Gap


class Arrival(NamedTuple):
    """A message of one stream as it came."""

    connection: int
    recv_ns: int
    event: bytes
    reading: Reading


Outcome = Arrival | Gap
"""An arrival is to be recorded, a gap to be listed."""
