"""Benchmarks: scripts that measure what things cost; RESULTS.md has the numbers."""
