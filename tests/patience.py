"""Wait for what another process does: a limit ends what hangs, and says nothing about speed."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 300.0  # a machine may be busy with other work; what hangs, hangs for ever


def wait_for(reached: Callable[[], object], what: str = "it has happened") -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} seconds: {what}"
        time.sleep(0.01)
