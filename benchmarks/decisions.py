"""What deciding by a rule costs on a clean stage 2, beside the best choice known afterwards.

In each world three models (two for images) are trained on five folds: without the released rows, and with
them. Each rule then keeps the frozen models, takes the retrained ones, or the mean of both, by four metrics
in turn. Its regret is the best of the three on clean stage-2 rows less what it chose, times 1,000, mean over
models and metrics. `python benchmarks/decisions.py [SEEDS]`.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits
from worlds import WORLDS, Numbers, Part, draw

from kagkit.data.likeness import Likeness, measure_likeness
from kagkit.data.parts import Pair
from kagkit.judgement.evidence import Evidence, RowSet, Versions, compare_versions
from kagkit.judgement.labels import Labelled, compare_shares, rank_gap
from kagkit.judgement.ruling import Case, Decision, judge_case
from kagkit.metrics.perrow import PerRow, ratio
from kagkit.metrics.resampling import Scores, SummedRows

FOLDS, SEEDS = 5, 2
FIRST_SEED = 300  # those below were looked at while the rule was built
LOOKED_AT = 1000  # stage-2 rows that likeness sees
Fit = Callable[[Numbers, Numbers], Callable[[Numbers], Numbers]]


def logistic(x: Numbers, y: Numbers) -> Callable[[Numbers], Numbers]:
    """A logistic regression on numbers or pixels."""
    model = LogisticRegression(C=1.0, max_iter=200).fit(x.reshape(len(x), -1), y)
    return lambda rows: model.predict_proba(rows.reshape(len(rows), -1))[:, 1]


def ridge(x: Numbers, y: Numbers) -> Callable[[Numbers], Numbers]:
    """Least squares on the labels, clipped to chances."""
    model = Ridge(alpha=5.0).fit(x, y)
    return lambda rows: model.predict(rows).clip(0.02, 0.98)


def boosting(x: Numbers, y: Numbers) -> Callable[[Numbers], Numbers]:
    """A few shallow trees."""
    model = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=8, random_state=0).fit(x, y)
    return lambda rows: model.predict_proba(rows)[:, 1]


def cnn(x: Numbers, y: Numbers) -> Callable[[Numbers], Numbers]:
    """One layer of eight filters, the strongest answer of each, one linear layer."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 5), torch.nn.ReLU(), torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(8, 1),
    )  # fmt: skip
    images, labels = torch.tensor(x, dtype=torch.float32)[:, None], torch.tensor(y, dtype=torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(model(images)[:, 0], labels).backward()
        optimizer.step()

    def predict(rows: Numbers) -> Numbers:
        with torch.no_grad():
            found = torch.sigmoid(model(torch.tensor(rows, dtype=torch.float32)[:, None])[:, 0])
        return np.asarray(found.numpy(), dtype=np.float64)

    return predict


MODELS: dict[str, Fit] = {"logistic": logistic, "ridge": ridge, "boosting": boosting}
IMAGE_MODELS: dict[str, Fit] = {"logistic": logistic, "cnn": cnn}


class Ranks:
    """The area under the ROC curve of choices of units."""

    method, draws = "ranks", 200

    def __init__(self, y: Numbers, p: Numbers, unit: pd.Series[Any]) -> None:
        codes, names = pd.factorize(unit, sort=True)
        order = np.argsort(p, kind="stable")
        self.rows = np.bincount(codes, minlength=len(names))
        self._codes, self._ones = codes[order], y[order] == 1

    def score(self, counts: NDArray[np.int64]) -> Numbers:
        """(n_draws, n_units) counts to (n_draws,) areas; ties, which there are none of, are not shared."""
        weights = counts[:, self._codes].astype(np.float64)
        ones, zeros = weights * self._ones, weights * ~self._ones
        below = zeros.cumsum(axis=1) - zeros / 2
        return (ones * below).sum(axis=1) / (ones.sum(axis=1) * zeros.sum(axis=1))


@dataclass(frozen=True)
class Metric:
    """A metric: what it sums over rows, how that makes the score, and what a guess gets of labels."""

    greater: bool
    guess: Callable[[Numbers], float]
    perfect: float
    rows: Callable[[Numbers, Numbers], Numbers] | None = None
    finish: Callable[[Any], Any] = lambda means: means.mean(axis=-1)

    def scores(self, y: Numbers, p: Numbers, unit: pd.Series[Any]) -> Scores:
        """The scores of choices of units."""
        if self.rows is None:
            return Ranks(y, p, unit)
        form = PerRow(lambda: pd.DataFrame(), self.finish)
        return SummedRows(form, pd.DataFrame(self.rows(y, p), unit.index), unit)

    def score(self, y: Numbers, p: Numbers) -> float:
        """The score of all rows, the more the better."""
        found = self.scores(y, p, _units(np.arange(len(y)))).score(np.ones((1, len(y)), dtype=np.int64))
        return float(found[0]) if self.greater else -float(found[0])


def _units(group: NDArray[np.int64]) -> pd.Series[Any]:
    return pd.Series([f"{number:06d}" for number in group])


def _loss(y: Numbers, p: Numbers) -> Numbers:
    return -np.log(np.where(y == 1, p, 1 - p).clip(1e-4, 1))[:, None]


METRICS = {
    "log_loss": Metric(False, lambda y: float(_loss(y, np.full(len(y), y.mean())).mean()), 0.0, _loss),
    "auc": Metric(True, lambda _: 0.5, 1.0),
    "accuracy": Metric(
        True, lambda y: max(y.mean(), 1 - y.mean()), 1.0, lambda y, p: np.equal(y, p > 0.5)[:, None] * 1.0
    ),
    "dice": Metric(
        True,
        lambda y: 2 * y.mean() / (1 + y.mean()),
        1.0,
        lambda y, p: np.column_stack([2 * y * (p > 0.5), y + (p > 0.5)]),
        ratio,
    ),
}


@dataclass(frozen=True)
class Trained:
    """A model's two versions: held-out predictions of old and new rows, and their means on the test."""

    old: tuple[Numbers, Numbers]  # the frozen version's
    new: tuple[Numbers, Numbers]
    test: dict[str, Numbers]


def train(fit: Fit, old: Part, new: Part, test: Part) -> Trained:
    """Five folds by groups, without the new rows and with those of the other folds."""
    folds = [part.group % FOLDS for part in (old, new)]
    held = [(np.empty(len(old.y)), np.empty(len(new.y))) for _ in range(2)]
    means = [np.zeros(len(test.y)) for _ in range(2)]
    for fold in range(FOLDS):
        mine, theirs = folds[0] != fold, folds[1] != fold
        both = np.concatenate([old.x[mine], new.x[theirs]]), np.concatenate([old.y[mine], new.y[theirs]])
        for version, rows in enumerate(((old.x[mine], old.y[mine]), both)):
            predict = fit(*rows)
            held[version][0][~mine] = predict(old.x[~mine])
            held[version][1][~theirs] = predict(new.x[~theirs])
            means[version] += predict(test.x) / FOLDS
    chosen = {"keep": means[0], "retrain": means[1], "mix": (means[0] + means[1]) / 2}
    return Trained(held[0], held[1], chosen)


def compare(metric: Metric, trained: Trained, old: Part, new: Part) -> dict[RowSet, Evidence | None]:
    """Both versions on old rows, on new rows, and on all."""
    sets: dict[RowSet, slice] = {"train": slice(0, 1), "released": slice(1, 2), "pooled": slice(0, 2)}
    found: dict[RowSet, Evidence | None] = {}
    for row_set, taken in sets.items():
        parts = (old, new)[taken]
        y, unit = np.concatenate([part.y for part in parts]), np.concatenate([part.group for part in parts])
        units = _units(unit)
        sides = [metric.scores(y, np.concatenate(side[taken]), units) for side in (trained.old, trained.new)]
        versions = Versions(sides[0], sides[1], row_set, metric.guess(y), metric.perfect)
        found[row_set] = compare_versions(row_set, versions, greater_is_better=metric.greater)
    return found


def labelled(part: Part, frozen: Numbers, retrained: Numbers) -> Labelled:
    """Labels beside both versions' chances."""
    tables = (pd.DataFrame({"label": values}) for values in (part.y, frozen, retrained))
    return Labelled(*tables, group=pd.Series(part.group))


def likeness(old: Part, new: Part, test: Part) -> Likeness:
    """By the columns; of images by a few measures that no label went into."""
    frames = []
    for name, part in (("old", old), ("new", new), ("test", test)):
        x, group = part.x[:LOOKED_AT], part.group[:LOOKED_AT]
        if x.ndim == 3:
            rough = np.abs(np.diff(x, axis=1)).mean(axis=(1, 2)), np.abs(np.diff(x, axis=2)).mean(axis=(1, 2))
            x = np.column_stack([x.mean(axis=(1, 2)), x.std(axis=(1, 2)), x.max(axis=(1, 2)), *rough])
        keys = pd.Index([f"{name}{row}" for row in range(len(x))], name="id")
        frame = pd.DataFrame(x, keys).add_prefix("x").assign(group=[f"g{number}" for number in group])
        frames.append(frame)
    labelled_rows = pd.concat(frames[:2])
    return measure_likeness(
        Pair(("labelled", "test"), (labelled_rows, frames[2]), (), "group"), frames[1].index
    )


def choose(case: Case, answer: bool) -> dict[str, str]:
    """What each rule chooses."""
    train, pooled = case.evidence["train"], case.evidence["pooled"]
    assert train is not None
    assert pooled is not None
    sign = 1 if case.greater_is_better else -1
    auto: Decision = judge_case(case)
    return {
        "auto": auto.decision,
        "auto, answered": "keep" if auto.question and not answer else auto.decision,
        "always": judge_case(case, "always").decision,
        "never": judge_case(case, "never").decision,
        "mix": "mix",
        "cv": judge_case(case, "cv").decision,
        "pooled": "retrain" if pooled.difference >= 0 else "keep",
        "naive": "retrain" if sign * (pooled.new - train.old) >= 0 else "keep",
    }


@dataclass(frozen=True)
class Line:
    """The regret of one rule, for one model by one metric, and the alarms that rang."""

    world: str
    seed: int
    model: str
    rule: str
    regret: float
    alarms: tuple[str, ...]


def play(world: str, seed: int) -> Iterator[Line]:
    """One world, once."""
    old, new, test = draw(world, seed)
    alike = likeness(old, new, test)
    for name, fit in (IMAGE_MODELS if WORLDS[world].images else MODELS).items():
        trained = train(fit, old, new, test)
        parts = [
            labelled(part, trained.old[place], trained.new[place]) for place, part in enumerate((old, new))
        ]
        shares = compare_shares(*parts)
        for metric_name, metric in METRICS.items():
            evidence = compare(metric, trained, old, new)
            case = Case(metric_name, metric.greater, evidence, {}, alike, rank_gap(*parts), shares)
            scores = {what: metric.score(test.y, p) for what, p in trained.test.items()}
            rang = tuple(alarm.kind for alarm in judge_case(case).alarms)
            for rule, chosen in choose(case, WORLDS[world].answer).items():
                regret = 1000 * (max(scores.values()) - scores[chosen])
                yield Line(world, seed, name, rule, regret, rang)


def report(lines: list[Line]) -> None:
    """The table of worlds and rules, and what the rules differ by."""
    table = pd.DataFrame(lines)
    rules = list(dict.fromkeys(table["rule"]))
    by_world = table.pivot_table(index="world", columns="rule", values="regret", sort=False)[rules]
    own = table[table["rule"] == "auto"]
    rang: dict[str, list[str]] = defaultdict(list)
    for kind in ("noisy", "unlike", "convention"):
        shares = own["alarms"].map(lambda kinds, kind=kind: kind in kinds).groupby(own["world"]).mean()
        for world, share in shares.items():
            rang[str(world)] += [f"{kind} {share:.0%}"] if share >= 0.05 else []
    print(f"| world | {' | '.join(rules)} | alarms |\n|{'---|' * (len(rules) + 2)}")
    for world, row in by_world.iterrows():
        print(f"| {world} | {' | '.join(f'{value:.1f}' for value in row)} | {', '.join(rang[str(world)])} |")
    for what, row in (("mean", by_world.mean()), ("worst world", by_world.max())):
        print(f"| **{what}** | {' | '.join(f'{value:.1f}' for value in row)} | |")
    runs = table.pivot_table(index="seed", columns="rule", values="regret")
    print("\nDifference from always, paired by seed:")
    for rule in rules:
        gap = runs[rule] - runs["always"]
        print(f"  {rule}: {gap.mean():+.2f} ± {gap.std(ddof=1) / np.sqrt(len(gap)):.2f}")
    models = table.pivot_table(index="model", columns="rule", values="regret", sort=False)
    print("\nalways -> auto by model: " + ", ".join(
        f"{name} {row['always']:.1f} -> {row['auto']:.1f}" for name, row in models.iterrows()
    ))  # fmt: skip


def main() -> None:
    """Play every world with as many seeds as are asked for, for at most the seconds that are."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    most = float(sys.argv[2]) if len(sys.argv) > 2 else float("inf")
    began, lines, played = time.monotonic(), [], 0
    with threadpool_limits(1):
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            if time.monotonic() - began > most:
                break
            lines += [line for world in WORLDS for line in play(world, seed)]
            played += 1
    print(f"{len(WORLDS)} worlds, {played} seeds, {time.monotonic() - began:.0f} s; regret x 1000\n")
    report(lines)


if __name__ == "__main__":
    main()
