"""``python -m xcos.train``: see cli.py."""

import sys

from .cli import main

sys.exit(main())
