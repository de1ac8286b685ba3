"""ZeroMQ sockets and their encryption; the only place where sockets are made.

In: an endpoint of the configuration. Out: a socket with the options that keep memory bounded and strangers out
(docs/wire.md, docs/security.md). Open `sockets` first.
"""
