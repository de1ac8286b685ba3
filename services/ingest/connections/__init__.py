"""Websockets to the exchange: opened, read, replaced before they end.

In: the streams of a route. Out: what the reading thread received, in its order (`events`). Nothing here knows a
stream's ids. Open `network` first, then `pool`, which decides what to dial and what to close.
"""
