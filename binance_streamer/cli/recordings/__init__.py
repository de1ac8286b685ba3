"""Recorded files as a stranger reads them: which there are, their latencies, their gaps."""
