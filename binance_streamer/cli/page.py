"""The address of the monitor's page, which is shown only when the monitor serves it."""

import time

from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import Config

_LISTEN_S = 3.0
"""The monitor says its status once a second."""


def line_of(config: Config, state: str) -> str:
    """Return where the page is, or why there is none; `state` is the monitor's own word, empty before it says one."""
    if state == "serving":
        return f"look at it: http://{config.monitor.address}/"
    if state.startswith("cannot listen"):
        return f"there is no page: the monitor {state}; set monitor.address to a free port"
    return ""


def state_of_monitor(config: Config, within_s: float = _LISTEN_S) -> str:
    """Return the state that the monitor says of itself on the bus; empty where none is heard within `within_s` seconds.

    "starting" is no answer: the next status is waited for, since the port may still turn out to be taken.
    """
    endpoints = config.endpoints
    deadline_s = time.monotonic() + within_s
    with Tap(endpoints.bus_subscribe, ["status.monitor"], curve_directory=endpoints.curve_directory) as tap:
        while (left_s := deadline_s - time.monotonic()) > 0:
            message = tap.receive(left_s)
            if message is not None and (state := str(message.data.get("state", ""))) not in ("", "starting"):
                return state
    return ""
