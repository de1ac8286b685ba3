"""The reasons of gaps that rows carry, and by whose fault each came to be: docs/files.md has the table for users.

A reason that is not here is none of this version; its fault is unknown.
"""

EXCHANGE, NETWORK, HOST, SOFTWARE = "exchange", "network", "this host", "this software"
UNKNOWN = "unknown"

FAULT_OF_REASON = {
    "sequence": EXCHANGE,  # ids are missing on connections that were open: TCP itself drops nothing in the middle
    "ids went back": EXCHANGE,
    "frame error": EXCHANGE,  # TLS lets nobody between alter a frame, so its sender broke the protocol
    "disconnected": NETWORK,
    "stall": NETWORK,
    "not answered": NETWORK,  # REST was away, or had told us to wait, when a series was to be polled
    "oversize": SOFTWARE,  # a limit of ours, `MAX_FRAME_BYTES` or that of a message
    "restart": SOFTWARE,  # the process that receives did not run, whoever stopped it
    "journal full": HOST,
    "lost in the journal": HOST,
    "file damaged": HOST,
}
"""By whose fault something is missing, by the reason in its gap row."""

OUR_LOSSES = frozenset({"oversize", "journal full", "lost in the journal", "file damaged"})
"""Losses of rows that were numbered already, so that numbers (`seq`) are missing as well as ids."""


def fault_of(reason: str) -> str:
    """Return by whose fault a gap with this reason is; `unknown` where the reason is none of this version."""
    return FAULT_OF_REASON.get(reason, UNKNOWN)
