"""`python -m services.rest.probe`: asks the exchange for its time and its list of symbols, once each; for `doctor`.

With `--symbols` only the configured symbols are looked at, in a few seconds: for `apply`. A symbol that stands in the
list that the REST process recorded last is not asked for.
"""

import math
import sys
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path

import msgspec

from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import Contract, members_of
from binance_streamer.config.schema import Config, NetworkConfig, with_members
from binance_streamer.health.sizes import ahead_or_behind, amount
from binance_streamer.wire.check_lines import Check, line_of
from services.rest import state
from services.rest.answers import AnswerError, RestAnswer, read_clock_sample, shown, used_weight, verdict
from services.rest.app import DEFAULT_WEIGHT_LIMIT, LISTING_FILE, STATE_FILE
from services.rest.client import Client
from services.rest.market.exchange_info import Listing, read_exchange_info
from services.rest.paths import EXCHANGE_INFO, TIME
from services.rest.paths import Path as RequestPath
from services.runtime.clock import wall_ns
from services.runtime.network.reachable import check_addresses
from services.runtime.process import arguments_of

_QUICK_S = 3.0
"""For a connection, and for each silence of an answer, where somebody waits for `apply`."""
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
    parser.add_argument("--symbols", action="store_true", help="look at the configured symbols only, in a few seconds")
    options = parser.parse_args(arguments)
    try:
        config = configuration.load(options.config)
    except configuration.ConfigError as error:
        sys.stderr.write(f"rest: {error}\n")
        return configuration.EXIT_CODE
    for check in _quick_symbols(config) if options.symbols else probe(config):
        sys.stdout.write(line_of(check) + "\n")
    return 0


def probe(config: Config) -> list[Check]:
    """Return the checks of the REST interface, with two requests of weight 1 at most.

    Nothing is sent during a ban, because each request would lengthen it.
    """
    url = config.network.rest_url
    stand_down_s = _stand_down_s(config)
    if stand_down_s > 0:
        found = f"nothing was sent: the REST process stands back for another {math.ceil(stand_down_s)} s"
        return [Check(url, "fail", found, _ADVICE["standing back"])]
    addresses = check_addresses(url, timeout_s=config.network.connect_timeout)
    answer = _asked(config.network, TIME)
    found = verdict(answer)
    if found != "good":
        return [*addresses, Check(url, "fail", shown(answer), _ADVICE[found])]
    return [
        *addresses,
        Check(url, "ok", f"answers in {(answer.recv_ns - answer.requested_ns) / 1e6:.0f} ms"),
        *_read(config, answer),
        *symbols(config, config.network),
    ]


def symbols(config: Config, network: NetworkConfig) -> list[Check]:
    """Return a check that the exchange lists all configured symbols, or one for each that it does not.

    Where its list does not come that is a warning: nothing is known then, and the REST process asks again.
    """
    configured = [symbol.symbol for symbol in config.symbols]
    listed, groups = _recorded_names(config), []
    if not listed.issuperset(configured) or config.groups:
        answer = _asked(network, EXCHANGE_INFO)
        try:
            if verdict(answer) != "good":
                raise AnswerError(shown(answer))
            universe = read_exchange_info(answer.body)
        except AnswerError as error:
            advice = "`binance-streamer status` says later whether the exchange lists them"
            return [Check("symbols", "warn", f"the exchange's list did not come: {error}", advice)]
        listed, groups = frozenset(universe.statuses), group_checks(config, universe.contracts)
    missing = [symbol for symbol in configured if symbol not in listed]
    if missing:
        return [*(_unlisted(symbol, listed) for symbol in missing), *groups]
    named = [Check("symbols", "ok", f"the exchange lists all {len(configured)}")] if configured else []
    return [*named, *groups]


def group_checks(config: Config, contracts: Sequence[Contract]) -> list[Check]:
    """Return a check of each group that matches: how many members it has by this list; none is a failure."""
    matching = [group for group in config.groups if group.match is not None]
    members = with_members(config, {group.name: members_of(group, contracts) for group in matching}).groups
    return [
        Check(f"group {group.name}", "ok", f"{amount(len(group.members), 'member')} by the exchange's list")
        if group.members
        else Check(f"group {group.name}", "fail", "matches no symbol that trades", "correct its `match` in the YAML")
        for group in members
        if group.match is not None
    ]


def _unlisted(symbol: str, listed: Collection[str]) -> Check:
    names = get_close_matches(symbol, listed)
    advice = f"nearest names: {', '.join(names)}; " if names else ""
    return Check(
        f"symbol {symbol}", "fail", "the exchange does not list it", f"{advice}correct or remove it in the YAML"
    )


def _quick_symbols(config: Config) -> list[Check]:
    """Look at the configured symbols in `_QUICK_S` seconds for each step of a request; send nothing during a ban."""
    if _stand_down_s(config) > 0:
        return []
    network = msgspec.structs.replace(
        config.network,
        connect_timeout=min(_QUICK_S, config.network.connect_timeout),
        request_timeout=min(_QUICK_S, config.network.request_timeout),
    )
    return symbols(config, network)


def _recorded_names(config: Config) -> frozenset[str]:
    """Return the symbols in the list that was recorded last; none where there is no such list."""
    try:
        content = state.read_file(Path(config.endpoints.run_directory) / LISTING_FILE)
        return frozenset(Listing.loaded(content).symbols) if content is not None else frozenset()
    except (state.StateError, AnswerError):
        return frozenset()


def _asked(network: NetworkConfig, path: RequestPath) -> RestAnswer:
    """Ask once, over a connection of its own."""
    client = Client(network, wall_ns)
    try:
        return client.get(path.text)
    finally:
        client.close()


def _read(config: Config, answer: RestAnswer) -> list[Check]:
    try:
        sample = read_clock_sample(answer)
    except AnswerError as error:
        return [Check("clock", "fail", str(error), "is network.rest_url right?")]
    text = f"the exchange's is {ahead_or_behind(sample.offset_ms, 0)} ours, known to ± {sample.error_ms:.0f} ms"
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
