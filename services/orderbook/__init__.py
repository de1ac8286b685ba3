"""Local order books of all symbols, from the live bus alone: right, or said not to be."""
