"""Gaps as data: what is missing from a stream, between which rows, and why; and which of them are still open."""
