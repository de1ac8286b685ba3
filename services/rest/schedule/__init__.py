"""The order and pace of requests.

In: wishes, answers and times. Out: the next request, or how long to wait. Pure. Open `scheduler` first.
"""
