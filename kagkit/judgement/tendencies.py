"""Compare what a file says on the whole with honest answers elsewhere, tell shifts that people should see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import atanh

import numpy as np
import pandas as pd

from kagkit.judgement.agreement import rank_correlation
from kagkit.judgement.answers import Answers, Numbers
from kagkit.judgement.suspicions import LEAST, Level, Side, Suspicion, compare_means

# The constants of the checks that were measured: docs/blind.md, benchmarks/blind.py.
ODD, BEYOND_DRIFT = 4.0, 6.0  # standard errors
TAILS = (0.05, 0.25, 0.75, 0.95)
LOWEST, NEARLY = 0.2, 0.9999  # rank correlations
FEWEST_ROWS, LARGEST, TREES = 80, 4_000, 50  # of what a second way learns
LEAST_CHANCE = 0.001


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


def compare_ranks(now: Side, then: Side | None, anchor: str = "the frozen model") -> Iterator[Suspicion]:
    """Whether the file orders rows as its anchor, `anchor` in words, does, as far as it did before."""
    if now.anchor is None:
        return
    before = {} if then is None or then.anchor is None else _correlations(then.file, then.anchor)
    for name, correlation in _correlations(now.file, now.anchor).items():
        usual = before.get(name)
        told = f"rank correlation with {anchor} {correlation:.3f} for {name}"
        told += "" if usual is None else f", {usual:.3f} before"
        # Fisher's transformation: the difference of two correlations has this standard error.
        gap = 0.0 if usual is None else atanh(min(usual, NEARLY)) - atanh(min(correlation, NEARLY))
        error = (2 / max(len(np.unique(now.groups)) - 3, 1)) ** 0.5
        if correlation < LOWEST or gap > ODD * error:
            yield Suspicion("ranks", "warn", f"{told}; does each id have its own row's prediction?")
        else:
            yield Suspicion("ranks", "ok", told)


def _correlations(one: Answers, other: Answers) -> dict[str, float]:
    tables = one.as_table(), other.as_table()
    found = {str(name): rank_correlation(*(table[name].tolist() for table in tables)) for name in tables[0]}
    return {name: told for name, told in found.items() if told is not None and name != "empty"}


def compare_second_way(
    now: Side, then: Side, learn: Side, raw: Sequence[pd.DataFrame]
) -> Iterator[Suspicion]:
    """Whether a model of the raw columns finds the file as far from itself as it found stage 1's.

    It learns what the models said out of fold: a second way from rows to answers, which is not given what all
    members are given wrongly. Of masks it learns how large they are.

    Args:
        now: The rows to be predicted.
        then: Rows that were predicted before.
        learn: Out-of-fold rows.
        raw: The raw columns of the three, numbers, each in the order of its file.
    """
    tables = [side.file.as_table().to_numpy(np.float64) for side in (now, then, learn)]
    if not tables[0].size or min(map(len, tables)) < FEWEST_ROWS:
        return
    off = _find_residuals(_stretch(tables), raw)
    means, before = now.by_group(off[0]), then.by_group(off[1])
    z, times = compare_means(means, before), means.mean() / max(before.mean(), LEAST)
    told = f"a model of the raw columns is {times:.2f} times as far off as before ({z:+.1f} standard errors)"
    if z > ODD:
        level: Level = "stop" if z > BEYOND_DRIFT else "warn"
        hint = "are all members given what they were given in stage 1?"
        yield Suspicion("raw", level, f"{told}; {hint}")
    else:
        yield Suspicion("raw", "ok", told)


def _find_residuals(answers: Sequence[Numbers], raw: Sequence[pd.DataFrame]) -> list[Numbers]:
    """How far off trees are on two tables that learned the third, in the answers' standard deviation."""
    from sklearn.ensemble import ExtraTreesRegressor

    shared = [column for column in raw[0] if column in raw[1] and column in raw[2]]
    tables = [table[shared].fillna(raw[2].median()).to_numpy(np.float64) for table in raw]
    scale = np.maximum(answers[2].std(axis=0), LEAST)
    trees = ExtraTreesRegressor(TREES, min_samples_leaf=3, max_features=1.0, random_state=0, n_jobs=1)
    wanted = answers[2][:LARGEST] / scale
    trees.fit(tables[2][:LARGEST], wanted[:, 0] if wanted.shape[1] == 1 else wanted)
    told = [trees.predict(table).reshape(len(table), -1) for table in tables[:2]]
    return [np.abs(guess - said / scale).mean(axis=1) for guess, said in zip(told, answers[:2], strict=True)]


def _stretch(answers: Sequence[Numbers]) -> list[Numbers]:
    """Chances as log odds, other numbers as they are."""
    if min(each.min() for each in answers) < 0 or max(each.max() for each in answers) > 1:
        return list(answers)
    held = [each.clip(LEAST_CHANCE, 1 - LEAST_CHANCE) for each in answers]
    return [np.log(each / (1 - each)) for each in held]
