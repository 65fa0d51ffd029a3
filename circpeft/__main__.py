"""Run the `circpeft` command as ``python -m circpeft``, which launchers of several processes need."""

import sys

from circpeft.cli import main

sys.exit(main())
