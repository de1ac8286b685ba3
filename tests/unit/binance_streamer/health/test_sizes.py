from binance_streamer.health.sizes import ahead_or_behind, amount, size


def test_sizes_are_short() -> None:
    assert [size(number) for number in (0, 999, 1000, 1_234_567, 5_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.2 MB",
        "5.0 GB",
    ]


def test_one_of_a_thing_has_no_s() -> None:
    assert [amount(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_a_clock_is_ahead_of_ours_or_behind_it() -> None:
    assert ahead_or_behind(-0.84) == "0.8 ms behind"
    assert ahead_or_behind(3.25, 2) == "3.25 ms ahead of"
