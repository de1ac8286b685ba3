"""`fieldtest`: what only a run against the exchange can settle, asked and answered. Open `run` first, then `questions`.

In: the addresses of the exchange. Out: a report in Markdown. The recorder runs as for `up`, in a folder of its own;
`watch` listens beside it with plain connections, `asks` compares REST with both. `Observations` holds all that was
seen, and each question is a function of it.
"""
