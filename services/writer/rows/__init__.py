"""Frames as lines of files: which file, which cells, digits kept.

In: frames. Out: lines. Pure. Open `rows` first, which makes any frame a row; `routes` says what is the same for all
frames of a stream, `cells` makes the cells, `raw_rows` takes what has no row form. `layout` and `row_batches` are the
quick way for messages that are written alike, and make the same lines.
"""
