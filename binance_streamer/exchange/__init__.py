"""The exchange's streams and messages: names, ids, times, columns.

In: names and bytes as the exchange writes them. Out: our words for them. Pure. Open `stream_types` first: it has one
record for each stream type; docs/exchange.md has the sources.
"""
