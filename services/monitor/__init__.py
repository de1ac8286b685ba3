"""Watches the bus, and says whether everything is recorded: metrics, health, alerts, and a page."""
