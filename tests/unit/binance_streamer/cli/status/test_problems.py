from binance_streamer.cli.status.problems import lines_of
from binance_streamer.health.problem import Problem


def test_problems_with_the_same_reason_are_one_line() -> None:
    problems = [
        Problem("recording", "failure", f"{symbol} aggTrade", "no connection of /market: dns")
        for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
    ]
    problems.append(Problem("process", "failure", "writer", "blocked: disk full"))
    assert lines_of(problems) == [
        "BTCUSDT aggTrade, ETHUSDT aggTrade, SOLUSDT aggTrade and 1 more: no connection of /market: dns",
        "writer: blocked: disk full",
    ]
    assert lines_of([]) == []
