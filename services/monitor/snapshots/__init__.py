"""The state of the recorder as the monitor sees it; a new snapshot every second.

In: every message of the bus that concerns a configured symbol, stream or process, and the gap files. Out: a
`MonitorSnapshot` each second, for alerts, metrics and the page. Everything here runs in the monitor's main
thread but the reading of gap files. Open `collector` first; `page` has the types, whose JSON is the page's.
"""
