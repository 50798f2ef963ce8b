"""Hold what is compared: a row for each run, or line of a table, and the noise between any two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from kagkit.judgement.agreement import Offset, measure_offset, rank_correlation
from kagkit.judgement.descent import Descent
from kagkit.judgement.noise import Noise, paired_sd


@dataclass(frozen=True)
class Row:
    """One run, or one line of a table: its CV, the spread of its folds, and what the host gave it.

    Attributes:
        run: The run, `exp001/3:lb` for another than its first submission;
            in a table the experiment, with its line where several have one name.
        experiment: The experiment.
        stage: The competition's stage; None in a table.
        cv: Its CV, on the share `coverage` of the training rows.
        cv_std: The sample standard deviation of the folds' scores.
        optimism: How much better the score looks of what was found on the rows it is scored on, above 0 where
            it flatters; None where nothing was.
        cv_kept: The score without the rows that rules left out. It rises by leaving out what is hard, so
            nothing is ranked by it.
        cv_interval: Where the CV would lie on other rows of the kind, in nine of ten cases.
        lb_public: The public score.
        lb_private: The private score.
        gap: The public score minus the CV.
        lb_noise: The standard deviation of the public score by the choice of the board's rows.
        shake: The 90 % interval of the private score, and of the rank there; None where not asked for.
        verdict: What to make of the row, in a few words.
        comparable: Rows of one letter may be ranked together; None without CV.
        submission: The packaged submission's name.
        note: The manifest's note.
        descent: How the run differs from its parent's.
        author: Who made it, where it was imported.
        written: Cells of a table that say something else than a number, by column.
    """

    run: str
    experiment: str
    stage: int | None = None
    cv: float | None = None
    cv_std: float | None = None
    optimism: float | None = None
    cv_kept: float | None = None
    cv_interval: tuple[float, float] | None = None
    coverage: float | None = None
    lb_public: float | None = None
    lb_private: float | None = None
    gap: float | None = None
    lb_noise: float | None = None
    shake: Shake | None = None
    verdict: str = ""
    comparable: str | None = None
    submission: str | None = None
    note: str = ""
    descent: Descent | None = None
    author: str = ""
    written: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shake:
    """Where a submission may end on the private board.

    Attributes:
        score: The 90 % interval of its private score.
        rank: The 90 % interval of its rank among the rows compared, 1 being the best.
        ended: Its rank there after the close; None before.
    """

    score: tuple[float, float]
    rank: tuple[int, int]
    ended: int | None = None


@dataclass(frozen=True)
class Alarm:
    """Something that makes the table mean less than it seems to, and the rows it is about."""

    kind: str
    text: str
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Board:
    """The rows, their direction, and their noise by run.

    Attributes:
        greater_is_better: The metric's declared direction.
        rows: The rows.
        noise: By run, what was measured on its OOF predictions; empty for a table.
    """

    greater_is_better: bool
    rows: tuple[Row, ...]
    noise: dict[str, Noise] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        """1 where greater is better, else -1: a score times this grows with quality."""
        return 1 if self.greater_is_better else -1

    @cached_property
    def ranked(self) -> tuple[Row, ...]:
        """The rows of the largest set that may be ranked together."""
        return tuple(row for row in self.rows if row.comparable == "A")

    @cached_property
    def scored(self) -> tuple[Row, ...]:
        """Those of them with a public score."""
        return tuple(row for row in self.ranked if row.lb_public is not None)

    @cached_property
    def offset(self) -> Offset | None:
        """How public scores ordinarily differ from CV."""
        return measure_offset(*self.columns("cv", "lb_public"))

    @cached_property
    def best(self) -> Row | None:
        """The row with the best CV of the largest set."""
        return max(self.ranked, key=lambda row: self.sign * (row.cv or 0.0), default=None)

    def columns(self, first: str, second: str) -> tuple[list[float], list[float]]:
        """Two columns of the largest set, of the rows that have both."""
        pairs = [(getattr(row, first), getattr(row, second)) for row in self.ranked]
        known = [(a, b) for a, b in pairs if a is not None and b is not None]
        return [a for a, _ in known], [b for _, b in known]

    def correlation(self, first: str, second: str) -> float | None:
        """Spearman's rank correlation of two columns."""
        return rank_correlation(*self.columns(first, second))

    def noise_between(self, first: Row, second: Row, which: str) -> float | None:
        """The standard deviation of a difference of two rows' `cv` or `public` by chance.

        From the OOF predictions, paired where they are on the same rows; without them, for `public`, from the
        spread of the scores about the line between CV and LB. None where neither is known.
        """
        a, b = self.noise.get(first.run), self.noise.get(second.run)
        if a is not None and b is not None:
            return paired_sd(a, b, which)
        if self.offset is None or self.offset.residual is None or which == "cv":
            return None
        return math.sqrt(2) * self.offset.residual


def describe_sd(difference: float, sd: float) -> str:
    """A difference in standard deviations.

    Example:
        >>> describe_sd(0.0031, 0.0039)
        '0.0031 = 0.8 sd'
    """
    return f"{abs(difference):.4g} = {abs(difference) / sd:.1f} sd" if sd else f"{abs(difference):.4g}"


def name_rows(rows: Sequence[Row]) -> tuple[str, ...]:
    """The names of some rows."""
    return tuple(row.run for row in rows)
