from services.writer.app import main

raise SystemExit(main())
