"""The process that reads recorded files for the monitor's HTTP API: one question at a time, killed where it lasts.

In: questions, a JSON line each on stdin. Out: answers on stdout, in pieces with their lengths in front. The
monitor starts it with the first question, and ends it when nobody has asked for a while, so that libraries,
memory and disk of a large read are never the monitor's. Open `__main__` first.
"""
