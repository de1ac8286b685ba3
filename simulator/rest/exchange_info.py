"""A made-up answer of /fapi/v1/exchangeInfo, with the exchange's keys and its stale `serverTime`."""

from collections.abc import Mapping
from typing import Any

from simulator.market.contract import Contract, decimal_text
from simulator.server.http import compact_json

_STALE_MS = 38_520_000  # the exchange caches serverTime here: 10.7 h old in a probe of 2026-09-15
_NO_DELIVERY_MS = 4_133_404_800_000
"""2100-12-25 08:00 UTC, the delivery date of perpetual contracts, which are never delivered."""


def exchange_info(
    contracts: Mapping[str, Contract], statuses: Mapping[str, str], now_ms: int, weight_limit: int
) -> bytes:
    """Return the body: each contract with its status, and the weight limit that clients have to take from here."""
    body = {
        "timezone": "UTC",
        "serverTime": now_ms - _STALE_MS,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        ],
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [_symbol(contract, statuses[symbol]) for symbol, contract in contracts.items()],
    }
    return compact_json(body).encode()


def _symbol(contract: Contract, status: str) -> dict[str, Any]:
    """Return one symbol's entry, with the exchange's own keys.

    Status, digits and market are those of the contract; margins, fees and order types are made up, and the same for
    all.
    """
    tick = decimal_text(contract.tick, contract.price_digits)
    step = decimal_text(1, contract.quantity_digits)
    return {
        "symbol": contract.symbol,
        "pair": contract.symbol,
        "contractType": "PERPETUAL" if contract.market == "COIN" else "TRADIFI_PERPETUAL",
        "deliveryDate": _NO_DELIVERY_MS,
        "onboardDate": 1_569_398_400_000,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": contract.symbol.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": contract.price_digits,
        "quantityPrecision": contract.quantity_digits,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": contract.market,
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "4529764", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "1000", "stepSize": step},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
    }
