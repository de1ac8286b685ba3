"""Healthy exactly when every configured stream is being recorded; a problem is said with what, why and since when."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.exchange.streams import stream_of
from binance_streamer.health.judge import Health, disk_of, processes
from binance_streamer.health.observer import Observer, is_hidden
from binance_streamer.health.problem import Problem
from binance_streamer.health.stream_states import stream_state, trading_status
from binance_streamer.wire.statuses import IngestStatus, WriterStatus, read_status

NOW_S = 1000.0
NOW_MS = 1_790_000_000_000
NOW_NS = NOW_MS * 1_000_000
CONFIG = configuration.parse(
    """
mode: production
modes:
  production:
    symbols:
      - symbol: BTCUSDT
        streams: [depth@0ms, aggTrade, forceOrder]
orderbook: {enabled: false}
monitor: {enabled: false}
""",
    Path("/etc/recorder/streamer.yaml"),
)


def stream(**fields: Any) -> dict[str, Any]:
    return {"messages": 9, "state": "live", "silent_s": 0.1, "patience_s": 60.0, "last_recv_ns": NOW_NS - 5, **fields}


def link(route: str, state: str = "delivering") -> dict[str, Any]:
    return {"connection": 1, "route": route, "state": state, "age_s": 5.0}


def ingest(**fields: Any) -> dict[str, Any]:
    return {
        "streams": {
            "btcusdt@depth@0ms": stream(),
            "btcusdt@aggTrade": stream(patience_s=300.0),
            "btcusdt@forceOrder": stream(state="waiting", patience_s=0.0, last_recv_ns=None),
        },
        "connections": [link("public"), link("market")],
        "journal": {"state": "recording", "unacknowledged_bytes": 100, "unacknowledged_s": 4.0},
        **fields,
    }


def frame(producer: str, **fields: Any) -> dict[str, Any]:
    return {"producer": producer, "epoch": 1, "recv_ns": NOW_NS, "up_s": 3600.0, **fields}


def statuses(**changed: Any) -> dict[str, dict[str, Any] | None]:
    """Of a recording in which all is well; a process that is None says nothing."""
    well: dict[str, Any] = {
        "bus": {"state": "forwarding"},
        "writer": {"state": "recording", "bytes": 1000, "disk_free_bytes": 10**12, "disk_total_bytes": 2 * 10**12},
        "rest": {"state": "answered", "symbols": {"BTCUSDT": "TRADING"}, "clock_offset_ms": 3.0},
        "ingest": ingest(),
    }
    well.update(changed)
    of_symbol = ("ingest", "standby")
    return {f"{name}-BTCUSDT" if name in of_symbol else name: fields for name, fields in well.items()}


def health(config: Config = CONFIG, now_s: float = NOW_S, **changed: Any) -> Health:
    observer = Observer(config)
    for name, fields in statuses(**changed).items():
        if fields is not None:
            observer.take(frame(name, **fields), NOW_S)
    return observer.health(now_s, NOW_MS)


def only(found: Health) -> Problem:
    assert len(found.problems) == 1, found.problems
    return found.problems[0]


def essence(problem: Problem) -> tuple[str, str, str]:
    return problem.condition, problem.severity, problem.what


def test_all_is_well() -> None:
    assert health() == Health(())
    assert health().healthy


@pytest.mark.parametrize("name", ["bus", "writer", "rest", "ingest"])
def test_a_process_that_never_said_anything_is_a_failure(name: str) -> None:
    changed: dict[str, Any] = {name: None}
    found = health(**changed)
    assert not found.healthy
    assert essence(only(found)) == ("process", "failure", "ingest-BTCUSDT" if name == "ingest" else name)


def test_a_process_that_fell_silent_is_a_failure_since_its_last_word() -> None:
    observer = Observer(CONFIG)
    for name, fields in statuses().items():
        assert fields is not None
        observer.take(frame(name, **fields), NOW_S if name == "writer" else NOW_S + 9)
    assert observer.health(NOW_S + 10, NOW_MS).healthy
    found = observer.health(NOW_S + 10.5, NOW_MS)
    assert only(found).what == "writer"
    assert only(found).since_ms == NOW_MS


def test_where_nobody_is_heard_the_bus_is_the_one_problem() -> None:
    found = health(now_s=NOW_S + 11)
    assert not found.healthy
    assert only(found).what == "bus"


def test_without_any_word_every_process_is_named() -> None:
    found = Observer(CONFIG).health(NOW_S, NOW_MS)
    assert [problem.what for problem in found.problems] == ["bus", "writer", "rest", "ingest-BTCUSDT"]


def with_stream(name: str, **fields: Any) -> Health:
    whole = ingest()
    whole["streams"][name] = {**whole["streams"][name], **fields}
    return health(ingest=whole)


def test_a_stale_stream_is_a_failure_since_its_last_message() -> None:
    found = with_stream("btcusdt@depth@0ms", state="stale", silent_s=61.0)
    assert only(found) == Problem(
        "recording", "failure", "BTCUSDT depth@0ms", "silent for 61 s, expected every 60 s", NOW_MS - 1,
    )  # fmt: skip


def test_a_stream_whose_worker_is_too_patient_is_overdue_even_so() -> None:
    assert with_stream("btcusdt@depth@0ms", silent_s=89.0).healthy
    assert only(with_stream("btcusdt@depth@0ms", silent_s=91.0)).what == "BTCUSDT depth@0ms"


def test_a_quiet_stream_is_recorded_while_its_connection_delivers() -> None:
    assert with_stream("btcusdt@aggTrade", state="waiting", silent_s=100.0).healthy
    whole = ingest(connections=[link("public"), link("market", "open")])
    whole["streams"]["btcusdt@aggTrade"] = stream(state="waiting", patience_s=300.0)
    found = health(ingest=whole)
    assert only(found).why == "connected, and nothing has come yet"
    whole["connections"] = [link("public", "stalled"), link("market", "stalled")]
    assert health(ingest=whole).healthy


def test_without_a_connection_nothing_of_its_route_is_recorded() -> None:
    found = health(ingest=ingest(connections=[link("public"), link("market", "dialling")], failing={"market": "503"}))
    assert [(problem.what, problem.why) for problem in found.problems] == [
        ("BTCUSDT aggTrade", "no connection of /market: 503"),
        ("BTCUSDT forceOrder", "no connection of /market: 503"),
    ]


def test_a_stream_that_its_worker_does_not_know_is_missing() -> None:
    whole = ingest()
    del whole["streams"]["btcusdt@forceOrder"]
    assert only(health(ingest=whole)).what == "BTCUSDT forceOrder"


def test_a_speed_that_the_exchange_never_sent_is_replaced_with_a_warning() -> None:
    whole = ingest()
    whole["streams"]["btcusdt@depth@100ms"] = whole["streams"].pop("btcusdt@depth@0ms")
    found = health(ingest=whole)
    assert found.healthy
    assert only(found).why == "never delivered; depth@100ms is recorded instead"
    whole["streams"]["btcusdt@depth@100ms"]["state"] = "stale"
    assert not health(ingest=whole).healthy


def test_silence_that_is_a_failure_is_not_suspicious_too() -> None:
    whole = ingest(suspicious=["btcusdt@aggTrade"])
    whole["streams"]["btcusdt@aggTrade"] = stream(state="stale", silent_s=700.0, patience_s=300.0)
    assert only(health(ingest=whole)).severity == "failure"


def test_a_symbol_that_does_not_trade_is_shown_as_such_and_is_healthy() -> None:
    whole = ingest(connections=[])
    rest = {"state": "answered", "symbols": {"BTCUSDT": "SETTLING"}}
    assert health(ingest=whole, rest=rest).healthy
    status = read_status(frame("ingest-BTCUSDT", **whole))
    assert isinstance(status, IngestStatus)
    assert stream_state(configuration.streams_of(CONFIG.symbols[0])[0], status, "SETTLING").state == "not trading"


def test_a_worker_remembers_that_its_symbol_does_not_trade() -> None:
    told = read_status(frame("ingest-BTCUSDT", **ingest(not_trading=["BTCUSDT"])))
    assert trading_status("BTCUSDT", {"ingest-BTCUSDT": told}) == "NOT TRADING"


def off_session(*, connected: bool = True, **fields: Any) -> dict[str, Any]:
    """A worker whose depth stream has said nothing for an hour."""
    whole = ingest(connections=[link("public"), link("market")] if connected else [], off_session=["BTCUSDT"])
    whole["streams"]["btcusdt@depth@0ms"] = stream(state="stale", last_recv_ns=NOW_NS - 3600 * 10**9, **fields)
    return whole


def state_of(name: str, whole: dict[str, Any]) -> str:
    status = read_status(frame("ingest-BTCUSDT", **whole))
    assert isinstance(status, IngestStatus)
    trading = trading_status("BTCUSDT", {"ingest-BTCUSDT": status})
    return stream_state(stream_of("BTCUSDT", name), status, trading).state


def test_silence_outside_of_a_market_s_hours_is_shown_as_such_and_is_healthy() -> None:
    assert health(ingest=off_session()).healthy
    assert not health(ingest={**off_session(), "off_session": []}).healthy
    assert state_of("depth@0ms", off_session()) == "off session"
    assert state_of("aggTrade", off_session()) == "live"


def test_a_worker_that_has_just_started_is_off_session_by_the_word_of_rest() -> None:
    told = {**off_session(), "off_session": []}
    rest = {"state": "answered", "symbols": {"BTCUSDT": "TRADING"}, "off_session": ["BTCUSDT"]}
    assert health(ingest=told, rest=rest).healthy
    assert not health(ingest=told, rest={**rest, "off_session": []}).healthy


def test_outside_of_a_market_s_hours_a_connection_is_needed_even_so() -> None:
    found = health(ingest=off_session(connected=False))
    assert "BTCUSDT depth@0ms" in [problem.what for problem in found.problems if problem.severity == "failure"]


@pytest.mark.parametrize(
    ("changed", "condition", "what"),
    [
        ({"ingest": ingest(journal={"state": "journal full"})}, "recording", "ingest-BTCUSDT"),
        ({"ingest": ingest(journal={"unacknowledged_s": 61.0})}, "backlog", "ingest-BTCUSDT"),
        ({"writer": {"state": "disk full"}}, "disk", "writer"),
        ({"writer": {"state": "cannot write: read-only"}}, "recording", "writer"),
    ],
)
def test_what_keeps_messages_out_of_the_files_is_a_failure(changed: dict[str, Any], condition: str, what: str) -> None:
    found = health(**changed)
    assert not found.healthy
    assert essence(only(found)) == (condition, "failure", what)


@pytest.mark.parametrize(
    ("changed", "condition"),
    [
        ({"rest": {"state": "standing down", "stand_down_s": 60.0, "fault": "418"}}, "rest"),
        ({"rest": {"state": "starting", "stand_down_s": 60.0}}, "rest"),
        ({"rest": {"state": "answered", "hours_unknown": ["TSLAUSDT"]}}, "rest"),
        ({"rest": {"state": "answered", "not_understood": {"exchangeInfo symbols": 2}}}, "rest"),
        ({"rest": {"state": "answered", "clock_offset_ms": -501.0}}, "clock"),
        ({"writer": {"state": "recording", "disk_free_bytes": 10**9, "disk_total_bytes": 10**12}}, "disk"),
        ({"ingest": ingest(journal={"disk_free_bytes": 1})}, "disk"),
        ({"ingest": ingest(suspicious=["btcusdt@aggTrade"])}, "recording"),
    ],
)
def test_what_costs_no_message_is_a_warning(changed: dict[str, Any], condition: str) -> None:
    found = health(**changed)
    assert found.healthy
    assert essence(only(found))[:2] == (condition, "warning")


def test_rest_that_has_just_started_is_no_problem() -> None:
    assert health(rest={"state": "starting"}) == Health(())


def test_the_disk_fills_as_fast_as_the_writer_writes() -> None:
    writer = read_status(
        frame("writer", state="recording", bytes=3600 * 10**6, disk_free_bytes=864 * 10**8, disk_total_bytes=10**12)
    )
    assert isinstance(writer, WriterStatus)
    found = disk_of(writer)
    assert found is not None
    assert found.written_bytes_per_day == 864 * 10**8
    assert found.days_left == 1.0
    fields = {"bytes": 3600 * 10**6, "disk_free_bytes": 864 * 10**8, "disk_total_bytes": 10**12}
    assert only(health(writer={"state": "recording", **fields})).why == "full in 1.0 days"
    assert health(writer={"state": "recording", "up_s": 3599.0, **fields}) == Health(())  # it may be catching up


def test_the_processes_that_are_switched_on_are_expected() -> None:
    text = configuration.dump(CONFIG).replace("enabled: false", "enabled: true")
    found = health(configuration.parse(text, Path("/x.yaml")))
    assert [(problem.severity, problem.what) for problem in found.problems] == [
        ("failure", "orderbook"),
        ("warning", "monitor"),
    ]


def test_a_problem_is_as_old_as_it_was_first_seen() -> None:
    observer = Observer(CONFIG)
    for name, fields in statuses(writer={"state": "disk full"}).items():
        assert fields is not None
        observer.take(frame(name, **fields), NOW_S)
    assert only(observer.health(NOW_S, 5)).since_ms == 5
    assert only(observer.health(NOW_S + 1, 1005)).since_ms == 5
    observer.take(frame("writer", state="recording"), NOW_S + 1)
    assert observer.health(NOW_S + 1, 1005).healthy
    observer.take(frame("writer", state="disk full"), NOW_S + 2)
    assert only(observer.health(NOW_S + 2, 2005)).since_ms == 2005


def test_a_problem_is_as_old_as_before_when_it_can_be_told_again() -> None:
    observer = Observer(CONFIG)

    def hear(at_s: float) -> None:
        for name, fields in statuses(writer={"state": "disk full"}).items():
            assert fields is not None
            observer.take(frame(name, **fields), at_s)

    hear(NOW_S)
    assert only(observer.health(NOW_S, 5)).since_ms == 5
    assert only(observer.health(NOW_S + 60, 60_005)).what == "bus"
    hear(NOW_S + 61)
    assert only(observer.health(NOW_S + 61, 61_005)).since_ms == 5


@pytest.mark.parametrize(
    ("condition", "what", "process"),
    [
        ("recording", "BTCUSDT depth@0ms", "ingest-BTCUSDT"),
        ("recording", "ingest-BTCUSDT", "ingest-BTCUSDT"),
        ("backlog", "rest", "rest"),
        ("disk", "ingest-BTCUSDT journal", "ingest-BTCUSDT"),
        ("gap", "BTCUSDT depth@0ms gaps", "ingest-BTCUSDT"),
        ("disk", "writer", "writer"),
        ("disk", "data disk", "writer"),
        ("rest", "rest", "rest"),
        ("clock", "clock", "rest"),
        ("book", "BTCUSDT order book", "orderbook"),
    ],
)
def test_a_problem_is_hidden_while_who_would_tell_of_it_is_away(condition: str, what: str, process: str) -> None:
    for away in ("bus", "writer", "rest", "orderbook", "monitor", "ingest-BTCUSDT", "ingest-ETHUSDT"):
        found = is_hidden((condition, "warning", what), {("process", "failure", away)})
        assert found == (away in ("bus", process)), away


def test_a_warning_is_hidden_by_a_failure_of_the_same() -> None:
    key = ("recording", "warning", "BTCUSDT depth@0ms")
    assert is_hidden(key, {("recording", "failure", "BTCUSDT depth@0ms")})
    assert not is_hidden(key, {("recording", "failure", "BTCUSDT aggTrade")})


def test_a_failure_is_not_as_old_as_the_warning_before_it() -> None:
    whole = ingest()
    whole["streams"]["btcusdt@depth@100ms"] = stream(last_recv_ns=None)
    del whole["streams"]["btcusdt@depth@0ms"]
    observer = Observer(CONFIG)
    for name, fields in statuses(ingest=whole).items():
        assert fields is not None
        observer.take(frame(name, **fields), NOW_S)
    warning = only(observer.health(NOW_S, 5))
    assert (warning.severity, warning.since_ms) == ("warning", 5)
    observer.take(frame("ingest-BTCUSDT", **{**whole, "connections": [link("market")]}), NOW_S + 1)
    failure = only(observer.health(NOW_S + 1, 1005))
    assert (failure.severity, failure.since_ms) == ("failure", 1005)


def test_strangers_and_strange_words_are_not_taken() -> None:
    observer = Observer(CONFIG)
    assert observer.take(frame("ingest-STRANGER"), NOW_S) is None
    assert observer.take(frame("writer", rows="many"), NOW_S) is None
    assert observer.received == {}
    assert observer.refused == 1


def with_orderbook(*, depth_snapshot: str = "true") -> Config:
    text = configuration.dump(CONFIG).replace("orderbook:\n  enabled: false", "orderbook:\n  enabled: true")
    return configuration.parse(
        text.replace("depth_snapshot: true", f"depth_snapshot: {depth_snapshot}"), Path("/x.yaml")
    )


@pytest.mark.parametrize(
    ("state", "up_s", "is_told"),
    [
        ("snapshot_requested", 30, False),
        ("snapshot_requested", 300, True),
        ("buffering", 300, True),
        ("unreliable", 1, True),
        ("valid", 300, False),
    ],
)
def test_a_book_that_is_not_valid_is_told_once_its_service_had_time(state: str, up_s: int, is_told: bool) -> None:
    book = {"state": state, "valid": state == "valid", "reason": "why"}
    found = health(with_orderbook(), orderbook={"up_s": up_s, "books": {"BTCUSDT": book}})
    assert found.healthy
    assert [problem.why for problem in found.problems] == [f"{state}: why"] * is_told


@pytest.mark.parametrize("rest", [{"symbols": {"BTCUSDT": "SETTLING"}}, {"off_session": ["BTCUSDT"]}])
def test_the_book_of_a_symbol_that_does_not_trade_is_not_expected(rest: dict[str, Any]) -> None:
    book = {"state": "buffering", "reason": "starting"}
    orderbook = {"up_s": 3600.0, "books": {"BTCUSDT": book}}
    assert health(with_orderbook(), rest={"state": "answered", **rest}, orderbook=orderbook) == Health(())


def test_a_book_that_its_service_does_not_keep_is_told() -> None:
    assert essence(only(health(with_orderbook(), orderbook={"books": {}}))) == ("book", "warning", "BTCUSDT order book")
    without = with_orderbook(depth_snapshot="false")
    assert health(without, orderbook={"books": {}}) == Health(())


def test_a_monitor_that_cannot_listen_is_a_warning() -> None:
    text = configuration.dump(CONFIG).replace("monitor:\n  enabled: false", "monitor:\n  enabled: true")
    found = health(configuration.parse(text, Path("/x.yaml")), monitor={"state": "cannot listen on 127.0.0.1:8787: …"})
    assert found.healthy
    assert essence(only(found)) == ("process", "warning", "monitor")


def test_a_writer_that_cannot_begin_is_a_failure_with_its_reason() -> None:
    found = health(writer={"state": "blocked: the data directory is held by pid 7"})
    assert essence(only(found)) == ("recording", "failure", "writer")
    assert only(found).why.startswith("blocked: the data directory is held by pid 7")


def test_a_worker_that_cannot_begin_is_one_failure_not_one_for_each_stream() -> None:
    found = health(ingest={"state": "blocked: the journal is held by pid 7", "streams": {}, "connections": []})
    assert essence(only(found)) == ("recording", "failure", "ingest-BTCUSDT")
    assert only(found).why == "blocked: the journal is held by pid 7"


@pytest.mark.parametrize("name", ["bus", "rest"])
def test_any_process_that_cannot_begin_is_a_failure(name: str) -> None:
    blocked: dict[str, Any] = {name: {"state": "blocked: the endpoint is held by pid 7"}}
    found = health(**blocked)
    assert ("recording", "failure", name) in [essence(problem) for problem in found.problems]


def unlisted(nearest: list[str]) -> dict[str, Any]:
    return {"state": "answered", "symbols": {"BTCUSDT": "UNLISTED"}, "unlisted": {"BTCUSDT": nearest}}


def test_a_symbol_that_the_exchange_does_not_have_is_one_failure_with_the_nearest_names() -> None:
    found = health(rest=unlisted(["BTCUSDC", "BTCDOMUSDT"]), ingest=ingest(connections=[]))
    assert essence(only(found)) == ("recording", "failure", "BTCUSDT")
    assert only(found).why == (
        "the exchange does not list it; nearest names: BTCUSDC, BTCDOMUSDT; "
        "correct or remove it in the YAML, then `apply`"
    )


def test_without_a_near_name_a_symbol_that_is_not_listed_is_a_failure_all_the_same() -> None:
    found = health(rest=unlisted([]))
    assert only(found).why == "the exchange does not list it; correct or remove it in the YAML, then `apply`"


def test_a_symbol_that_is_listed_and_does_not_trade_is_none() -> None:
    assert health(rest={"state": "answered", "symbols": {"BTCUSDT": "SETTLING"}}, ingest=ingest(connections=[])).healthy


def with_raw_rows(by_stream: dict[str, dict[str, int]], *, writer_up_s: float = 3600.0, **fields: Any) -> Health:
    whole = ingest()
    whole["streams"]["btcusdt@aggTrade"] = stream(patience_s=300.0, **fields)
    return health(writer={"state": "recording", "raw": by_stream, "up_s": writer_up_s}, ingest=whole)


def test_a_stream_whose_messages_the_worker_cannot_read_is_unreadable_and_not_waiting() -> None:
    raw = {"btcusdt@aggTrade": {"unreadable event": 12}}
    found = with_raw_rows(raw, messages=12, rows=0, raw=12, state="waiting", last_recv_ns=None)
    assert essence(only(found)) == ("recording", "failure", "BTCUSDT aggTrade")
    assert (
        only(found).why == "12 messages came that could not be read (unreadable event); raw_… keeps them as they came"
    )


def test_a_stream_whose_rows_the_writer_cannot_form_is_unreadable_and_not_live() -> None:
    found = with_raw_rows({"btcusdt@aggTrade": {"ap is null": 90, "p is null": 8}}, messages=100, rows=100)
    assert essence(only(found)) == ("recording", "failure", "BTCUSDT aggTrade")
    assert only(found).why.startswith("98 messages came that could not be read (ap is null: 90, p is null: 8)")


def test_a_few_raw_rows_of_a_stream_are_a_warning() -> None:
    found = with_raw_rows({"btcusdt@aggTrade": {"not JSON": 3}}, messages=100, rows=100)
    assert essence(only(found)) == ("recording", "warning", "BTCUSDT aggTrade")
    assert only(found).why == "3 messages could not be read (not JSON); raw_… keeps them as they came"


def test_raw_rows_of_before_the_worker_s_start_say_nothing_of_its_messages() -> None:
    raw = {"btcusdt@aggTrade": {"not JSON": 300}}
    found = with_raw_rows(raw, writer_up_s=90_000.0, messages=100, rows=100)
    assert essence(only(found))[:2] == ("recording", "warning")


def test_raw_rows_of_no_configured_stream_are_one_warning() -> None:
    found = with_raw_rows({"rest": {"not JSON": 2}, "btcusdt@made_up": {"unknown stream": 5}}, rows=9)
    assert essence(only(found)) == ("recording", "warning", "other raw rows")
    assert (
        only(found).why
        == "7 messages could not be read (unknown stream: 5, not JSON: 2); raw_… keeps them as they came"
    )


def with_lake() -> configuration.Config:
    """The same configuration with a lake, so that there is an archiver."""
    return msgspec.structs.replace(CONFIG, storage=msgspec.structs.replace(CONFIG.storage, lake="/lake"))


def test_an_archiver_that_does_not_run_is_a_warning() -> None:
    found = [problem for problem in health(with_lake()).problems if problem.what == "archiver"]
    assert [essence(problem) for problem in found] == [("process", "warning", "archiver")]
    assert "archiver" not in processes(CONFIG)


def test_what_the_archiver_cannot_seal_is_a_warning_with_its_place() -> None:
    pending = {"BTCUSDT 20261122 depth": "depth_BTCUSDT_20261122.csv line 7 column bids: is no list of levels"}
    found = health(with_lake(), archiver={"state": "waiting", "pending": pending, "fault": "OSError: no space"})
    assert [(one.severity, one.what, one.why) for one in found.problems] == [
        ("warning", "archiver", "OSError: no space"),
        ("warning", "BTCUSDT 20261122 depth", f"not sealed: {pending['BTCUSDT 20261122 depth']}"),
    ]


def test_an_archiver_without_its_libraries_is_a_warning() -> None:
    found = health(with_lake(), archiver={"state": "blocked: pyarrow is missing: pip install …"})
    assert [(one.severity, one.what, one.why) for one in found.problems] == [
        ("warning", "archiver", "blocked: pyarrow is missing: pip install …")
    ]


def with_standby() -> configuration.Config:
    """The same configuration with a second worker of the symbol."""
    mode = CONFIG.selected
    symbols = tuple(msgspec.structs.replace(one, standby=True) for one in mode.symbols)
    return msgspec.structs.replace(CONFIG, modes={CONFIG.mode: msgspec.structs.replace(mode, symbols=symbols)})


def test_a_standby_that_is_warm_is_well() -> None:
    waiting = {**ingest(), "state": "standby", "is_warm": True, "journal": None}
    assert health(with_standby(), standby=waiting) == Health(())


def test_a_standby_that_is_away_or_not_warm_is_a_warning() -> None:
    assert essence(only(health(with_standby()))) == ("process", "warning", "standby-BTCUSDT")
    waiting = {**ingest(), "state": "standby", "is_warm": False, "journal": None}
    found = only(health(with_standby(), standby=waiting))
    assert essence(found) == ("process", "warning", "standby-BTCUSDT")
    assert "would be a gap" in found.why
