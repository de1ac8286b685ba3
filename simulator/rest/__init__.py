"""The REST side of the exchange: endpoints, weights, bans, trading hours. Open `rest` first."""
