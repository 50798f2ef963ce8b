"""Tell what was found of one thing, whether that is well, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One line of `kagkit doctor`. No user, home or host name is in it.

    Attributes:
        section: What it belongs to: `machine`, `packages`, `workspace`.
        what: The thing looked at.
        level: `ok`; `warn` where kagkit works and results or comfort may suffer; `wrong` where it does not.
        found: What was found.
        hint: What to do; empty where nothing is to be done.
    """

    section: str
    what: str
    level: Level
    found: str
    hint: str = ""
