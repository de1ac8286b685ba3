"""Notices for people: a problem that lasts, goes on lasting, and is over. Open `alerts` first."""
