import sys

from binance_streamer.deploy.interpreter import be_utf8
from services.archiver.app import main

be_utf8()
sys.exit(main())
