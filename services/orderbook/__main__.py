import sys

from binance_streamer.interpreter import be_utf8
from services.orderbook.app import main

be_utf8()
sys.exit(main())
