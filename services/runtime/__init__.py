"""The shell that all services share: process life, logs, locks, files, and the durable path.

Open `process` first for the life of a process, `delivery.producer` for the way of a message out of it.
"""
