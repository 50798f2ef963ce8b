"""Score predicted quantiles and spreads, with Kaggle's signature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kagkit.foundation.errors import Problem, samples
from kagkit.metrics.alignment import NUMBER, match_numbers
from kagkit.metrics.perrow import table_by_id
from kagkit.metrics.refusals import refuse, refuse_argument

if TYPE_CHECKING:
    import pandas as pd


def pinball(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    quantile: float | Mapping[str, float] = 0.5,
) -> float:
    """The mean pinball loss of predicted quantiles, 0 or more, in the target's unit.

    A value y and its predicted q-quantile z lose q (y - z) where y is above, (1 - q) (z - y) where below.

    Args:
        solution: One or more columns of numbers; with several quantiles, one column of values or the values
            in every quantile's column.
        submission: The same columns, predicted; or a column per quantile.
        row_id_column_name: The id column of both.
        quantile: Which quantile is predicted, between 0 and 1; or that of each column of the submission.

    Raises:
        ManifestError: A quantile is not between 0 and 1.
        SubmissionError: The tables do not match, or a cell is not a finite number.

    References:
        R. Koenker, G. Bassett, "Regression Quantiles", Econometrica 46 (1978), 33-50.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "y": [10.0, 20.0]})
        >>> submission = pd.DataFrame({"id": [1, 2], "low": [9.0, 21.0], "high": [12.0, 22.0]})
        >>> round(pinball(solution, submission, "id", quantile={"low": 0.1, "high": 0.9}), 4)
        0.35
    """
    table = pinball_rows(solution, submission, row_id_column_name, quantile=quantile)
    return float(table.to_numpy().mean())


def pinball_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    quantile: float | Mapping[str, float] = 0.5,
) -> pd.DataFrame:
    """What each row adds to `pinball`: its losses, by id, a column per target or quantile.

    Raises:
        ManifestError: As `pinball`.
        SubmissionError: As `pinball`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "y": [10.0, 20.0]})
        >>> pinball_rows(solution, solution.assign(y=15.0), "id", quantile=0.9)["y"].round(4).tolist()
        [0.5, 4.5]
    """
    import numpy as np

    if isinstance(quantile, Mapping):
        solution = _spread_values(solution, row_id_column_name, quantile)
    columns = [str(column) for column in solution if column != row_id_column_name]
    named = quantile if isinstance(quantile, Mapping) else dict.fromkeys(columns, quantile)
    if wrong := {name: level for name, level in named.items() if not 0 < level < 1}:
        refuse_argument("pinball", "quantile", samples(list(wrong.values())), "numbers between 0 and 1")
    if strangers := set(columns) ^ set(named):
        refuse_argument("pinball", "quantile", samples(sorted(strangers)), "a quantile for every column")
    truth, guess = match_numbers(solution, submission, row_id_column_name, NUMBER, NUMBER)
    levels = np.array([named[column] for column in columns])
    above = truth - guess
    return table_by_id(np.maximum(levels * above, (levels - 1) * above), solution, row_id_column_name)


def _spread_values(solution: pd.DataFrame, row_id: str, quantile: Mapping[str, float]) -> pd.DataFrame:
    """The solution with its values in every quantile's column, where they stand in one of another name."""
    targets = [column for column in solution if column != row_id]
    if len(targets) != 1 or targets[0] in quantile or row_id not in solution:
        return solution
    return solution[[row_id]].assign(**dict.fromkeys(quantile, solution[targets[0]]))


def laplace_log_likelihood(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    sigma: str = "Confidence",
    min_sigma: float = 70.0,
    max_error: float = 1000.0,
) -> float:
    """The mean log likelihood under Laplace distributions of predicted centre and spread; higher is better.

    With s = max(sigma, min_sigma) and d = min(|y - z|, max_error), a row has -sqrt(2) d / s - ln(sqrt(2) s).

    Args:
        solution: One column of values; a column named `sigma` in it is not looked at.
        submission: The same column, predicted, and their standard deviations in the column `sigma`.
        row_id_column_name: The id column of both.
        sigma: The column of standard deviations, in the target's unit.
        min_sigma: A smaller standard deviation counts as this one.
        max_error: A larger error counts as this one.

    Raises:
        ManifestError: A bound is not above 0.
        SubmissionError: The tables do not match, or a cell is not a finite number.

    References:
        Kaggle, "OSIC Pulmonary Fibrosis Progression" (2020), Evaluation: 70 ml and 1000 ml.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"Patient_Week": ["a_1"], "FVC": [2500]})
        >>> submission = pd.DataFrame({"Patient_Week": ["a_1"], "FVC": [2400], "Confidence": [200]})
        >>> round(laplace_log_likelihood(solution, submission, "Patient_Week"), 4)
        -6.352
    """
    table = laplace_log_likelihood_rows(
        solution, submission, row_id_column_name, sigma=sigma, min_sigma=min_sigma, max_error=max_error
    )
    return float(table.to_numpy().mean())


def laplace_log_likelihood_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    sigma: str = "Confidence",
    min_sigma: float = 70.0,
    max_error: float = 1000.0,
) -> pd.DataFrame:
    """What each row adds to `laplace_log_likelihood`: its log likelihood, by id, in the target's column.

    Raises:
        ManifestError: As `laplace_log_likelihood`.
        SubmissionError: As `laplace_log_likelihood`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1], "FVC": [2500]})
        >>> submission = solution.assign(FVC=2500, Confidence=5)
        >>> laplace_log_likelihood_rows(solution, submission, "id")["FVC"].round(4).tolist()
        [-4.5951]
    """
    import numpy as np

    for name, bound in (("min_sigma", min_sigma), ("max_error", max_error)):
        if not 0 < bound < math.inf:
            refuse_argument("laplace_log_likelihood", name, bound, "a number above 0")
    spread = solution.assign(**{sigma: 0.0})
    truth, guess = match_numbers(spread, submission, row_id_column_name, NUMBER, NUMBER)
    place = [column for column in spread if column != row_id_column_name].index(sigma)
    values = np.delete(np.arange(truth.shape[1]), place)
    if len(values) != 1:
        refuse([Problem("solution", f"{len(values)} columns of values", "one")])
    clipped = guess[:, [place]].clip(min_sigma, None)
    errors = np.abs(truth - guess)[:, values].clip(None, max_error)
    likelihoods = -math.sqrt(2) * errors / clipped - np.log(math.sqrt(2) * clipped)
    return table_by_id(likelihoods, solution.drop(columns=sigma, errors="ignore"), row_id_column_name)
