"""Files as Tardis.dev has them: columns, counts and values of the rows; and a converter for such files reads them."""

from pathlib import Path

import pytest

from tests.support.exports import export_day, exported, gzip_lines, received_at, written_day
from tests.support.recorded_days import START_MS, DayWriter, recv_ns

HEAD = ["exchange", "symbol", "timestamp", "local_timestamp"]
NAME = "binance-futures_{}_2026-11-22_BTCUSDT.csv.gz"


def files_of(tmp_path: Path, writer: DayWriter) -> dict[str, list[list[str]]]:
    files = exported(export_day(tmp_path, writer), "tardis", tmp_path)
    found = {
        name.split("_2026")[0].removeprefix("binance-futures_"): gzip_lines(one.path) for name, one in files.items()
    }
    assert [len(lines) - 1 for lines in found.values()] == [one.rows for one in files.values()]
    return found


def test_every_file_has_their_columns_and_is_in_the_order_of_receipt(tmp_path: Path) -> None:
    found = files_of(tmp_path, DayWriter())
    columns = {kind: lines[0][4:] for kind, lines in found.items() if kind != "book_snapshot_25"}
    assert columns == {
        "incremental_book_L2": ["is_snapshot", "side", "price", "amount"],
        "trades": ["id", "side", "price", "amount"],
        "quotes": ["ask_amount", "ask_price", "bid_price", "bid_amount"],
        "derivative_ticker": [
            *("funding_timestamp", "funding_rate", "predicted_funding_rate", "open_interest", "last_price"),
            *("index_price", "mark_price"),
        ],
    }
    best = found["book_snapshot_25"][0]
    assert best[4:9] == ["asks[0].price", "asks[0].amount", "bids[0].price", "bids[0].amount", "asks[1].price"]
    assert (best[-1], len(best)) == ("bids[24].amount", 104)
    for lines in found.values():
        assert lines[0][:4] == HEAD
        assert {tuple(line[:2]) for line in lines[1:]} == {("binance-futures", "BTCUSDT")}
        stamps = [int(line[3]) for line in lines[1:]]
        assert stamps == sorted(stamps)


def test_trades_and_quotes_are_the_rows(tmp_path: Path) -> None:
    writer = DayWriter()
    found = files_of(tmp_path, writer)
    rows = [line.split(",") for line in writer.lines["aggtrade"]]
    expected = [
        (f"{row[5]}000", row[0], "sell" if row[6] == "true" else "buy", float(row[1]), float(row[2])) for row in rows
    ]
    assert [(line[2], *line[4:6], float(line[6]), float(line[7])) for line in found["trades"][1:]] == expected
    tops = [line.split(",") for line in writer.lines["bookticker"]]
    quotes = [(f"{row[5]}000", row[4], row[3], row[1], row[2]) for row in tops]
    assert [(line[2], *line[4:]) for line in found["quotes"][1:]] == quotes


def test_the_incremental_book_begins_anew_behind_a_hole(tmp_path: Path) -> None:
    writer = DayWriter()
    lines = files_of(tmp_path, writer)["incremental_book_L2"][1:]
    snapshots = [line for line in lines if line[4] == "true"]
    assert sorted({line[3] for line in snapshots}) == [f"{(START_MS + delay) * 1000}" for delay in (5, 95_307)]
    updates = [tuple(line[2:]) for line in lines if line[4] == "false"]
    expected = []
    for number, row in enumerate(line.split('"') for line in writer.lines["depth"]):
        if not 90 <= number < 94:  # 90 and 91 are missing, so that the rows of 92 to 95 have these places
            at_ms = row[0].split(",")[3]
            for side, cell in (("bid", row[1]), ("ask", row[3])):
                price, quantity = cell.strip("[]").split(",")
                local = max(int(row[4].split(",")[1]) // 1000, 0)
                expected.append((f"{at_ms}000", str(local), "false", side, price, quantity))
    assert updates == expected


def test_the_ticker_has_the_last_price_and_open_interest_received_before(tmp_path: Path) -> None:
    writer = DayWriter()
    day_lines = writer.lines["markprice"]
    day_lines[10] = received_at(day_lines[10], recv_ns(START_MS + 9_750))
    lines = files_of(tmp_path, writer)["derivative_ticker"][1:]
    assert lines[0][4:] == ["1795334400000000", "0.00000801", "", "", "84000", "84559.2", "84551.1"]
    trade = writer.lines["aggtrade"][19].split(",")
    assert (trade[5], lines[10][3]) == (str(START_MS + 9_500), f"{(START_MS + 9_755) * 1000}")
    assert float(lines[10][8]) == float(trade[1])


def test_single_trades_come_before_aggregates_and_liquidations_have_their_side(tmp_path: Path) -> None:
    export_day(tmp_path)
    stamps = f"{recv_ns(START_MS)},1,{{}},ws,"
    trade = "id,price,qty,time,is_buyer_maker,event_time,order_type,recv_ns,epoch,seq,source,extra\n"
    trade += "".join(
        f"{number},84000.10,0.001,{START_MS},true,{START_MS},{kind},{stamps.format(number)}\n"
        for number, kind in enumerate(("MARKET", "ADL", "INSURANCE_FUND", ""), start=1)
    )
    force = (
        "side,order_type,time_in_force,original_quantity,price,average_price,order_status,last_filled_quantity,"
        "accumulated_quantity,transact_time,event_time,recv_ns,epoch,seq,source,extra\n"
        f"SELL,LIMIT,IOC,0.50,83999.9,84000.1,FILLED,0.10,0.40,{START_MS},{START_MS},{stamps.format(1)}\n"
    )
    interest = f"open_interest,time,recv_ns,epoch,seq,source,extra\n77.500,{START_MS},{recv_ns(START_MS)},1,1,rest,\n"
    for stem, text in (("trade", trade), ("forceorder", force), ("openinterest", interest)):
        (tmp_path / "data" / "BTCUSDT" / f"{stem}_BTCUSDT_20261122.csv").write_text(text, encoding="utf-8")
    files = exported(written_day(tmp_path), "tardis", tmp_path)
    trades = gzip_lines(files[NAME.format("trades")].path)[1:]
    assert [line[4:] for line in trades] == [["1", "sell", "84000.1", "0.001"], ["4", "sell", "84000.1", "0.001"]]
    (liquidation,) = gzip_lines(files[NAME.format("liquidations")].path)[1:]
    assert liquidation[4:] == ["", "sell", "83999.9", "0.4"]
    assert gzip_lines(files[NAME.format("derivative_ticker")].path)[1][7:9] == ["77.5", "84000.1"]


def test_the_converter_of_hftbacktest_reads_trades_and_book(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="./run --group exports pytest installs hftbacktest and numba")
    pytest.importorskip("hftbacktest", reason="./run --group exports pytest installs hftbacktest")
    from hftbacktest.data.utils import tardis  # noqa: PLC0415 (optional)

    writer = DayWriter()
    files = exported(export_day(tmp_path, writer), "tardis", tmp_path)
    names = [NAME.format(kind) for kind in ("trades", "incremental_book_L2")]
    events = tardis.convert([str(files[name].path) for name in names], buffer_size=10_000, ss_buffer_size=10_000)
    kinds = (events["ev"] & 0xFF).tolist()
    assert [kinds.count(kind) for kind in (2, 1)] == [357, 2 * 174]
    assert sum(files[name].rows for name in names) == 357 + 2 * 174 + kinds.count(4)
