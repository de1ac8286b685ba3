"""What the monitor knows: the recorder's own snapshot, and what is seen on the bus beside it; a new one every second.

In: every message of the bus that concerns a configured symbol, stream or process, and the gap files. Out: a
`MonitorSnapshot` each second, for alerts, metrics and the page. Open `collector` first; `page` has the types, whose
JSON is the page's.
"""
