"""Say the learning rate of any step from the share of the training that is done: a schedule has no state."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]

RISE = 0.3  # the share of a one-cycle training in which the rate rises
START = 1 / 25  # where it begins, as a share of the largest rate
END = START / 10_000  # where it ends


def one_cycle(done: float) -> float:
    """Rise for three tenths of the training, then fall to nearly nothing, both along half a cosine.

    Args:
        done: The share of the training that is done, in [0, 1].

    Returns:
        The share of the largest rate, in (0, 1].

    References:
        Smith and Topin, "Super-Convergence", 2017; shares as in torch's OneCycleLR.

    Example:
        >>> [round(one_cycle(done), 3) for done in (0.0, 0.15, 0.3, 0.65, 1.0)]
        [0.04, 0.52, 1.0, 0.5, 0.0]
    """
    if done < RISE:
        return _glide(START, 1.0, done / RISE)
    return _glide(1.0, END, (done - RISE) / (1 - RISE))


def cosine(done: float) -> float:
    """Fall from the largest rate to none along half a cosine.

    Example:
        >>> [round(cosine(done), 2) for done in (0.0, 0.5, 1.0)]
        [1.0, 0.5, 0.0]
    """
    return _glide(1.0, 0.0, done)


def constant(done: float) -> float:
    """Keep the largest rate.

    Example:
        >>> constant(0.9)
        1.0
    """
    return 1.0


def _glide(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Schedule] = {"one_cycle": one_cycle, "cosine": cosine, "constant": constant}


def rate_of(schedule: Schedule, warmup: float, step: int, steps: int) -> float:
    """The share of the largest rate for one step; the schedule is asked at the middle of the step.

    Args:
        schedule: From the share that is done, in (0, 1), to the share of the largest rate.
        warmup: The share of the training in which the rate grows from nothing to what the schedule says.
        step: The step, from 0.
        steps: How many there are.

    Example:
        >>> [rate_of(constant, 0.5, step, 4) for step in range(4)]
        [0.25, 0.75, 1.0, 1.0]
    """
    done = (step + 0.5) / steps
    return schedule(done) * (min(1.0, done / warmup) if warmup else 1.0)
