"""Watches the bus, and says whether everything is recorded: metrics, health, alerts, and a page.

In: everything on the bus. Out: HTTP. Open `snapshots.collector` first: everything else
shows what it makes.
"""
