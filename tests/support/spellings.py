"""Messages of all stream types that have rows, in the exchange's spelling, and changed ones."""

from collections.abc import Iterator

from binance_streamer.exchange.streams import Stream, stream_of

_BAR = (
    b'"k":{"t":1790526480000, "T":1790526539999, "s":"BTCUSDT", "i":"1m", "f":8123343290, "L":8123344784, '
    b'"o":"84550.20", "c":"84551.10", "h":"84558.90", "l":"84536.70", "v":"104.194", "n":1483, "x":false, '
    b'"q":"8809619.55440", "V":"56.811", "Q":"4803302.95620", "B":"0"}}'
)
_UPDATE = (
    b'{"e":"depthUpdate","E":1790526538985,"T":1790526538981,"s":"BTCUSDT","ps":"BTCUSDT","U":11,"u":13,"pu":10,'
    b'"b":[["84551.10","0.030"],["84551.00","2"]],"a":[["84552.10","1.5"]],"st":1}'
)
USUAL = {
    "aggTrade": b'{"e":"aggTrade","E":1790526538064,"a":3466828805,"s":"BTCUSDT","p":"84551.00","q":"0.518",'
    b'"nq":"0.518","f":8123391074,"l":8123391075,"T":1790526538914,"m":true,"st":1}',
    "trade": b'{"e":"trade","E":1790526538064,"T":1790526538060,"s":"BTCUSDT","t":8123391074,"p":"84551.00",'
    b'"q":"0.518","X":"MARKET","m":false}',
    "bookTicker": b'{"e":"bookTicker","u":11671659685961,"s":"BTCUSDT","ps":"BTCUSDT","b":"84551.00","B":"2.646",'
    b'"a":"84551.10","A":"5.302","T":1790526538939,"E":1790526538940,"st":1}',
    "depth@0ms": _UPDATE,
    "depth5@100ms": _UPDATE,
    "rpiDepth@500ms": _UPDATE,
    "markPrice@1s": b'{"e":"markPriceUpdate","E":1790526539000,"s":"BTCUSDT","p":"84550.70","ap":"84549.10",'
    b'"P":"84600.00","i":"84590.12","r":"-0.00003210","T":1790553600000}',
    "ticker": b'{"e":"24hrTicker","E":1790526539000,"s":"BTCUSDT","p":"-120.10","P":"-0.142","w":"84600.12",'
    b'"c":"84551.00","Q":"0.002","o":"84671.10","h":"85000.00","l":"84000.00","v":"120000.123","q":"10150000000.12",'
    b'"O":1790440080000,"C":1790526538990,"F":8120000000,"L":8123391075,"n":3391076}',
    "miniTicker": b'{"e":"24hrMiniTicker","E":1790526539000,"s":"BTCUSDT","c":"84551.00","o":"84671.10",'
    b'"h":"85000.00","l":"84000.00","v":"120000.123","q":"10150000000.12"}',
    "kline_1m": b'{"e":"kline","E":1790526539304,"s":"BTCUSDT",' + _BAR,
    "perpetual@continuousKline_1m": b'{"e":"continuous_kline","E":1790526539304,"ps":"BTCUSDT","ct":"PERPETUAL",'
    + _BAR.replace(b' "s":"BTCUSDT",', b""),
    "forceOrder": b'{"e":"forceOrder","E":1790526539304,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC",'
    b'"q":"0.014","p":"84100.00","ap":"84120.10","X":"FILLED","l":"0.014","z":"0.014","T":1790526539300}}',
}
"""By the name of the stream."""
READABLE = b'0123456789.,:"[]{} ab-eETUux\\\xff\x00'


def stream(suffix: str) -> Stream:
    """The stream of BTCUSDT with this name."""
    return stream_of("BTCUSDT", suffix)


def truncations(event: bytes) -> Iterator[bytes]:
    """Every beginning of a message, the empty one and the whole one too."""
    return (event[:size] for size in range(len(event) + 1))


def bytes_changed(event: bytes, by: bytes = READABLE) -> Iterator[bytes]:
    """The message with each of its bytes in turn replaced by each of these, left out, and with each put in front."""
    for at in range(len(event)):
        yield event[:at] + event[at + 1 :]
        for byte in by:
            yield event[:at] + bytes((byte,)) + event[at + 1 :]
            yield event[:at] + bytes((byte,)) + event[at:]
