"""Questions about REST, the clock, keys, the host and the files (docs/exchange.md §10)."""

from collections import Counter
from typing import Any

from binance_streamer.cli.fieldtest.question import Answer, Question, judged, listed, not_seen
from binance_streamer.cli.fieldtest.seen import Observations, RestSeen
from binance_streamer.cli.fieldtest.traffic import quantile_ms
from binance_streamer.health.sizes import size

_DAY_MS = 86_400_000.0
_FUTURE_MS = 100.0
"""An event may be so far ahead of the clock of REST, beyond its error: the exchange has more than one machine."""
_MOST_LATE_MS = 10_000.0


def _ban(seen: Observations) -> Answer:
    bans = [one for one in seen.rest if one.status == 418]
    if not bans:
        return not_seen("no ban")
    later = [one for one in seen.traffic.streams.values() if one.last_recv_ns > bans[-1].recv_ns]
    return judged([] if later else ["no message came behind a ban"], "messages came behind a ban")


def _refusals(seen: Observations) -> Answer:
    refused = [one for one in seen.rest if one.status in (418, 429)]
    if not refused:
        count = sum(seen.recorder.rest_answers.get(status, 0) for status in ("418", "429"))
        return not_seen(f"the recorder was refused {count} times, its log has the answers" if count else "no refusal")
    silent = [f"{one.status} without Retry-After" for one in refused if not one.has_retry_after]
    silent += [f"{one.status} with code {one.code}, not -1003" for one in refused if one.code != -1003]
    return judged(silent, listed([f"{one.status} with Retry-After and code {one.code}" for one in refused]))


def _keeps_up(seen: Observations) -> Answer:
    recorder = seen.recorder
    if not recorder.rows:
        return not_seen("nothing was recorded")
    share = sum(one.cpu_share for one in recorder.processes.values())
    memory = sum(one.rss_bytes for one in recorder.processes.values())
    told = f"{recorder.rows} rows; {share * 100:.0f} % of a core, {size(memory)} of memory, all processes together"
    return judged([*recorder.losses, *recorder.faults], told)


def _rows(seen: Observations, what: str) -> Answer:
    compared = [one for one in seen.rows if one.what.startswith(what)]
    found = [f"{one.what}: {listed(one.differences)}" for one in compared if one.differences]
    count = sum(one.compared for one in compared)
    return judged(found, f"{count} rows, the same in every field" if count else "")


def _note(seen: Observations, name: str, why: str) -> Answer:
    if name in seen.faults:
        return judged([seen.faults[name]], "")
    return judged([], seen.notes[name]) if name in seen.notes else not_seen(why)


def _too_old(seen: Observations) -> Answer:
    said = seen.notes.get("too old", "")
    return judged(["no rows, and no error"] if "no rows" in said else [], said)


def _repairs(seen: Observations) -> Answer:
    recorder = seen.recorder
    found = [f"{count} gaps `{reason}` could not be repaired" for reason, count in recorder.unrepaired.items()]
    return judged(found, f"{recorder.repaired} gaps were fetched from REST" if recorder.repaired else "")


def _offset_of(answers: list[RestSeen]) -> tuple[float, float] | None:
    """Return exchange clock minus ours, and the bound of its error, in ms, from the quickest answer."""
    times = [one for one in answers if one.path.endswith("/time") and _server_time_of(one.body) is not None]
    if not times:
        return None
    best = min(times, key=lambda one: one.recv_ns - one.requested_ns)
    middle_ms = (best.requested_ns + best.recv_ns) / 2e6
    return (_server_time_of(best.body) or 0) - middle_ms, (best.recv_ns - best.requested_ns) / 2e6 + 1


def _server_time_of(body: Any) -> int | None:
    found = body.get("serverTime") if isinstance(body, dict) else None
    return found if isinstance(found, int) else None


def _times(seen: Observations) -> Answer:
    """Compare event times with the exchange's clock, as far as REST tells it."""
    streams = [one for one in seen.traffic.streams.values() if one.messages]
    wrong = sum(one.wrong_times for one in streams)
    found = [f"{wrong} event times are more than a day from our clock: another unit?"] if wrong else []
    offset = _offset_of(seen.rest)
    if offset is None:
        return judged(found, "")
    if abs(offset[0]) > _DAY_MS:
        return judged([*found, "the time of REST is more than a day from our clock: another unit?"], "")
    latencies: Counter[int] = sum((one.latencies_ms for one in streams), Counter())
    if not latencies:
        return judged(found, "")
    least_ms, median_ms = (quantile_ms(latencies, share) + offset[0] for share in (0.0, 0.5))
    if least_ms < -offset[1] - _FUTURE_MS:
        found.append(f"an event is {-least_ms:.0f} ms ahead of the exchange's clock, known to ± {offset[1]:.0f} ms")
    if median_ms > _MOST_LATE_MS:
        found.append(f"events are {median_ms:.0f} ms behind the exchange's clock")
    told = (
        f"events reach us {least_ms:.0f} ms (least), {median_ms:.0f} ms (median) after their time, ± {offset[1]:.0f} ms"
    )
    return judged(found, told)


def _error_bound(seen: Observations) -> Answer:
    own, recorder = _offset_of(seen.rest), seen.recorder.clock
    if own is None or recorder is None:
        return not_seen("the clock was not measured twice")
    apart_ms, bound_ms = abs(own[0] - recorder[0]), own[1] + recorder[1]
    told = f"two measurements are {apart_ms:.1f} ms apart, of ± {bound_ms:.1f} ms together"
    return judged([told] if apart_ms > bound_ms + 50 else [], told)


def _keys(seen: Observations) -> Answer:
    recorder = seen.recorder
    found = [f"{series}: {', '.join(keys)}" for series, keys in recorder.new_keys.items()]
    found += [f"{count} messages without a row form ({place})" for place, count in recorder.raw_rows.items()]
    found += [
        f"{count} entries of REST that are not understood ({place})" for place, count in recorder.not_understood.items()
    ]
    return judged(found, "no key that is new" if recorder.rows else "")


def _weight(seen: Observations) -> Answer:
    silent = [one.path for one in seen.rest if one.status == 200 and one.used_weight is None]
    most = max([seen.recorder.weight[0], *(one.used_weight or 0 for one in seen.rest)])
    found = [f"answers without the used weight: {listed(sorted(set(silent)))}"] if silent else []
    return judged(found, f"at most {most} of {seen.recorder.weight[1]} in a minute" if most else "")


def _files(seen: Observations) -> Answer:
    recorder = seen.recorder
    if recorder.verified is None:
        return not_seen("the extra `days` is not installed")
    gaps = listed([f"{count} {reason}" for reason, count in sorted(recorder.gaps.items())]) or "none"
    restart = f"; {recorder.restarted} was restarted hard once, so that it has gaps" if recorder.restarted else ""
    told = f"`verify` has no finding; gaps: {gaps}{restart}"
    found = [f"`verify` has {recorder.verified} findings: {listed(recorder.findings)}"] if recorder.verified else []
    return judged(found, told if recorder.rows else "")


OTHER_QUESTIONS = (
    Question("5", "a ban of REST does not cover the websockets", _ban),
    Question("7", "a refusal has Retry-After, and code -1003", _refusals),
    Question(
        "9",
        "a day equals the exchange's archive",
        lambda _: not_seen("`verify --archive` compares a day once it is over"),
    ),
    Question("10", "the recorder keeps up", _keeps_up),
    Question("11a", "REST's aggregates equal the streamed ones", lambda seen: _rows(seen, "aggTrades")),
    Question("11b", "REST's bars equal the streamed closed ones", lambda seen: _rows(seen, "klines")),
    Question("11c", "REST has an aggregate soon after the stream", lambda seen: _note(seen, "newest", "")),
    Question("11d", "a `fromId` that is too old gets later rows, or an error", _too_old),
    Question("11e", "what a restart has missed is fetched from REST", _repairs),
    Question(
        "12c", "a snapshot is not older than updates before its request", lambda seen: _note(seen, "snapshot", "")
    ),
    Question("13a", "event times are in ms, of the clock that REST tells", _times),
    Question("13b", "the error of that clock is bounded by the round trip", _error_bound),
    Question("14", "messages have the keys that we know", _keys),
    Question(
        "15", "the hours of TradFi contracts are told", lambda seen: _note(seen, "hours", "no such contract is listed")
    ),
    Question("19", "answers name the weight that is used", _weight),
    Question("20", "what was recorded is whole, or listed as a gap", _files),
)
"""In the order of their numbers."""
