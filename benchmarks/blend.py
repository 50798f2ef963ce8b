"""Time climbing over many models beside hillclimbers and a plain loop, and score what each finds on new rows.

All get the same out-of-fold predictions and the same truth, and climb for the RMSE. The score is that of the
blend on rows that nobody fitted on. kagkit climbs six times: once on all rows, and once without each of five
folds, for the nested score that the others do not have. hillclimbers and the plain loop fit once. They get a
part of the members and rows, which is told, so that they end; kagkit gets that part too, and then everything.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from measuring import Target, ceiling, report, speedup
from numpy.typing import NDArray
from sklearn.metrics import root_mean_squared_error

from kagkit.judgement.blending import blend_members
from kagkit.judgement.stacking import Member
from kagkit.metrics import auc, log_loss, mae, rmse
from kagkit.metrics.truth import Truth

Values = NDArray[np.float64]
FEW, SHORT = 12, 4_000
MANY, LONG = 200, 100_000
ROUNDS = 3
LOOP_ROUNDS = 30


@dataclass(frozen=True)
class Task:
    """Predictions (n_members, n_rows) of rows to fit on and of new rows, with their truths."""

    oof: Values
    truth: Values
    new: Values
    new_truth: Values
    scores: dict[str, float] = field(default_factory=dict)


def draw(members: int, rows: int) -> Task:
    """Chances of a label by models of different skill that share some of their errors."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=2 * rows)
    labels = (signal + rng.normal(size=2 * rows) > 0).astype(np.float64)
    families = rng.normal(size=(5, 2 * rows))
    noise = rng.normal(size=(members, 2 * rows)) * rng.uniform(0.4, 1.5, (members, 1))
    odds = signal + noise + 0.5 * families[np.arange(members) % 5]
    values = 1 / (1 + np.exp(-odds))
    return Task(values[:, :rows], labels[:rows], values[:, rows:], labels[rows:])


def by_kagkit(task: Task, metric: Callable[..., float] = rmse) -> Values:
    """The new rows' predictions by weights that climbing found."""
    keys = pd.Index([f"r{row:06d}" for row in range(len(task.truth))], name="id")
    members = [
        Member(f"m{i}", f"{i:064x}", *(pd.DataFrame({"y": part[i]}, keys) for part in (task.oof, task.new)))
        for i in range(len(task.oof))
    ]
    truth = Truth(pd.DataFrame({"y": task.truth.astype(int)}, keys), metric, metric is auc)
    folds = pd.Series(np.arange(len(keys)) % 5, keys)
    blend = blend_members(members, truth, folds, "hill_climbing")
    assert blend.test is not None
    return blend.test["y"].to_numpy()


def by_loop(task: Task) -> Values:
    """Caruana's selection as it is found in notebooks: one member and one score at a time."""
    chosen: list[int] = []
    best, best_chosen = np.inf, chosen
    for _ in range(LOOP_ROUNDS):
        scores = [
            root_mean_squared_error(task.truth, task.oof[[*chosen, i]].mean(axis=0))
            for i in range(len(task.oof))
        ]
        chosen = [*chosen, int(np.argmin(scores))]
        if min(scores) < best:
            best, best_chosen = min(scores), chosen
    blended: Values = task.new[best_chosen].mean(axis=0)
    return blended


def by_hillclimbers(task: Task) -> Values:
    """The package, with steps of 0.01 and without its pictures."""
    try:
        import hillclimbers
    except ModuleNotFoundError:
        sys.exit("hillclimbers is not installed: pip install -e '.[bench]'")
    names = [f"m{i}" for i in range(len(task.oof))]
    with contextlib.redirect_stdout(io.StringIO()):
        blended: Values = hillclimbers.climb_hill(
            train=pd.DataFrame({"y": task.truth}),
            oof_pred_df=pd.DataFrame(task.oof.T, columns=names),
            test_pred_df=pd.DataFrame(task.new.T, columns=names),
            target="y",
            objective="minimize",
            eval_metric=hillclimbers.partial(root_mean_squared_error),
            plot_hill=False,
        )
    return blended


def timed(name: str, task: Task, blend: Callable[[Task], Values]) -> float:
    """Seconds of a blend; notes its score on the new rows."""
    began = time.perf_counter()
    predicted = blend(task)
    seconds = time.perf_counter() - began
    task.scores[name] = root_mean_squared_error(task.new_truth, predicted)
    return seconds


def main() -> None:
    small = draw(FEW, SHORT)
    part = f"{FEW} x {SHORT:,}"
    ours, loop, package = (
        f"kagkit, 6 fits of {part}",
        f"plain loop, 1 fit of {part}",
        f"hillclimbers, 1 fit of {part}",
    )
    actions = {ours: by_kagkit, loop: by_loop, package: by_hillclimbers}
    turns = [{name: timed(name, small, blend) for name, blend in actions.items()} for _ in range(1 + ROUNDS)]
    seconds = {name: [turn[name] for turn in turns[1:]] for name in actions}
    targets = [speedup(seconds, ours, loop, at_least=1), speedup(seconds, ours, package, at_least=5)]
    for name in (loop, package):
        gap = small.scores[ours] - small.scores[name]
        targets.append(
            Target(f"RMSE on new rows within 0.0005 of {name.split(',')[0]}", f"{gap:+.5f}", gap < 0.0005)
        )
    large = draw(MANY, LONG)
    for metric, most in ((rmse, 30), (mae, 120), (log_loss, 180), (auc, 180)):
        name = f"kagkit, {metric.__name__}, 6 fits of {MANY} x {LONG:,}"
        seconds[name] = [timed(name, large, partial(by_kagkit, metric=metric))]
        targets.append(ceiling(seconds, name, at_most=most))
    for name, score in {**small.scores, **large.scores}.items():
        print(f"{name}: RMSE on new rows {score:.5f}")
    report("Blending", seconds, targets)


if __name__ == "__main__":
    main()
