from binance_streamer.health.sizes import size


def test_sizes_are_short() -> None:
    assert [size(number) for number in (0, 999, 1000, 1_234_567, 5_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.2 MB",
        "5.0 GB",
    ]
