"""What things cost, measured; RESULTS.md has the numbers."""
