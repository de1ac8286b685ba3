"""The only process that asks the exchange's REST interface, because its request weight is one for the address.

In: requests for snapshots and missing rows, off the bus. Out: answers as recorded frames. Open
`schedule.task` and `tasks` first for what is asked, then `schedule.scheduler` for when.
"""
