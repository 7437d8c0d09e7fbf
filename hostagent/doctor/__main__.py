"""`python3 -m hostagent.doctor`, with the system's own Python."""

from __future__ import annotations

import sys

from hostagent.doctor import main

sys.exit(main())
