"""Measure how CV and leaderboard agree: ranks, their ordinary offset, and what is unlike the others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist, fmean, median, stdev

FEWEST_TO_JUDGE, FEWEST_FOR_A_LINE = 6, 8
SURE = 0.05
MANY = 500


@dataclass(frozen=True)
class Offset:
    """How public scores ordinarily differ from CV.

    Attributes:
        mean: The mean of public score minus CV.
        sd: The sample standard deviation of that difference; None for a single row.
        slope: How much of a CV's change shows in the public score; None for too few rows.
        residual: The spread of public scores about the line of this slope, robust to single odd ones; the
            noise of a row that needs no predictions. None where there is no line.
        rows: How many rows have both.
    """

    mean: float
    sd: float | None
    slope: float | None
    residual: float | None
    rows: int


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties sharing their mean rank; None below three pairs or for a constant.

    References:
        Spearman, "The proof and measurement of association between two things", 1904.

    Example:
        >>> rank_correlation([0.1, 0.2, 0.3], [1.0, 3.0, 2.0])
        0.5
    """
    if len(first) < 3:
        return None
    a, b = _ranks(first), _ranks(second)
    mean = (len(a) + 1) / 2
    up = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    down = (sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)) ** 0.5
    return up / down if down else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(values)
    # Between the first and the last place of equal values.
    return [(bisect_left(order, value) + 1 + bisect_right(order, value)) / 2 for value in values]


def is_sure(correlation: float | None, pairs: int) -> bool:
    """Whether a rank correlation has a sign that chance would rarely give: one-sided, at 5 %.

    Example:
        >>> is_sure(0.9, 6), is_sure(0.4, 4)
        (True, False)
    """
    if correlation is None or pairs < 5:
        return False
    rest = 1 - correlation**2
    return rest <= 0 or abs(correlation) * ((pairs - 2) / rest) ** 0.5 > student_quantile(1 - SURE, pairs - 2)


def student_quantile(share: float, freedom: int) -> float:
    """The quantile of Student's t, to 1 % from three degrees of freedom on for a share up to 0.999.

    References:
        Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.5.

    Example:
        >>> round(student_quantile(0.95, 10), 2)
        1.81
    """
    z, n = NormalDist().inv_cdf(share), freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / n**power for power, term in enumerate(terms, 1)))


def measure_offset(cv: Sequence[float], public: Sequence[float]) -> Offset | None:
    """The ordinary offset between CV and public scores; None without a row that has both.

    Example:
        >>> measure_offset([0.75, 0.5], [0.5, 0.25]).mean
        -0.25
    """
    if not cv:
        return None
    gaps = [b - a for a, b in zip(cv, public, strict=True)]
    slope = _slope(cv, public) if len(cv) >= FEWEST_TO_JUDGE else None
    residual = None
    if slope is not None:
        rest = [b - slope * a for a, b in zip(cv, public, strict=True)]
        centre = median(rest)
        # The median absolute deviation, scaled to a normal's standard deviation.
        residual = 1.4826 * median(abs(value - centre) for value in rest) or stdev(rest)
    return Offset(fmean(gaps), stdev(gaps) if len(gaps) > 1 else None, slope, residual, len(gaps))


def _slope(x: Sequence[float], y: Sequence[float]) -> float | None:
    """The median slope between two points, which single odd ones do not move (Theil and Sen).

    Of many points each of the lower half is paired with one of the upper half: Theil's incomplete method.
    """
    pairs: Iterable[tuple[int, int]] = combinations(range(len(x)), 2)
    if len(x) > MANY:
        order, half = sorted(range(len(x)), key=x.__getitem__), len(x) // 2
        pairs = zip(order[:half], order[-half:], strict=True)
    found = [(y[j] - y[i]) / (x[j] - x[i]) for i, j in pairs if abs(x[j] - x[i]) > 1e-12]
    return median(found) if found else None


def find_unlike(cv: Sequence[float], public: Sequence[float]) -> dict[int, float]:
    """Rows whose public score is not where the other rows' CV and public scores would put it.

    Each row is held against the line through all others (their mean offset, below eight rows), by Student's
    t at 5 % over all rows together: an alarm in one table of twenty in which nothing is wrong.

    Returns:
        By place, how much higher the public score is than expected. Nothing below six rows: too few.

    References:
        Cook and Weisberg, "Residuals and Influence in Regression", 1982: externally studentized residuals.
    """
    count = len(cv)
    if count < FEWEST_TO_JUDGE:
        return {}
    found = {}
    for place in range(count):
        x, y = ([*values[:place], *values[place + 1 :]] for values in (cv, public))
        expected, error, freedom = _predict(x, y, cv[place])
        limit = student_quantile(1 - SURE / 2 / count, freedom)
        if abs(public[place] - expected) > max(limit * error, 1e-12):
            found[place] = public[place] - expected
    return found


def _predict(x: Sequence[float], y: Sequence[float], at: float) -> tuple[float, float, int]:
    """What is expected at a CV, the standard error of a new row there, and the degrees of freedom."""
    count, middle = len(x), fmean(x)
    spread = sum((value - middle) ** 2 for value in x)
    if count < FEWEST_FOR_A_LINE - 1 or spread < 1e-24:
        gaps = [b - a for a, b in zip(x, y, strict=True)]
        return at + fmean(gaps), stdev(gaps) * (1 + 1 / count) ** 0.5, count - 1
    slope = sum((a - middle) * b for a, b in zip(x, y, strict=True)) / spread
    level = fmean(y)
    rest = [b - level - slope * (a - middle) for a, b in zip(x, y, strict=True)]
    variance = sum(value**2 for value in rest) / (count - 2)
    error = (variance * (1 + 1 / count + (at - middle) ** 2 / spread)) ** 0.5
    return level + slope * (at - middle), error, count - 2
