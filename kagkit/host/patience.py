"""Say how long a host is waited for, everywhere in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem

PACE = "KAGKIT_HOST_PACE"


@dataclass(frozen=True)
class Patience:
    """Times in seconds.

    Attributes:
        connect: For a connection, and for each piece sent over it.
        silence: Between two pieces of an answer.
        answer: For a whole answer that is not a file.
        upload: For the upload of a file, tries included.
        pauses: Before asking again what changes nothing: one try more than there are pauses.
        busy: At most, altogether, where the host asks to come back later.
        lag: After which a host that accepted a submission surely lists it.
        looks: Between looks at the host's list, until `lag` is over.
        poll: Before the second and at most before a later question for a score; each pause doubles.
        following: At most for a score.
    """

    connect: float = 15.0
    silence: float = 60.0
    answer: float = 180.0
    upload: float = 3600.0
    pauses: tuple[float, ...] = (1.0, 3.0, 9.0)
    busy: float = 900.0
    lag: float = 60.0
    looks: tuple[float, ...] = (0.0, 2.0, 5.0, 10.0, 20.0, 23.0)
    poll: tuple[float, float] = (1.0, 60.0)
    following: float = 12 * 3600.0

    def at(self, pace: float) -> Patience:
        """The same times, each multiplied.

        Example:
            >>> Patience().at(0.5).poll
            (0.5, 30.0)
        """
        times: dict[str, Any] = {
            name: tuple(pace * time for time in value) if isinstance(value, tuple) else pace * value
            for name, value in vars(self).items()
        }
        return Patience(**times)


def usual_patience() -> Patience:
    """The times that hold here; tests shorten them all by one factor.

    Raises:
        ManifestError: The factor is no number above 0.
    """
    told = os.environ.get(PACE, "1")
    try:
        pace = float(told)
    except ValueError:
        pace = 0.0
    if not 0 < pace <= 1:
        raise ManifestError("a setting cannot be used", [Problem(PACE, told, "a number above 0, up to 1")])
    return Patience().at(pace)
