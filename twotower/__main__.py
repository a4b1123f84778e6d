"""`python -m twotower`."""

from __future__ import annotations

import sys

from twotower.cli import main

sys.exit(main())
