"""Both ways are tested: with the compiled kernel, and in Python alone."""

from tests.support.both_ways import both_ways

__all__ = ["both_ways"]
