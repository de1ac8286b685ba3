"""Streams of one symbol: which message is a row, which a copy, and what is missing between two rows.

In: messages with their connection and receive stamp. Out: drafts of rows and gaps, in the order in which they are to be
journalled. Times are passed in. Open `stream_set` first, then `chain`.
"""
