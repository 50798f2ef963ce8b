"""Score sets of labels, told as columns of 0 and 1 or as lists in one column, with Kaggle's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kagkit.foundation.errors import DataError, Problem, did_you_mean
from kagkit.metrics.alignment import BINARY, match_numbers, match_tables
from kagkit.metrics.classes import split_labels
from kagkit.metrics.perrow import table_by_id
from kagkit.metrics.refusals import refuse, refuse_argument

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

AXES: dict[str, int | None] = {"samples": 1, "macro": 0, "micro": None}


def fbeta(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    beta: float = 1.0,
    average: str = "samples",
    labels: Sequence[object] | None = None,
) -> float:
    """F-beta of sets of labels, from 0 to 1: precision and recall, recall counting beta times as much.

    It is (1 + beta²) TP / ((1 + beta²) TP + beta² FN + FP), and 0 where none of them is, as in scikit-learn.

    Args:
        solution: A column of 0 and 1 per label; or one column with the labels of each row, spaces between
            them and an empty cell where there are none.
        submission: The same columns, predicted.
        row_id_column_name: The id column of both.
        beta: How much recall counts; 2 makes F2.
        average: `samples`, the mean over rows; `macro`, over labels; `micro`, of all rows and labels at once.
        labels: Every label there is, for lists; those of both tables by default. Only `macro` depends on it.

    Raises:
        ManifestError: There is no such average, or `beta` is not above 0.
        SubmissionError: The tables do not match, a cell is neither 0 nor 1, or a label is not declared or
            comes twice in a cell.

    References:
        C. J. van Rijsbergen, "Information Retrieval" (1979), chapter 7.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "attribute_ids": ["3 7", "5"]})
        >>> round(fbeta(solution, solution.assign(attribute_ids=["3", "5 7"]), "id", beta=2), 4)
        0.6944
    """
    import numpy as np

    if average not in AXES:
        refuse_argument("fbeta", "average", average, hint=did_you_mean(average, list(AXES)))
    truth, guess = _match_flags(solution, submission, row_id_column_name, labels)
    return float(np.mean(_fbeta(truth, guess, beta, AXES[average])))


def fbeta_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    beta: float = 1.0,
    average: str = "samples",
    labels: Sequence[object] | None = None,
) -> pd.DataFrame:
    """What each row adds to `fbeta` over samples: its own, by id, in the column `fbeta`.

    Raises:
        ManifestError: The average is another one, which is no mean over rows, or `beta` is not above 0.
        SubmissionError: As `fbeta`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "p": [1, 0], "q": [1, 1]})
        >>> fbeta_rows(solution, solution.assign(p=0), "id")["fbeta"].round(4).tolist()
        [0.6667, 1.0]
    """
    if average != "samples":
        refuse_argument("fbeta_rows", "average", average, "samples, the only mean over rows")
    truth, guess = _match_flags(solution, submission, row_id_column_name, labels)
    values = _fbeta(truth, guess, beta, AXES["samples"])
    return table_by_id(values[:, None], solution, row_id_column_name, ["fbeta"])


def _fbeta(truth: Flags, guess: Flags, beta: float, axis: int | None) -> NDArray[np.float64]:
    import numpy as np

    if not 0 < beta < np.inf:
        refuse_argument("fbeta", "beta", beta, "a number above 0")
    hits = np.asarray((truth & guess).sum(axis=axis), dtype=float)
    weighed = np.asarray(beta**2 * truth.sum(axis=axis) + guess.sum(axis=axis))
    result = np.zeros_like(hits)
    np.divide((1 + beta**2) * hits, weighed, out=result, where=weighed > 0)
    return result


def _match_flags(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, labels: Sequence[object] | None
) -> tuple[Flags, Flags]:
    """Which row has which label, true and predicted: two arrays (n_rows, n_labels)."""
    if len(solution.columns) > 2:
        truth, guess = match_numbers(solution, submission, row_id, BINARY, BINARY)
        return truth == 1, guess == 1
    import numpy as np

    from kagkit.formats.labels import to_indicators

    tables = match_tables(solution, submission, row_id, blank=True)
    cells = [table.iloc[:, 0] for table in tables]
    known = sorted({word for column in cells for words in split_labels(column) for word in words})
    if not known and labels is None:
        return np.zeros((len(cells[0]), 1), dtype=bool), np.zeros((len(cells[1]), 1), dtype=bool)
    flags: list[Flags] = []
    problems: list[Problem] = []
    for name, column in zip(("solution", "submission"), cells, strict=True):
        try:
            told = column.rename(f"{name}, column {column.name}")
            flags.append(to_indicators(told, known if labels is None else labels).to_numpy())
        except DataError as error:
            problems += error.problems
    refuse(problems)
    return flags[0], flags[1]
