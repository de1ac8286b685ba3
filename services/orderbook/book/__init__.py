"""One order book: its levels, its chain of updates, and its audits.

In: decoded updates and snapshots. Out: levels, and whether they are the exchange's. Open `sequence` first.
"""
