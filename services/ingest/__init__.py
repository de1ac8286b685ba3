"""The recorder of one symbol: `python -m services.ingest --symbol BTCUSDT`.

In: websocket messages of the exchange. Out: journalled frames, published live and pushed to the writer, and a gap for
everything that is missing. Two threads: `connections.reader` stamps and parses, `worker` decides and journals;
`coordinator` stands between connections and streams. Open `worker` first; docs/architecture.md follows one message
through all of it.
"""
