"""REST requests to the exchange, from the one process that makes them."""
