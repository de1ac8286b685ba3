import sys

from services.bus.app import main

sys.exit(main())
