"""Watches the bus, and says whether everything is recorded: metrics, health, alerts, and a page.

In: everything on the bus. Out: HTTP. Open `view.view` first: everything else shows what it knows.
"""
