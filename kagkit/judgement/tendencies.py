"""Compare what a file says on the whole with what is honest elsewhere, tell shifts that people should look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from kagkit.judgement.answers import Answers, Numbers
from kagkit.judgement.suspicions import LEAST, SURE, Side, Suspicion, compare_means

ODD = 4.0  # standard errors
TAILS = (0.05, 0.25, 0.75, 0.95)
FEWEST_ROWS = 20
LARGEST = 4_000  # rows that a second way learns from


def compare_shares(now: Side, others: Mapping[str, Side]) -> Iterator[Suspicion]:
    """Means, shares of empty masks, and shares of rows beyond quantiles, against honest answers elsewhere.

    Args:
        now: The rows to be predicted.
        others: Honest answers to other rows, by what they are called. All rows drift: these only warn.
    """
    for name, other in others.items():
        moved = sorted(_moved(now, other), key=lambda each: -abs(each[1]))
        odd = [f"{what} {z:+.1f}" for what, z in moved if abs(z) > ODD]
        if odd:
            text = f"not as in {name}, in standard errors: {', '.join(odd[:4])}; are the rows that different?"
            yield Suspicion("shares", "warn", text)
        else:
            yield Suspicion("shares", "ok", f"means and tails as in {name}")


def _moved(now: Side, other: Side) -> Iterator[tuple[str, float]]:
    """What is told of a table's columns, and how many standard errors it moved."""
    tables = now.file.as_table(), other.file.as_table()
    for column in tables[0]:
        values = [table[column].to_numpy(np.float64) for table in tables]
        yield f"mean {column}", _z(now, other, values[0], values[1])
        for tail in TAILS if values[1].std() > 0 and column != "empty" else ():
            limit = np.quantile(values[1], tail)
            beyond = [(each > limit).astype(np.float64) for each in values]
            yield f"{tail:.0%} quantile of {column}", _z(now, other, beyond[0], beyond[1])


def _z(now: Side, other: Side, values: Numbers, theirs: Numbers) -> float:
    return compare_means(now.by_group(values), other.by_group(theirs))


def compare_ranks(now: Side, then: Side | None) -> Iterator[Suspicion]:
    """Whether the file orders rows as the frozen model does, as far as it did before."""
    if now.anchor is None:
        return
    found = _correlations(now.file, now.anchor)
    before = [] if then is None or then.anchor is None else _correlations(then.file, then.anchor)
    for place, correlation in enumerate(found):
        name = now.file.as_table().columns[place]
        usual = before[place] if place < len(before) else None
        told = f"rank correlation with the frozen model {correlation:.3f} for {name}"
        told += "" if usual is None else f", {usual:.3f} before"
        apart = np.arctanh(min(usual or 0.0, 0.9999)) - np.arctanh(min(correlation, 0.9999))
        error = np.sqrt(2 / max(len(np.unique(now.groups)) - 3, 1))
        if correlation < 0.2 or (usual is not None and apart > SURE * error):
            yield Suspicion("ranks", "warn", f"{told}; does each id have its own row's prediction?")
        else:
            yield Suspicion("ranks", "ok", told)


def _correlations(one: Answers, other: Answers) -> list[float]:
    tables = one.as_table(), other.as_table()
    if len(one.ids) < FEWEST_ROWS:
        return []
    told = [tables[0][name].corr(tables[1][name], method="spearman") for name in tables[0]]
    return [0.0 if np.isnan(each) else float(each) for each in told]


def compare_second_way(now: Side, then: Side, raw: tuple[pd.DataFrame, pd.DataFrame]) -> Iterator[Suspicion]:
    """Whether a model that learned the frozen answers of the raw columns finds the file as it found others.

    It is a second way from the rows to answers: what all members are given wrongly, it is not. It learns on
    half of the groups that were predicted before; the other half says how far off it is for itself.

    Args:
        now: The rows to be predicted.
        then: Rows that were predicted before.
        raw: The raw columns of either, numbers by id in the order of the files.
    """
    if now.file.kind != "numbers" or min(len(now.file.ids), len(then.file.ids)) < 5 * FEWEST_ROWS:
        return
    from sklearn.ensemble import ExtraTreesRegressor

    answers = _stretch(then.file.said), _stretch(now.file.said)
    scale = np.maximum(answers[0].std(axis=0), LEAST)
    tables = [table.fillna(raw[1].median()).to_numpy(np.float64) for table in raw]
    half = np.random.default_rng(0).permutation(len(np.unique(then.groups))) % 2
    own = half[np.unique(then.groups, return_inverse=True)[1]].astype(bool)
    learn = np.flatnonzero(own)[:LARGEST]
    trees = ExtraTreesRegressor(100, min_samples_leaf=3, max_features=1.0, random_state=0, n_jobs=1)
    trees.fit(tables[1][learn], answers[0][learn] / scale)
    off = [
        np.abs(np.atleast_2d(trees.predict(table).T).T - said / scale).mean(axis=1)
        for table, said in zip(tables, (answers[1], answers[0]), strict=True)
    ]
    held_out = Side(then.file.take(then.file.ids[~own]), then.groups[~own])
    z = compare_means(now.by_group(off[0]), held_out.by_group(off[1][~own]))
    yield Suspicion("second way", "warn" if z > SURE else "ok", f"{z:.2f}")


def _stretch(values: Numbers) -> Numbers:
    """Chances as log odds, other numbers as they are."""
    if values.min() >= 0 and values.max() <= 1:
        held = values.clip(0.001, 0.999)
        return np.asarray(np.log(held / (1 - held)))
    return values
