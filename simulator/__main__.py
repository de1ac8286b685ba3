"""`python -m simulator`: a fake Binance."""

import asyncio

from simulator.app import serve
from simulator.options import parse_options


def main() -> None:
    asyncio.run(serve(parse_options()))


if __name__ == "__main__":
    main()
