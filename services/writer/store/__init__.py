"""Files and the ledger on the disk: appended to, made durable together, cut back after a crash.

In: lines for files, positions of producers. Out: the same, durable. Open `ledger` first, then `buffers` and `files`,
which write, and `recovery`, which goes back to the last commit; `losses` finds what is missing in front of a row.
"""
