"""Begin the next stage: give out the labels of the one before, then open its files and hide new truth."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from kagkit.foundation.files import write_file
from kagkit.host.register import Register
from kagkit.host.shelf import RELEASED
from kagkit.host.solutions import USAGE
from kagkit.host.terms import Terms


def begin_next_stage(root: Path, terms: Terms, register: Register) -> str:
    """Release what the next stage brings; its number.

    The labels are written before the stage is noted: whoever sees the stage finds its files.

    Raises:
        HostError: There is no further stage, or the competition is over.
    """
    current = register.events.stage
    following = terms.stages.get(str(int(current) + 1))
    if following is not None and following.labels is not None and not register.events.closed:
        text = labels_of(root / terms.stages[current].solution, marked=following.usage)
        write_file(root / RELEASED / following.labels, text)
    return register.release()


def labels_of(solution: Path, *, marked: bool = False) -> str:
    """A solution as participants get it: without the marks, unless they are given out, too."""
    with solution.open(encoding="utf-8-sig", newline="") as stream:
        lines = [line for line in csv.reader(stream) if line]
    mark = [name.strip() for name in lines[0]].index(USAGE)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [cell for place, cell in enumerate(line) if marked or place != mark] for line in lines
    )
    return text.getvalue()
