"""``python -m circpeft``, as launchers of several processes want it."""

import sys

from circpeft.cli import main

sys.exit(main())
