"""The durable path out of a producer: journal, live publishing, push to the writer, acknowledgements.

In: drafts. Out: frames at the writer, at least once and in order. Open `producer` first, for what is appended and
published; `outbox` has the protocol with the writer, and `cursor` decides what is pushed next.
"""
