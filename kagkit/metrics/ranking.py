"""Score ranked labels, several to a row with the likeliest first, with Kaggle's signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagkit.metrics.alignment import match_tables
from kagkit.metrics.classes import split_labels
from kagkit.metrics.perrow import table_by_id
from kagkit.metrics.refusals import refuse_argument

if TYPE_CHECKING:
    import pandas as pd


def map_at_k(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str, *, k: int = 5
) -> float:
    """The mean over rows of their average precision at k, from 0 to 1.

    A row's is the sum of the precisions at its right labels among the first k, over the smaller of k and
    the number of its true labels: 1 / rank where there is one. A label that comes again counts once. Labels
    after the first k count nothing, and a row without a true label scores 0.

    Args:
        solution: One column of true labels, spaces between several of one row, in any order.
        submission: The same column: labels with spaces between them, the likeliest first; or none.
        row_id_column_name: The id column of both.
        k: How many labels count.

    Raises:
        ManifestError: `k` is no whole number above 0.
        SubmissionError: The tables do not match.

    References:
        B. Hamner, `ml_metrics` (average_precision.apk), which Kaggle's hosts name.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "whale": ["w1", "w2 w3"]})
        >>> map_at_k(solution, solution.assign(whale=["w9 w1", "w3 w1 w2"]), "id")
        0.6666666666666666
    """
    return float(map_at_k_rows(solution, submission, row_id_column_name, k=k).to_numpy().mean())


def map_at_k_rows(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str, *, k: int = 5
) -> pd.DataFrame:
    """What each row adds to `map_at_k`: its average precision, by id, a column per target.

    Raises:
        ManifestError: `k` is no whole number above 0.
        SubmissionError: The tables do not match.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "whale": ["w1", "w2"]})
        >>> map_at_k_rows(solution, solution.assign(whale=["w9 w1", None]), "id")["whale"].tolist()
        [0.5, 0.0]
    """
    import numpy as np

    if not isinstance(k, int) or k < 1:
        refuse_argument("map_at_k", "k", k, "a whole number above 0")
    truth, guess = match_tables(solution, submission, row_id_column_name, blank=True)
    columns = [
        [
            _average_precision(true, ranked, k)
            for true, ranked in zip(split_labels(truth[name]), split_labels(guess[name]), strict=True)
        ]
        for name in truth
    ]
    return table_by_id(np.array(columns).T, solution, row_id_column_name)


def _average_precision(true: list[str], ranked: list[str], k: int) -> float:
    wanted = set(true)
    asked = min(len(wanted), k)
    hits, total = 0, 0.0
    for rank, label in enumerate(ranked[:k], 1):
        if label in wanted:
            wanted.remove(label)
            hits += 1
            total += hits / rank
    return total / asked if asked else 0.0
