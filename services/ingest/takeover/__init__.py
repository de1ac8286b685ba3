"""A worker that waits for the journal of another one, and goes on in its place without a hole.

`standby` waits: connections are open, messages are read and judged, and nothing is journalled. `recent` remembers
what came in the last seconds. Once the journal is ours, `release` tells by it what the other one had recorded.
"""
