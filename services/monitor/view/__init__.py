"""Everything that the monitor knows, out of what came over the bus; a snapshot of it every second.

Open `view` first; `picture` has the types, whose JSON is the page's.
"""
