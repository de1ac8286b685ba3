"""The judgement whether everything that is configured is being recorded.

In: the status messages that every process publishes each second. Out: a list of problems, with reason and beginning.
`status`, the page, alerts and the health checks of containers all show this one judgement. Open `judge` first.
"""
