"""`python tests/run_all_tests.py [ARGUMENT…]`: pytest, with its arguments."""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    tests = Path(__file__).parent
    sys.exit(pytest.main(["--rootdir", str(tests.parent), *(sys.argv[1:] or [str(tests)])]))
