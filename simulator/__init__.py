"""A fake Binance USDⓈ-M futures exchange, a program of its own: it imports nothing of what it tests.

Open `exchange` first; docs/simulator.md lists options and commands.
"""
