"""Checks of a recorded day, one module each: they take its rows as Arrow tables, and give findings.

In: tables of one stream, in the order of the file or of their ids. Out: `Finding`s, and facts for the certificate.
None of them looks at anything that the recorder says of itself but the rows that it has recorded.
"""
