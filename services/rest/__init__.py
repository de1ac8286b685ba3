"""The only process that asks the exchange's REST interface, because its request weight is one for the address.

In: requests for snapshots and missing rows, off the bus. Out: answers as recorded frames. Open `schedule.scheduler`
first: it decides what is asked next.
"""
