"""`python run.py --daemon start`: `python -m binance_streamer.main`, also outside of the project's environment."""

import os
import sys
from pathlib import Path

try:
    from binance_streamer.main import main
except ImportError:
    script = Path(__file__).resolve().with_name("run")
    os.execv(script, [str(script), "python", "-m", "binance_streamer.main", *sys.argv[1:]])  # noqa: S606 (no shell)

if __name__ == "__main__":
    main()
