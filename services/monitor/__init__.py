"""Watches the bus, and says whether everything is recorded: metrics, health, alerts, and a page.

In: everything on the bus, and the gap files of the day. Out: HTTP, and posts to webhooks. Nothing that is
recorded passes through here: where the monitor is down or slow, recording goes on.

Threads: one hears the bus and makes a snapshot a second (`app`), one serves HTTP (`http.server`), one per
webhook posts alerts (`alerts.webhooks`), and one for a moment reads gap files (`snapshots.gap_reader`). The
snapshot never changes once it is made, so that threads share it without a lock. Open `snapshots.collector`
first: everything else shows what it makes.
"""
