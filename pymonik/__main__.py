"""``python -m pymonik`` is the `pymonik` command."""

import sys

from pymonik.cli import main

if __name__ == "__main__":
    sys.exit(main())
