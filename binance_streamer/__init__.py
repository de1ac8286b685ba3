"""What others import: the wire contract, the exchange's messages, the configuration, the tap."""

__version__ = "0.1.0"
