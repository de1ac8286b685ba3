from services.orderbook.app import main

raise SystemExit(main())
