"""Clients of a running recorder: live messages off the bus, and whole order books.

In: an endpoint. Out: decoded messages. They take nothing from anybody and slow nobody. Open `tap` first.
"""
