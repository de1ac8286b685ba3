import sys

from services.rest.app import main

sys.exit(main())
