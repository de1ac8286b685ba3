"""Files and the ledger on the disk: appended to, made durable together, cut back after a crash.

Open `ledger` first, then `files` and `recovery`.
"""
