"""What the exchange grants a websocket connection; every value is an option of the command line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    ping_interval_s: float = 180.0
    pong_timeout_s: float = 600.0
    lifetime_s: float = 86_400.0
    requests_per_s: int = 10  # inbound frames of any kind
    buffer_bytes: int = 64 << 20  # a client that does not read is cut off here
