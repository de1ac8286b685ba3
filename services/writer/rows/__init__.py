"""Frames as lines of files: which file, which cells, digits kept.

In: frames. Out: lines. Pure. Open `rows` first; `layout` and `row_batches` are the fast path for messages that are
spelt alike, and make the same lines.
"""
