"""`python -m services.rest.probe`: asks the exchange for its time, once, and says what came of it; for `doctor`."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.wire.check_lines import Check, line_of
from services.rest import state
from services.rest.answers import AnswerError, RestAnswer, read_clock_sample, shown, used_weight, verdict
from services.rest.app import DEFAULT_WEIGHT_LIMIT, STATE_FILE
from services.rest.client import Client
from services.rest.paths import TIME
from services.runtime.clock import wall_ns
from services.runtime.network.reachable import check_addresses
from services.runtime.process import arguments_of

_ADVICE = {
    "standing back": "`binance-streamer logs rest` says why: a ban, or nobody answered; wait",
    "banned": "this address has asked too often: wait, and find out who else uses it",
    "forbidden": "the exchange does not serve this address or region",
    "refused": "is network.rest_url right?",
    "trouble": "is network.rest_url right, and does a firewall, a proxy or the name server stand in the way?",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line of JSON per check. Return 0, or 78 where the configuration is not valid."""
    parser = arguments_of("services.rest.probe", __doc__, "python -m services.rest.probe -c config/streamer.yaml")
    try:
        config = configuration.load(parser.parse_args(arguments).config)
    except configuration.ConfigError as error:
        sys.stderr.write(f"rest: {error}\n")
        return configuration.EXIT_CODE
    for check in probe(config):
        sys.stdout.write(line_of(check) + "\n")
    return 0


def probe(config: Config) -> list[Check]:
    """Return the checks of the REST interface, with one request of weight 1.

    Nothing is sent during a ban, because each request would lengthen it.
    """
    url = config.network.rest_url
    stand_down_s = _stand_down_s(config)
    if stand_down_s > 0:
        found = f"nothing was sent: the REST process stands back for another {math.ceil(stand_down_s)} s"
        return [Check(url, "fail", found, _ADVICE["standing back"])]
    addresses = check_addresses(url, timeout_s=config.network.connect_timeout)
    client = Client(config.network, wall_ns)
    try:
        answer = client.get(TIME.text)
    finally:
        client.close()
    found = verdict(answer)
    if found != "good":
        return [*addresses, Check(url, "fail", shown(answer), _ADVICE[found])]
    return [
        *addresses,
        Check(url, "ok", f"answers in {(answer.recv_ns - answer.requested_ns) / 1e6:.0f} ms"),
        *_read(config, answer),
    ]


def _read(config: Config, answer: RestAnswer) -> list[Check]:
    try:
        sample = read_clock_sample(answer)
    except AnswerError as error:
        return [Check("clock", "fail", str(error), "is network.rest_url right?")]
    text = f"the exchange's is {sample.offset_ms:+.0f} ms ahead, known to ± {sample.error_ms:.0f} ms"
    is_off = abs(sample.offset_ms) - sample.error_ms > config.alerts.clock * 1000
    advice = "run chrony or another NTP client: receive stamps are this clock's" if is_off else ""
    used = used_weight(answer)
    share = "" if used is None else f"{used} of about {DEFAULT_WEIGHT_LIMIT} used by this address in this minute"
    is_high = used is not None and used > DEFAULT_WEIGHT_LIMIT * config.network.weight_share
    return [
        Check("clock", "warn" if is_off else "ok", text, advice),
        Check(
            "request weight",
            "warn" if is_high or used is None else "ok",
            share or "the answer does not name the weight that is used",
            "who else uses this address? Otherwise raise network.weight_share" if is_high else "",
        ),
    ]


def _stand_down_s(config: Config) -> float:
    """Return the seconds of a ban or back-off that the REST process, running or not, has last been under."""
    try:
        loaded = state.load(Path(config.endpoints.run_directory) / STATE_FILE, wall_ns())
    except state.StateError:
        return 0.0
    return 0.0 if loaded is None else loaded[0].pace.stand_down_s - loaded[1]


if __name__ == "__main__":
    sys.exit(main())
