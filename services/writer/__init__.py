"""The process that writes the files: exactly once, whatever is killed.

In: batches of all producers. Out: daily files, and acknowledgements once their rows are durable. Open `recorder` first,
then `positions`, which decides what is new.
"""
