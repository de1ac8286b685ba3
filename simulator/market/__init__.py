"""A seeded synthetic market: books, trades and klines that agree with one another. Open `feed` first."""
