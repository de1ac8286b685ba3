"""Local order books of all symbols, from the live bus alone: right, or said not to be.

In: depth updates, snapshots and best quotes off the bus. Out: tops, summaries, audits, answers to `book`. Open `keeper`
first, then `book.sequence`.
"""
