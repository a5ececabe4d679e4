"""``python -m pymonik.cli``, as ``python -m pymonik``."""

import sys

from pymonik.cli import main

sys.exit(main())
