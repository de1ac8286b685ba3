"""The durable path out of a producer: journal, live publishing, push to the writer, acknowledgements.

In: drafts. Out: frames at the writer, at least once and in order. Open `producer` first; `cursor` decides what is
pushed next.
"""
