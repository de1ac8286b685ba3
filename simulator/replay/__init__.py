"""Recorded market data, played again byte for byte. Open `replay` first."""
