"""Recorded days in the formats of others: one module a format.

To add a format: write a module here with a function `export(day, folder) -> Iterator[Exported]` (`days.export.days`),
which takes typed rows in order from `day.rows(stem)` and makes each file within `folder.file(name)`, so that it
appears whole or not at all. Memory must not grow with the day: rows that come in another order than the format wants
are sorted on the disk (`days.sort`). Name the function in `formats.FORMATS`, write its section in docs/exporting.md,
and a test that reads the file with the library that is to take it, and compares counts and prices with the rows,
across a gap.
"""
