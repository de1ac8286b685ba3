"""The order and pace of requests.

In: requests of others, answers and times. Out: the next request, or how long to wait. Open `scheduler` first.
"""
