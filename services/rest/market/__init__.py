"""Facts about the whole market that REST answers: listed symbols, trading hours, the exchange's clock.

In: answers. Out: changes worth recording, and statuses for the bus. Open `listing` first.
"""
