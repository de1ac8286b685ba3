"""Local order books of all symbols, kept from the live bus alone: each is the exchange's, or says that it is not.

In: depth updates, snapshots and best quotes off the bus. Out: tops, summaries, audits, answers to `book`. Open `keeper`
first, then `book.sequence`.
"""
