"""Resample scored rows by whole groups: how far a CV, or the score of a public board, moves by chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.foundation.component import import_function
from kagkit.foundation.errors import KagkitError, ManifestError, Problem, RunError
from kagkit.foundation.files import digest_of
from kagkit.foundation.seeds import draws, stream
from kagkit.metrics.perrow import PerRow
from kagkit.metrics.registry import PER_ROW
from kagkit.metrics.scoring import Scorer, align_tables

DRAWS = 500
FEWEST_DRAWS, RENAMED_ROWS = 40, 400_000
CHECKED_UNITS = 100
CHUNK = 4_000_000
TOLERANCE = 1e-6

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]


class Scores(Protocol):
    """Scores any choice of units, each taken as often as it is counted.

    Attributes:
        rows: (n_units,) how many ids each unit has.
        draws: How many draws are worth their time.
        method: How the scores are made, in words.
    """

    rows: NDArray[np.int64]
    draws: int
    method: str

    def score(self, counts: Counts) -> Numbers:
        """The scores of draws: (n_draws, n_units) counts to (n_draws,), NaN where there is none."""
        ...


@dataclass(frozen=True, eq=False)
class Scored:
    """A submission of labelled rows beside its truth, as the host's metric takes them.

    Attributes:
        truth: The solution, one or more lines an id.
        answer: The submission, the same ids.
        row_id: The id column of both.
        unit: By id, what is drawn whole: its group, or its own row.
    """

    truth: pd.DataFrame
    answer: pd.DataFrame
    row_id: str
    unit: pd.Series[Any]

    def of_ids(self, chosen: pd.Index[Any]) -> Scored:
        """The same of some ids only."""
        truth, answer = (
            table[table[self.row_id].isin(chosen)].reset_index(drop=True)
            for table in (self.truth, self.answer)
        )
        return Scored(truth, answer, self.row_id, self.unit.loc[chosen])


def find_units(scorer: Scorer, rows: pd.DataFrame, group: pd.Series[Any]) -> pd.Series[Any]:
    """The group of every id of a submission, where one row may make several ids.

    Which rows make which ids is the user's function to know, so it is asked: for half of the groups at a
    time, until the halves an id appeared in spell the number of its group.

    Args:
        scorer: Makes the truth of rows in submission format.
        rows: The labelled rows, by key.
        group: The group of each row, in the order of `rows`.

    Returns:
        The groups as text, by id in the form the metric gets it.

    Raises:
        RunError: An id is made from rows of several groups, so that no choice of groups has it whole.
    """
    codes, names = pd.factorize(group.astype("str"))
    ids = find_ids(scorer, rows)
    number = pd.Series(0, ids)
    seen = pd.Series(0, ids)
    bits = max(int(len(names) - 1).bit_length(), 1)
    for bit in range(bits):
        for value in (0, 1):
            half = (codes >> bit) & 1 == value
            found = find_ids(scorer, rows[half]) if half.any() else pd.Index([])
            known = found[ids.get_indexer(found) >= 0]
            seen.loc[known] += 1
            number.loc[known] += value << bit
    if not (seen == bits).all():
        torn = f"{int((seen != bits).sum()):,} ids are made from rows of several groups"
        raise RunError("the rows cannot be resampled", [Problem("metric.solution", torn)])
    return pd.Series(names.to_numpy()[number.to_numpy()], ids)


def find_ids(scorer: Scorer, rows: pd.DataFrame) -> pd.Index[Any]:
    """The ids of a submission that some labelled rows make, in the form the metric gets them."""
    table = scorer.solution(rows)
    truth, _, row_id = align_tables(table, table, list(scorer.competition.submission_key))
    ids: pd.Index[Any] = pd.Index(truth[row_id].unique())
    return ids


def prepare_scores(scorer: Scorer, scored: Scored) -> Scores:
    """The quickest honest way to score choices of these rows.

    Raises:
        ManifestError: `metric.per_row` does not make the score; where and by how much.
        KagkitError: The metric does not accept the rows.
    """
    form = per_row_form(scorer)
    if form is None:
        return RenamedKeys(scorer, scored)
    args = scorer.competition.metric.args
    table = form.rows(scored.truth, scored.answer, scored.row_id, **args)
    _refuse_other_score(scorer, scored, form, table)
    return SummedRows(form, table, scored.unit)


def per_row_form(scorer: Scorer) -> PerRow | None:
    """The per-row form of the competition's metric, the declared one first; None where there is none."""
    metric = scorer.competition.metric
    if metric.per_row is not None:
        name = metric.per_row.removeprefix("kagkit.metrics:")
        own = [form for form in PER_ROW.values() if form.rows.__name__ == name]
        return own[0] if own else PerRow(import_function(scorer.root, metric.per_row))
    kagkits, _, name = metric.score.rpartition("kagkit.metrics:")
    form = PER_ROW.get(name) if not kagkits else None
    return form if form is not None and form.suits(metric.args) else None


def _refuse_other_score(scorer: Scorer, scored: Scored, form: PerRow, table: pd.DataFrame) -> None:
    """Hold the per-row form against the metric, on all rows and on a sample of them."""
    names = np.sort(scored.unit.unique())
    some = names[np.argsort(draws([str(name) for name in names], "per row"))[:CHECKED_UNITS]]
    sample = scored.of_ids(scored.unit.index[scored.unit.isin(some)])
    for part in (scored, sample):
        wanted = scorer.score_aligned(part.truth, part.answer, part.row_id)
        found = form.score(table.loc[part.unit.index])
        if not np.isclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE):
            problem = Problem(
                "competition.yaml: metric.per_row",
                f"its means make {found:.6g} of {len(part.unit):,} ids",
                f"{wanted:.6g}, as {scorer.competition.metric.score} says",
                "the mean of its columns' means must be the score; without the key, fewer draws are scored",
            )
            raise ManifestError("the per-row form is not that of the metric", [problem])


class SummedRows:
    """Scores choices by the sums of the per-row form over each unit."""

    def __init__(self, form: PerRow, table: pd.DataFrame, unit: pd.Series[Any]) -> None:
        of_rows = unit.loc[table.index].to_numpy()
        sums = table.groupby(of_rows, sort=True).sum()
        self.rows = table.groupby(of_rows, sort=True).size().to_numpy().astype(np.int64)
        self.draws = DRAWS
        self.method = "per row"
        self._form = form
        self._sums = sums.to_numpy()

    def score(self, counts: Counts) -> Numbers:
        """The scores of draws, by one product of matrices."""
        weights = counts.astype(np.float64)
        means = (weights @ self._sums) / (weights @ self.rows)[:, None]
        return np.asarray(self._form.finish(means), dtype=np.float64)


class RenamedKeys:
    """Scores choices by the metric itself, on tables in which an id drawn twice is two ids."""

    def __init__(self, scorer: Scorer, scored: Scored) -> None:
        names, counts = np.unique(scored.unit.to_numpy().astype(str), return_counts=True)
        self.rows = counts.astype(np.int64)
        self.draws = int(np.clip(RENAMED_ROWS // max(len(scored.unit), 1), FEWEST_DRAWS, DRAWS))
        self.method = f"{self.draws} draws with renamed keys"
        self._scorer, self._scored = scorer, scored
        place = pd.Series(range(len(names)), names, dtype="int64")
        self._lines = [
            _lines_by_unit(place.loc[scored.unit.loc[table[scored.row_id]]].to_numpy(), len(names))
            for table in (scored.truth, scored.answer)
        ]

    def score(self, counts: Counts) -> Numbers:
        """The scores of draws, one after another; NaN where the metric is not defined on a draw."""
        return np.array([self._score_one(draw) for draw in counts])

    def _score_one(self, draw: NDArray[np.int64]) -> float:
        row_id = self._scored.row_id
        tables = []
        for table, lines in zip((self._scored.truth, self._scored.answer), self._lines, strict=True):
            parts = [(place, copy) for place in np.flatnonzero(draw) for copy in range(draw[place])]
            taken = np.concatenate([lines[place] for place, _ in parts])
            copies = np.concatenate([np.full(len(lines[place]), copy) for place, copy in parts])
            chosen = table.iloc[taken].reset_index(drop=True)
            names = chosen[row_id].astype("str") + "~" + pd.Series(copies).astype("str")
            tables.append(chosen.assign(**{row_id: names}))
        try:
            return self._scorer.score_aligned(tables[0], tables[1], row_id)
        except KagkitError:
            return float("nan")


def _lines_by_unit(of_lines: NDArray[Any], units: int) -> list[NDArray[Any]]:
    """The lines of each unit, in the table's order."""
    order = np.argsort(of_lines, kind="stable")
    return np.split(order, np.searchsorted(of_lines[order], np.arange(1, units)))


def draw_cv(scores: Scores, units: str) -> Numbers:
    """Scores of rows drawn anew, whole units with replacement: the bootstrap of a CV.

    Args:
        scores: Scores choices of the units.
        units: The name of the stream. Runs on the same units draw alike, so that their difference is paired.

    Returns:
        (n_draws,) scores; NaN where the metric is not defined on a draw.

    References:
        Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8: resampling groups.
    """
    chance, many = stream("bootstrap", units), len(scores.rows)

    def draw(step: int) -> Counts:
        chosen = chance.integers(many, size=(step, many)) + many * np.arange(step)[:, None]
        return np.bincount(chosen.ravel(), minlength=step * many).reshape(step, many)

    return np.concatenate([scores.score(draw(step)) for step in _steps(scores)])


def draw_public(scores: Scores, units: str, public_rows: int) -> Numbers:
    """Scores of as many rows as a public board has, whole units without replacement, as deviations.

    A board with more than half as many rows as there are is told from half of them: a score's spread goes
    with the root of the rows. What the draws share because they exhaust the rows is taken out again.

    Args:
        scores: Scores choices of the units.
        units: The name of the stream, as for `draw_cv`.
        public_rows: How many ids are behind the public board.

    Returns:
        (n_draws,) deviations from their mean, scaled to what a board of unseen rows would show.

    References:
        Cochran, "Sampling Techniques", 1977, section 2.6: the finite population correction.
    """
    chance, many, total = stream("public", units), len(scores.rows), int(scores.rows.sum())
    wanted = min(public_rows, total // 2) or 1

    def draw(step: int) -> Counts:
        order = chance.random((step, many), dtype=np.float32).argsort(axis=1)
        rows = scores.rows[order]
        taken = rows.cumsum(axis=1) - rows / 2 < wanted
        taken[:, 0] = True
        counts = np.zeros((step, many), dtype=np.int64)
        np.put_along_axis(counts, order, taken.astype(np.int64), axis=1)
        sizes.append((counts @ scores.rows).mean())
        return counts

    sizes: list[float] = []
    found = np.concatenate([scores.score(draw(step)) for step in _steps(scores)])
    size = float(np.mean(sizes))
    scale = np.sqrt(size / public_rows / max(1 - size / total, 1 / total))
    return np.asarray((found - np.nanmean(found)) * scale)


def _steps(scores: Scores) -> Iterator[int]:
    """The draws, in portions that fit into memory."""
    step = max(CHUNK // max(len(scores.rows), 1), 1)
    for begun in range(0, scores.draws, step):
        yield min(step, scores.draws - begun)


def name_units(unit: pd.Series[Any]) -> str:
    """A name that two sets of rows share where they hold the same ids in the same units."""
    return digest_of(sorted(zip(map(str, unit.index), map(str, unit), strict=True)))


def interval_of(found: Numbers, level: float = 0.9) -> tuple[float, float]:
    """The middle part of some draws.

    Example:
        >>> interval_of(np.arange(101.0), 0.5)
        (25.0, 75.0)
    """
    low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def score_shuffled(scorer: Scorer, scored: Scored) -> float:
    """The score after the answers were dealt to other ids: a model that knows something does better.

    Raises:
        KagkitError: The metric does not accept the shuffled table.
    """
    ids = pd.Index(scored.answer[scored.row_id].unique())
    dealt: Callable[[Any], Any] = pd.Series(stream("shuffled").permutation(ids.to_numpy()), ids).get
    answer = scored.answer.assign(**{scored.row_id: scored.answer[scored.row_id].map(dealt)})
    if answer[scored.row_id].is_unique and scored.truth[scored.row_id].is_unique:
        answer = answer.set_index(scored.row_id).loc[scored.truth[scored.row_id]].reset_index()
    return scorer.score_aligned(scored.truth, answer[list(scored.answer.columns)], scored.row_id)
