"""The network side of the exchange: accepted connections, HTTP heads, websockets. Open `connection` first."""
