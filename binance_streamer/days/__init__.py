"""Sealed days: recorded rows typed, sorted, digested, and written as Parquet into a lake that anything can read.

It needs the extra `days` (pyarrow and deltalake). Nothing of the recorder imports it but the archiver and the command
`verify`, so that recording works without these libraries.
"""
