"""Entry point of `python -m snellen`, the command `snellen`."""

from __future__ import annotations

import sys

from snellen.cli import main

sys.exit(main())
