"""The library of the recorder: everything that others may import.

A stranger who wants live messages opens `client.tap`; one who wants to know a message's form, `wire.frames`; one who
wants to know what the exchange sends, `exchange.stream_types`. Nothing here imports a service.
"""

__version__ = "0.1.0"
