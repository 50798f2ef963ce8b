"""Follow the events of running tasks, so that people see how far they are."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Follower:
    r"""Reads what tasks append to their events, each line once.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     events = Path(folder, "events.jsonl")
        ...     _ = events.write_text('{"event": "progress", "done": 1, "total": 4}\n{"event"')
        ...     Follower().progress(events)
        (1.0, 4.0)
    """

    _offsets: dict[Path, int] = field(default_factory=dict)

    def progress(self, events: Path) -> tuple[float, float] | None:
        """The newest progress in what was appended since the last look, as (done, total)."""
        newest = None
        try:
            with events.open("rb") as stream:
                # A task that goes on from a checkpoint forgets what it told after it.
                start = min(self._offsets.get(events, 0), stream.seek(0, os.SEEK_END))
                stream.seek(start)
                text = stream.read()
        except OSError:
            return None
        whole = text[: text.rfind(b"\n") + 1]
        self._offsets[events] = start + len(whole)
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get("event") == "progress":
                newest = float(event["done"]), float(event["total"])
        return newest
