import sys

from services.monitor.app import main

sys.exit(main())
