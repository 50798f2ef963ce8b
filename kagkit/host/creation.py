"""Make a competition from labelled tables: hide the labels, mark public rows by seed, write host.yaml."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.data.rows import is_categorical
from kagkit.data.tables import read_table
from kagkit.foundation.component import local_file, split_reference
from kagkit.foundation.errors import DataError, ManifestError, Problem, did_you_mean, samples
from kagkit.foundation.files import write_file
from kagkit.foundation.seeds import draws
from kagkit.foundation.strictyaml import dump_yaml
from kagkit.host.accounts import digest_key, new_key
from kagkit.host.solutions import USAGE
from kagkit.host.terms import FILE, SLUG, read_terms
from kagkit.metrics import TAKES

if TYPE_CHECKING:
    import pandas as pd

GREATER = {
    "accuracy": True,
    "f1": True,
    "quadratic_weighted_kappa": True,
    "auc": True,
    "log_loss": False,
    "mae": False,
    "rmse": False,
    "rmsle": False,
}
LISTED_LABELS = 100


@dataclass(frozen=True)
class Plan:
    """What a new competition is made from.

    Attributes:
        train: The training table, which participants get as it is.
        solution: The labelled test table: participants get it without its targets.
        second_stage: The labelled test table of a second stage; None where there is one stage.
        metric: One of kagkit's, `auc`, or `module:function` of a file in the current folder.
        public_share: The share of the test rows behind the public leaderboard, between 0 and 1.
        key: The columns that name a row; the first column where none is named.
        target: The columns to predict; the last column where none is named.
        greater_is_better: The direction; only kagkit's own metrics bring theirs.
        daily_limit: Submissions a team may make in a day.
        seed: What the public rows are drawn by.
        participants: User names, each with a key of their own.
        title: The name for people; the folder's where not named.
    """

    train: Path
    solution: Path
    metric: str
    public_share: float
    second_stage: Path | None = None
    key: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    greater_is_better: bool | None = None
    daily_limit: int = 5
    seed: int = 0
    participants: tuple[str, ...] = ("participant",)
    title: str = ""

    @property
    def solutions(self) -> dict[str, Path]:
        """The labelled test table of each stage."""
        return {"1": self.solution} | ({} if self.second_stage is None else {"2": self.second_stage})


@dataclass(frozen=True)
class Made:
    """What was made.

    Attributes:
        key: The columns that name a row.
        target: The columns to predict.
        train_rows: How many training rows there are.
        test_rows: For each stage, how many test rows are `public` and `private`.
        stratified: Whether the classes of the target are spread evenly over both.
        keys: The participants' keys, told this once and kept nowhere.
    """

    key: tuple[str, ...]
    target: tuple[str, ...]
    train_rows: int
    test_rows: dict[str, dict[str, int]]
    stratified: bool
    keys: dict[str, str]


def make_competition(root: Path, plan: Plan) -> Made:
    """Write host.yaml, the files on offer and the hidden solutions into a new folder.

    Args:
        root: The folder, empty or not there yet; its name becomes the competition's.
        plan: What to make it from.

    Raises:
        ManifestError: The folder is in use, or the plan cannot be carried out: every problem at once.
        DataError: A table cannot be read or used.
    """
    _refuse_unusable(root, plan)
    train = _read_exactly(plan.train)
    truths = {number: _read_exactly(path) for number, path in plan.solutions.items()}
    columns = list(truths["1"].columns)
    key, target = plan.key or (columns[0],), plan.target or (columns[-1],)
    options = ("--train", "--solution", "--second-stage")
    paths = (plan.train, *plan.solutions.values())
    named = [f"{option} {path.name}" for option, path in zip(options, paths, strict=False)]
    given = dict(zip(named, (train, *truths.values()), strict=True))
    _refuse_unfit(given, key, target, guessed=not plan.target)
    labels = read_table(plan.train, key)[list(target)]
    stratified = len(target) == 1 and is_categorical(labels[target[0]])
    tables, test_rows = {"files/train.csv": train}, {}
    for number, truth in truths.items():
        marks = mark_rows(truth, key, target if stratified else (), plan.public_share, plan.seed)
        places = _PLACES[number]
        sample = truth[list(key)].assign(**_placeholders(plan.metric, labels))
        tables[f"{places['files']}/test.csv"] = truth.drop(columns=list(target))
        tables[places["sample_submission"]] = sample
        tables[places["solution"]] = truth[[*key, *target]].assign(**{USAGE: marks})
        public = int((marks == "Public").sum())
        test_rows[number] = {"public": public, "private": len(marks) - public}
    for name, table in tables.items():
        write_file(root / name, table.to_csv(index=False, lineterminator="\n"))
    for places in (_PLACES[number] for number in truths):
        (root / places["solution"]).chmod(0o600)  # participants may work on this machine
    keys = {user: new_key() for user in plan.participants}
    _copy_metric(root, plan.metric)
    write_file(root / FILE, dump_yaml(_terms(root, plan, (key, target), labels, keys), _HEADER))
    write_file(root / ".gitignore", "state/\n")
    read_terms(root)
    return Made(key, target, len(train), test_rows, stratified, keys)


_PLACES = {
    "1": {
        "files": "files",
        "solution": "solution.csv",
        "sample_submission": "files/sample_submission.csv",
    },
    "2": {
        "files": "files2",
        "solution": "solution2.csv",
        "sample_submission": "files2/sample_submission.csv",
        "labels": "stage1_test_labels.csv",
    },
}
_HEADER = """What this competition's host offers, hides and allows: docs/host.md explains every key.
Participants see the folders under `files`, never the solution, nor this file."""


def mark_rows(
    solution: pd.DataFrame, key: tuple[str, ...], strata: tuple[str, ...], share: float, seed: int
) -> pd.Series[str]:
    """Mark each row Public or Private by a seeded draw from its key; its place in the table does not matter.

    Args:
        solution: The labelled rows, as text.
        key: The columns that name a row.
        strata: Columns whose values are spread evenly over both marks; none for a plain draw.
        share: The share of public rows, between 0 and 1, of each stratum.
        seed: The seed.

    Returns:
        (n_rows,) in the order of `solution`.

    Raises:
        DataError: So few rows that none would be public, or none private.
    """
    import pandas as pd

    order = pd.Series(draws(_names(solution, key), "public rows", seed), index=solution.index)
    groups = solution.groupby(list(strata), sort=True) if strata else [((), solution)]
    marks = pd.Series("Private", index=solution.index)
    owed = 0.0  # what rounding took from one class is given to the next, so that the whole share is right
    for _, rows in groups:
        owed += share * len(rows)
        count = round(owed)
        owed -= count
        marks[order[rows.index].sort_values().index[:count]] = "Public"
    if marks.nunique() < 2:
        found = f"{len(marks)} rows, a public share of {share}"
        raise DataError("the rows cannot be split", [Problem("--public-share", found, "rows of both kinds")])
    return marks


def _read_exactly(path: Path) -> pd.DataFrame:
    """A table whose cells are all text, as they are written."""
    return read_table(path, list(read_table(path).columns))


def _refuse_unusable(root: Path, plan: Plan) -> None:
    """Raise every problem of the plan that shows before the tables are read."""
    problems = []
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        hosted = (root / FILE).is_file()
        hint = f"serve it: kagkit host serve {os.path.relpath(root)}" if hosted else ""
        problems.append(Problem(root.name, "is there already", "a new or empty folder", hint))
    if not SLUG.fullmatch(root.name):
        hint = "the folder's name is the competition's"
        problems.append(Problem(root.name, "not an address", "small letters, digits and hyphens", hint))
    if not 0 < plan.public_share < 1:
        problems.append(Problem("--public-share", f"{plan.public_share}", "a share between 0 and 1"))
    if ":" not in plan.metric and plan.metric not in TAKES:
        problems.append(Problem("--metric", plan.metric, hint=did_you_mean(plan.metric, list(TAKES))))
    elif plan.greater_is_better is None and plan.metric not in GREATER:
        hint = "--greater-is-better or --lower-is-better"
        problems.append(Problem("--metric", f"{plan.metric} does not tell its direction", hint=hint))
    elif plan.metric in GREATER and plan.greater_is_better not in (None, GREATER[plan.metric]):
        better = "greater" if GREATER[plan.metric] else "lower"
        problems.append(Problem("--metric", f"{plan.metric}: the other direction", f"{better} is better"))
    if problems:
        raise ManifestError("the competition cannot be made", problems)


def _refuse_unfit(
    tables: dict[str, pd.DataFrame], key: tuple[str, ...], target: tuple[str, ...], *, guessed: bool
) -> None:
    """Raise every problem of the labelled tables, by the names of their files."""
    problems = []
    shown = ", ".join(target)
    hint = f"{shown} is taken as the target, as the last column; name another: --target" if guessed else ""
    seen: dict[str, str] = {}
    for name, table in tables.items():
        known = list(table.columns)
        lacking = [column for column in (*key, *target) if column not in known]
        problems += [Problem(name, f"no column {c}", hint=did_you_mean(c, known)) for c in lacking]
        if USAGE in known:
            problems.append(Problem(name, f"has a column {USAGE} already", hint="rename it"))
        if lacking:
            continue
        repeated = _names(table[table.duplicated(list(key))], key)
        if repeated:
            found = f"ids that come twice: {samples(repeated)}"
            problems.append(Problem(name, found, hint="--key COLUMN names the key"))
        if any(cells.eq("").any() for _, cells in table[list(target)].items()):
            problems.append(Problem(name, f"empty cells in {shown}", "a label in every row", hint))
        names = dict.fromkeys(_names(table, key), name)
        if shared := [row for row in names if row in seen]:
            problems.append(Problem(name, f"ids that {seen[shared[0]]} has too: {samples(shared)}"))
        seen |= names
    if set(key) & set(target):
        problems.append(Problem("--target", f"{shown} is the key too", "another column"))
    if problems:
        raise DataError("the competition cannot be made", problems)


def _names(table: pd.DataFrame, key: tuple[str, ...]) -> list[str]:
    """The keys of a table in its order, as text."""
    return ["_".join(cells) for cells in table[list(key)].itertuples(index=False)]


def _placeholders(metric: str, labels: pd.DataFrame) -> dict[str, Any]:
    """What the sample submission says everywhere: the most frequent label, a half, or the mean."""
    import pandas as pd

    values: dict[str, Any] = {}
    for name, column in labels.items():
        if TAKES.get(metric) == "probabilities":
            values[str(name)] = 0.5
        elif TAKES.get(metric) == "values" and pd.api.types.is_numeric_dtype(column):
            values[str(name)] = round(float(column.mean()), 5)
        else:
            values[str(name)] = column.mode().iloc[0]
    return values


def _copy_metric(root: Path, metric: str) -> None:
    """Take the user's own metric along, which is imported from the host's folder."""
    if ":" in metric and (file := local_file(Path.cwd(), split_reference(metric)[0])) is not None:
        write_file(root / file, Path(file).read_bytes())


def _terms(
    root: Path,
    plan: Plan,
    columns: tuple[tuple[str, ...], tuple[str, ...]],
    labels: pd.DataFrame,
    keys: dict[str, str],
) -> dict[str, Any]:
    """host.yaml as data."""
    metric: dict[str, Any] = {
        "score": plan.metric if ":" in plan.metric else f"kagkit.metrics:{plan.metric}",
        "greater_is_better": GREATER.get(plan.metric, plan.greater_is_better),
    }
    if TAKES.get(plan.metric) == "labels":
        # Without them a label would be unknown that only private rows have, which would tell something.
        known = sorted(labels.iloc[:, 0].dropna().unique().tolist())
        metric |= {"args": {"labels": known}} if len(known) <= LISTED_LABELS else {}
    key, target = columns
    return {
        "kagkit": 1,
        "competition": root.name,
        "title": plan.title or root.name,
        "metric": metric,
        "submission": {"key": list(key), "target": list(target)},
        "limits": {"daily": plan.daily_limit},
        "stages": {n: _PLACES[n] | {"files": [_PLACES[n]["files"]]} for n in plan.solutions},
        "participants": {user: {"key_sha256": digest_key(secret)} for user, secret in keys.items()},
    }
