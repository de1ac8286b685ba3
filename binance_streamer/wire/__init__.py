"""The contract of what travels between our processes, specified in docs/wire.md.

In: bytes off a socket, or the values that are to be sent. Out: typed values, or bytes; `WireError` for anything else.
Pure. Open `frames` first.
"""
