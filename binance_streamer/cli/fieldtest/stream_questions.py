"""Questions about websockets: paths, connections, copies, ids, books, bars (docs/exchange.md §10)."""

from collections.abc import Iterable
from itertools import pairwise

from binance_streamer.cli.fieldtest.question import Answer, Question, judged, listed, not_seen
from binance_streamer.cli.fieldtest.seen import Observations, PathProbe
from binance_streamer.cli.fieldtest.traffic import StreamSeen

_LEAST_PING_S, _MOST_PING_S = 90.0, 400.0
"""Around the documented 3 minutes: half of them, and two of them with a margin."""
_SEQUENCE = ("sequence", "ids went back")
"""Reasons of gaps that are the exchange's doing."""
_UNPROVEN = ("disconnected", "stall")
"""Reasons of gaps between connections."""


def _of_types(seen: Observations, *types: str) -> list[StreamSeen]:
    return [one for one in seen.traffic.streams.values() if one.stream.stream_type in types and one.messages]


def _delivery(seen: Observations) -> Answer:
    """Every stream of the liquid symbol must come, but liquidations; of the others mark prices alone come always."""
    silent = [
        name
        for name, one in seen.traffic.streams.items()
        if not one.messages
        and one.stream.stream_type != "forceorder"
        and (one.stream.symbol == seen.symbols[0] or one.stream.stream_type == "markprice")
    ]
    came = [one for one in seen.traffic.streams.values() if one.messages]
    if not came:
        return not_seen("no message of any stream came")
    quiet = len(seen.traffic.streams) - len(came) - len(silent)
    told = f"{len(came)} streams came, {sum(one.messages for one in came)} messages; {quiet} may be silent and were"
    return judged([f"nothing came of {listed(silent)}, while others did"] if silent else [], told)


def _probe(seen: Observations, start: str) -> PathProbe | None:
    return next((probe for probe in seen.probes if probe.what.startswith(start)), None)


def _unknown_names(seen: Observations) -> Answer:
    probe = _probe(seen, "names that do not exist")
    if probe is None:
        return not_seen("not tried")
    found = [f"the whole connection was refused: {probe.refused}"] if probe.refused else []
    found += [f"{name} came" for name in sorted(probe.heard & probe.unwanted)]
    if not found and not probe.heard & probe.wanted:
        found = ["the streams beside them were silent, too"]
    return judged(found, f"beside {listed(sorted(probe.unwanted))} the others came")


def _ends(seen: Observations) -> Answer:
    ended = [
        f"/{one.route}: {one.end} after {(one.ended_s or 0) - one.opened_s:.0f} s"
        for one in seen.connections
        if one.end
    ]
    notices = seen.traffic.notices["serverShutdown"]
    announced = f"; serverShutdown came {notices} times" if notices else ", and none announced"
    if ended:
        return judged([f"{len(ended)} connections were closed ({listed(ended)}){announced}"], "")
    lived = [(one.ended_s or seen.ended_s) - one.opened_s for one in seen.connections]
    return judged(
        [], f"{len(lived)} connections lived up to {max(lived):.0f} s, none was closed{announced}" if lived else ""
    )


def _planned(seen: Observations) -> Answer:
    gaps = [f"{count} gaps {reason}" for reason, count in seen.recorder.gaps.items() if reason in _UNPROVEN]
    replaced = seen.recorder.planned_ends
    if not replaced:
        return not_seen("no connection was old enough to be replaced")
    return judged(gaps, f"{replaced} connections were replaced at their planned age, without a gap")


def _copies(seen: Observations) -> Answer:
    """Contradicted by stream types of which a copy was another one, or did not come."""
    found: list[str] = []
    told: list[str] = []
    for kind in sorted({one.stream.stream_type for one in seen.traffic.streams.values()}):
        tallies = [one.copies.tally for one in _of_types(seen, kind)]
        identical, different, alone = (
            sum(getattr(tally, key) for tally in tallies) for key in ("identical", "different", "alone")
        )
        keys = sorted({key for tally in tallies for key in tally.differ_in})
        if different:
            found.append(f"{kind}: {different} of {identical + different} pairs differ, in {listed(keys)}")
        if alone:
            found.append(f"{kind}: {alone} messages came over one of two connections only")
        if identical:
            told.append(f"{kind} {identical}")
    return judged(found, f"identical pairs: {listed(told, 20)}" if told else "")


def _attempts(seen: Observations) -> Answer:
    count = len(seen.connections) + seen.recorder.opened + len(seen.probes)
    at_once = seen.recorder.most_open + len({(one.route, one.side) for one in seen.connections})
    return judged(
        [f"attempts were refused: {listed(seen.refused)}"] if seen.refused else [],
        f"{count} connections were let in, up to {at_once} at once" if count else "",
    )


def _lengths(seen: Observations) -> Answer:
    longest = max((one.url_characters for one in seen.connections), default=0)
    return judged([], f"URLs of {longest} characters; the limits themselves are not tried" if longest else "")


def _ids_back(seen: Observations) -> Answer:
    streams = [one for one in seen.traffic.streams.values() if any(side.last_id is not None for side in one.sides)]
    found = [
        f"{one.stream.name} went back {backs} times within a connection"
        for one in streams
        if (backs := sum(side.backs for side in one.sides))
    ]
    found += [f"{one.stream.name} went back behind a reconnect" for one in streams if one.seams]
    found += [f"the recorder listed {n} gaps `{why}`" for why, n in seen.recorder.gaps.items() if why == _SEQUENCE[1]]
    told = f"{len(streams)} streams with ids" + (", a forced reconnect among it" if seen.reconnected else "")
    return judged(found, told if streams else "")


def _holes(seen: Observations, types: Iterable[str], what: str) -> Answer:
    streams = _of_types(seen, *types)
    found = [
        f"{one.stream.name}: {breaks} messages do not hang on the one before"
        for one in streams
        if (breaks := sum(side.breaks for side in one.sides))
    ]
    count = sum(one.messages for one in streams)
    return judged(found, f"{count} messages, {what}" if count else "")


def _recorded_holes(seen: Observations) -> Answer:
    if not seen.recorder.rows:
        return not_seen("nothing was recorded")
    count = seen.recorder.gaps.get(_SEQUENCE[0], 0)
    return judged([f"the recorder listed {count} gaps `sequence`"] if count else [], f"{seen.recorder.rows} rows")


def _wrong_paths(seen: Observations) -> Answer:
    probes = [probe for probe in seen.probes if probe.what.startswith("streams of")]
    found = [f"{probe.what}: {listed(sorted(probe.heard))} came" for probe in probes if probe.heard]
    found += [f"{probe.what}: {probe.refused}" for probe in probes if probe.refused]
    return judged(found, f"{len(probes)} paths were silent for streams of the other" if probes else "")


def _unrouted(seen: Observations) -> Answer:
    probe = _probe(seen, "all streams on the unrouted")
    if probe is None:
        return not_seen("not tried")
    found = [f"{listed(sorted(probe.heard & probe.unwanted))} came"] if probe.heard & probe.unwanted else []
    found += [f"refused: {probe.refused}"] if probe.refused else []
    return judged(found, f"{len(probe.heard)} streams of /public came" if probe.heard else "")


def _only_asked(seen: Observations) -> Answer:
    found = [f"{count} messages of {name}, which was not asked for" for name, count in seen.traffic.unasked.items()]
    found += [
        f"{one.wrong_symbols} messages of {one.stream.name} name another symbol"
        for one in seen.traffic.streams.values()
        if one.wrong_symbols
    ]
    found += [
        f"{one.unexpected} messages of {one.stream.name} lack what we know of them"
        for one in seen.traffic.streams.values()
        if one.unexpected
    ]
    found += [f"{n} frames that cannot be read" for kind, n in seen.traffic.notices.items() if kind == "unreadable"]
    return judged(
        found, "every message was of a stream that was asked for, and of its symbol" if seen.connections else ""
    )


def _pings(seen: Observations) -> Answer:
    found, heard = [], 0
    for one in seen.connections:
        times_s = [one.opened_s, *one.pings_s]
        spans_s = [later - before for before, later in pairwise(times_s)]
        heard += len(one.pings_s)
        found += (
            [f"/{one.route}: a ping after {min(spans_s):.0f} s"] if spans_s and min(spans_s) < _LEAST_PING_S else []
        )
        quiet_s = max([*spans_s, (one.ended_s or seen.ended_s) - times_s[-1]])
        found += [f"/{one.route}: none for {quiet_s:.0f} s"] if quiet_s > _MOST_PING_S else []
    return judged([listed(found)] if found else [], f"{heard} pings" if heard else "")


def _bars(seen: Observations) -> Answer:
    streams = _of_types(seen, "kline")
    corrected = [f"{one.stream.name}: {n} bars closed twice with other values" for one in streams
                 if (n := sum(len(bars) > 1 for bars in one.closed.values()))]  # fmt: skip
    repeated = [f"{one.stream.name}: {one.repeated_bars} bars came twice on one connection" for one in streams
                if one.repeated_bars]  # fmt: skip
    count = sum(len(one.closed) for one in streams)
    return judged(corrected + repeated, f"{count} bars closed once each" if count else "")


def _audits(seen: Observations) -> Answer:
    passed, failed, tops = seen.recorder.audits
    valid, books = seen.recorder.books
    found = [f"{failed} audits failed"] if failed else []
    told = f"{passed} audits and {tops} best quotes passed, {valid} of {books} books valid at the end"
    return judged(found, told if passed or tops else "")


STREAM_QUESTIONS = (
    Question("1a", "every recorded stream comes on its path, `depth@0ms` and `trade` among them", _delivery),
    Question("1b", "a name that does not exist is silent, and does nothing to the others", _unknown_names),
    Question("2a", "healthy connections are not closed (documented: after 24 hours)", _ends),
    Question("2b", "a planned replacement leaves no gap", _planned),
    Question("3", "copies over two connections are byte-identical", _copies),
    Question("4", "as many connections as we open are let in", _attempts),
    Question("6", "URLs as long as ours are taken", _lengths),
    Question("8a", "ids never go back, not behind a reconnect either", _ids_back),
    Question(
        "8b", "ids of aggTrade and trade grow by 1", lambda seen: _holes(seen, ("aggtrade", "trade"), "none missing")
    ),
    Question("8c", "nothing is missing over two connections", _recorded_holes),
    Question("12a", "depth: `pu` is the `u` before", lambda seen: _holes(seen, ("depth",), "one chain")),
    Question("12b", "books pass audits against snapshots and best quotes", _audits),
    Question("16a", "a stream on the wrong path is silent", _wrong_paths),
    Question("16b", "the unrouted path delivers streams of /public only", _unrouted),
    Question("16c", "nothing comes that was not asked for", _only_asked),
    Question("17", "the server pings every 3 minutes", _pings),
    Question("18", "a bar closes once", _bars),
)
"""In the order of their numbers."""
