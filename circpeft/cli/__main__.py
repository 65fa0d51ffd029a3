"""``python -m circpeft.cli``."""

import sys

from circpeft.cli import main

sys.exit(main())
