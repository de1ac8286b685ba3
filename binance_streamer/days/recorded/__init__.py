"""Recorded messages as they were received: digits and text of sealed values, order of receipt, captures.

In: days on the disk. Out: messages for a bus, or the lines of a capture for the simulator. Open `received` first.
"""
