"""Turn predictions into labels for a submission: by thresholds, by wanted shares, by cut points, one to one.

Each function is one for `submission: {make: ...}`: from predictions and rows by key to a table by key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.formats.labels import to_cells
from kagkit.foundation.errors import ManifestError, Problem, RunError, did_you_mean, samples
from kagkit.metrics.fitting import row_by_row
from kagkit.metrics.ranges import Range

PerColumn = float | Mapping[str, float]


@row_by_row
def threshold_labels(
    predictions: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    at: Annotated[PerColumn, Range(0, 1)] = 0.5,
    least: int = 0,
    most: int | None = None,
    into: str | None = None,
) -> pd.DataFrame:
    """Give each row the labels whose probability reaches the threshold.

    Args:
        predictions: A column of probabilities per label.
        rows: The rows to label.
        at: One threshold for all labels, or one for each by its column.
        least: How many labels a row has at least: of too few, the likeliest are added.
        most: How many labels a row has at most; any number by default.
        into: The column for the labels of a row, by name with spaces between them; by default 0 and 1 in a
            column per label.

    Raises:
        ManifestError: A threshold is missing or for no column.

    References:
        One threshold per group of labels, with a least and a most number of them: the first place of
        iMet Collection 2019 (Kaggle).

    Example:
        >>> given = pd.DataFrame({"cat": [0.75, 0.25], "dog": [0.5, 0.125]}, index=["a", "b"])
        >>> at = {"cat": 0.7, "dog": 0.6}
        >>> threshold_labels(given, given, at=at, least=1, into="Target")["Target"].tolist()
        ['cat', 'cat']
    """
    given = predictions.loc[rows.index]
    values = given.to_numpy(np.float64)
    chosen = values >= _per_column(given, at, "at")
    # The likeliest label has rank 0; of equals the first column comes first.
    ranks = np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1)
    chosen |= ranks < least
    if most is not None:
        chosen &= ranks < most
    return _labelled(chosen, given, into)


def match_shares(
    predictions: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    share: Annotated[PerColumn, Range(0, 1)],
    into: str | None = None,
) -> pd.DataFrame:
    """Label the likeliest rows, so many that the share of rows with a label is the wanted one.

    Rows with the same probability are labelled alike; of the two possible shares the nearer one is taken.

    Args:
        predictions: A column of scores per label, in any unit.
        rows: The rows to label.
        share: The wanted share of rows, for all labels or for each by its column.
        into: As in `threshold_labels`.

    Raises:
        ManifestError: A share is missing, for no column, or not from 0 to 1.

    Example:
        >>> given = pd.DataFrame({"y": [0.1, 0.4, 0.2, 0.3]}, index=list("abcd"))
        >>> match_shares(given, given, share=0.5)["y"].tolist()
        [0, 1, 0, 1]
    """
    given = predictions.loc[rows.index]
    chosen = np.zeros(given.shape, np.bool_)
    for place, wanted in enumerate(_shares(given, share)):
        values = given.iloc[:, place].to_numpy(np.float64)
        levels, counts = np.unique(values, return_counts=True)
        above = np.append(np.cumsum(counts[::-1])[::-1], 0)  # rows at each level or higher; none
        level = int(np.argmin(np.abs(above - wanted * len(values))))
        chosen[:, place] = values >= np.append(levels, np.inf)[level]
    return _labelled(chosen, given, into)


def sharpen_shares(
    predictions: pd.DataFrame, rows: pd.DataFrame, *, share: Annotated[PerColumn, Range(0.01, 0.99)]
) -> pd.DataFrame:
    """Raise probabilities to the power that makes their mean the wanted share; their order stays.

    Args:
        predictions: A column of probabilities per label.
        rows: The rows to predict.
        share: The wanted mean, for all columns or for each by its name.

    Raises:
        ManifestError: A share is missing, for no column, or not between 0 and 1.
        RunError: No power gives the share: probabilities are outside [0, 1], or too many are 0 or 1.

    Example:
        >>> given = pd.DataFrame({"y": [0.5, 0.5]}, index=["a", "b"])
        >>> sharpen_shares(given, given, share=0.25)["y"].round(6).tolist()
        [0.25, 0.25]
    """
    given = predictions.loc[rows.index]
    wanted = _shares(given, share)
    columns = [
        _sharpen(given.iloc[:, place].to_numpy(np.float64), each, str(given.columns[place]))
        for place, each in enumerate(wanted)
    ]
    return pd.DataFrame(np.column_stack(columns), index=given.index, columns=given.columns)


@row_by_row
def cut_ratings(
    predictions: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    cuts: Annotated[Sequence[float], Range()],
    first: int = 0,
    into: str | None = None,
) -> pd.DataFrame:
    """Turn a number into a rating: as many steps above the first as there are cut points it reaches.

    Args:
        predictions: One column of numbers.
        rows: The rows to rate.
        cuts: The cut points, in any order: one fewer than there are ratings.
        first: The lowest rating.
        into: The column for the ratings; the one of the predictions by default.

    Raises:
        RunError: There are several columns of predictions.

    References:
        Cut points fitted for quadratic weighted kappa: A. Sadekar's OptimizedRounder, PetFinder.my Adoption
        Prediction (Kaggle, 2019).

    Example:
        >>> given = pd.DataFrame({"grade": [0.2, 1.7, 2.9]}, index=list("abc"))
        >>> cut_ratings(given, given, cuts=[0.5, 1.5, 2.5])["grade"].tolist()
        [0, 2, 3]
    """
    given = predictions.loc[rows.index]
    if given.shape[1] != 1:
        found = f"columns {samples(list(given.columns))}"
        raise RunError(
            "predictions cannot be cut into ratings", [Problem("predictions", found, "one column")]
        )
    ratings = first + np.searchsorted(np.sort(np.asarray(cuts, np.float64)), given.iloc[:, 0], side="right")
    return pd.DataFrame({into or given.columns[0]: ratings}, index=given.index)


def assign_once(predictions: pd.DataFrame, rows: pd.DataFrame, *, group: str, into: str) -> pd.DataFrame:
    """Give each row of a group another label, so that the sum of their scores is largest.

    Args:
        predictions: A column of scores per label.
        rows: The rows to label.
        group: The column of the rows, or of their key, whose equal values make a group.
        into: The column for the labels.

    Raises:
        ManifestError: There is no such column.
        RunError: A group has more rows than there are labels.

    References:
        H. W. Kuhn, "The Hungarian method for the assignment problem", 1955; solved by
        scipy.optimize.linear_sum_assignment.

    Example:
        >>> given = pd.DataFrame({"V1": [0.9, 0.8], "V2": [0.7, 0.1]}, index=["a", "b"])
        >>> rows = pd.DataFrame({"frame": 1}, given.index)
        >>> assign_once(given, rows, group="frame", into="who")["who"].tolist()
        ['V2', 'V1']
    """
    from scipy.optimize import linear_sum_assignment

    known = {str(name): rows.index.get_level_values(level) for level, name in enumerate(rows.index.names)}
    known |= {str(name): pd.Index(column) for name, column in rows.items()}
    if group not in known:
        hint = did_you_mean(group, list(known))
        raise ManifestError("rows cannot be assigned", [Problem("group", f"no column {group}", hint=hint)])
    given = predictions.loc[rows.index]
    values, names = given.to_numpy(np.float64), given.columns.to_numpy()
    numbers, groups = pd.factorize(known[group], use_na_sentinel=False)
    places = dict(
        zip(
            groups,
            np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1]),
            strict=True,
        )
    )
    crowded = [str(name) for name, members in places.items() if len(members) > len(names)]
    if crowded:
        found = f"more rows than the {len(names)} labels in {samples(crowded)}"
        raise RunError("rows cannot be assigned one to one", [Problem(group, found)])
    labels = np.empty(len(given), object)
    for members in places.values():
        picked, columns = linear_sum_assignment(values[members], maximize=True)
        labels[members[picked]] = names[columns]
    return pd.DataFrame({into: labels.astype("str")}, index=given.index)


def _per_column(given: pd.DataFrame, wanted: PerColumn, where: str) -> NDArray[np.float64]:
    """A number for each column."""
    columns = list(map(str, given.columns))
    if not isinstance(wanted, Mapping):
        return np.full(len(columns), float(wanted))
    told = {str(name): float(value) for name, value in wanted.items()}
    problems = [
        Problem(f"{where}.{name}", "no such column", hint=did_you_mean(name, columns))
        for name in told
        if name not in columns
    ]
    if lacking := [column for column in columns if column not in told]:
        problems.append(Problem(where, f"nothing for {samples(lacking)}"))
    if problems:
        raise ManifestError("labels cannot be made", problems)
    return np.array([told[column] for column in columns])


def _shares(given: pd.DataFrame, share: PerColumn) -> NDArray[np.float64]:
    shares = _per_column(given, share, "share")
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ManifestError("labels cannot be made", [Problem("share", f"{share}", "numbers from 0 to 1")])
    return shares


def _sharpen(values: NDArray[np.float64], share: float, column: str) -> NDArray[np.float64]:
    """The values to the power that makes their mean the share: the mean falls as the power rises."""
    low, high = -20.0, 20.0  # logarithms of the power, base 2
    between = (values > 0) & (values < 1)
    ends = float((values > 0).mean()), float((values == 1).mean())
    if ((values < 0) | (values > 1)).any() or not (between.any() and ends[1] < share < ends[0]):
        found = f"values from {values.min():g} to {values.max():g}, wanted mean {share:g}"
        raise RunError("no power gives the wanted share", [Problem(column, found, "probabilities between")])
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float((values ** (2.0**middle)).mean()) > share else (low, middle)
    sharpened: NDArray[np.float64] = values ** (2.0 ** ((low + high) / 2))
    return sharpened


def _labelled(chosen: NDArray[np.bool_], given: pd.DataFrame, into: str | None) -> pd.DataFrame:
    table = pd.DataFrame(chosen, index=given.index, columns=list(map(str, given.columns)))
    if into is None:
        return table.astype("int64").set_axis(given.columns, axis=1)
    cells: pd.Series[Any] = to_cells(table, list(table.columns))
    return pd.DataFrame({into: cells.to_numpy()}, index=given.index)
