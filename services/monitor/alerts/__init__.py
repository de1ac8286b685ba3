"""Notices for people: a problem that lasts, goes on lasting, and is over. Open `alerts` first.

In: a snapshot each second. Out: posts to webhooks. `alerts` decides, `memory` keeps the decisions over a
restart, `posts` makes the bodies, `webhooks` sends them, each in a thread of its own. Problems themselves
are found by `binance_streamer.health.judge`; nothing here judges anew.
"""
