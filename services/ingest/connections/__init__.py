"""Websockets to the exchange: opened, read, replaced before they end.

In: where to connect for a route. Out: what the reading thread received, in its order (`events`), and what the end of a
connection means for the streams (`Lost`, `HandedOver`). Nothing here knows a stream. Open `network` first, then
`pool`, which decides what to dial and what to close.
"""
