"""Shared helpers of the tests: waiting, real processes, the simulator's tape, recorded files, golden books."""
