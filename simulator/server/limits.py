"""Limits of a websocket connection at the exchange; every value is an option of the command line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Defaults are the exchange's (docs/exchange.md §3): a ping every 3 minutes, 10 minutes for the pong, 24 h, 10
    inbound messages a second.
    """

    ping_interval_s: float = 180.0
    pong_timeout_s: float = 600.0
    lifetime_s: float = 86_400.0
    requests_per_s: int = 10  # inbound frames of any kind
    buffer_bytes: int = 64 << 20  # a client that does not read is cut off here
