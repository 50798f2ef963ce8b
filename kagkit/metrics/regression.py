"""Score predicted values by their errors or their order, with Kaggle's signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import Problem
from kagkit.metrics.alignment import NOT_NEGATIVE, NUMBER, match_numbers
from kagkit.metrics.perrow import table_by_id
from kagkit.metrics.refusals import refuse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def mae(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """The mean absolute error, in the target's unit; over several columns the mean of theirs.

    Args:
        solution: One or more columns of numbers.
        submission: The same columns, predicted.
        row_id_column_name: The id column of both.

    Raises:
        SubmissionError: The tables do not match, or a cell is not a finite number.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "y": [1.0, 5.0]})
        >>> mae(solution, solution.assign(y=[2.0, 2.0]), "id")
        2.0
    """
    from sklearn.metrics import mean_absolute_error

    truth, guess = match_numbers(solution, submission, row_id_column_name, NUMBER, NUMBER)
    return float(mean_absolute_error(truth, guess))


def mae_rows(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> pd.DataFrame:
    """What each row adds to `mae`: its absolute errors, by id, a column per target.

    Raises:
        SubmissionError: As `mae`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "y": [1.0, 5.0]})
        >>> mae_rows(solution, solution.assign(y=[2.0, 2.0]), "id")["y"].tolist()
        [1.0, 3.0]
    """
    import numpy as np

    truth, guess = match_numbers(solution, submission, row_id_column_name, NUMBER, NUMBER)
    return table_by_id(np.abs(truth - guess), solution, row_id_column_name)


def rmse(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """The root of the mean squared error, in the target's unit; over several columns the mean of theirs.

    Args:
        solution: One or more columns of numbers.
        submission: The same columns, predicted.
        row_id_column_name: The id column of both.

    Raises:
        SubmissionError: The tables do not match, or a cell is not a finite number.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "y": [1.0, 5.0]})
        >>> rmse(solution, solution.assign(y=[2.0, 12.0]), "id")
        5.0
    """
    from sklearn.metrics import root_mean_squared_error

    truth, guess = match_numbers(solution, submission, row_id_column_name, NUMBER, NUMBER)
    return float(root_mean_squared_error(truth, guess))


def rmse_rows(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> pd.DataFrame:
    """What each row adds to `rmse`: its squared errors, by id, a column per target.

    The score is the mean over the columns of the roots of their means.

    Raises:
        SubmissionError: As `rmse`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "y": [1.0, 5.0]})
        >>> rmse_rows(solution, solution.assign(y=[2.0, 2.0]), "id")["y"].tolist()
        [1.0, 9.0]
    """
    truth, guess = match_numbers(solution, submission, row_id_column_name, NUMBER, NUMBER)
    return table_by_id((truth - guess) ** 2, solution, row_id_column_name)


def mcrmse(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """The mean over the columns of their root mean squared errors: `rmse` as Kaggle calls it there.

    Args:
        solution: Two or more columns of numbers.
        submission: The same columns, predicted.
        row_id_column_name: The id column of both.

    Raises:
        SubmissionError: The tables do not match, or a cell is not a finite number.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "p": [0.0, 0.0], "q": [1.0, 1.0]})
        >>> mcrmse(solution, solution.assign(p=[3.0, 3.0]), "id")
        1.5
    """
    return rmse(solution, submission, row_id_column_name)


def rmsle(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """The root of the mean squared difference of ln(1 + value); over several columns the mean of theirs.

    Args:
        solution: One or more columns of numbers, 0 or more.
        submission: The same columns, predicted.
        row_id_column_name: The id column of both.

    Raises:
        SubmissionError: The tables do not match, or a cell is not a finite number of 0 or more.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1], "y": [0.0]})
        >>> round(rmsle(solution, solution.assign(y=[1.0]), "id"), 4)
        0.6931
    """
    from sklearn.metrics import root_mean_squared_log_error

    truth, guess = match_numbers(solution, submission, row_id_column_name, NOT_NEGATIVE, NOT_NEGATIVE)
    return float(root_mean_squared_log_error(truth, guess))


def rmsle_rows(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> pd.DataFrame:
    """What each row adds to `rmsle`: its squared differences of ln(1 + value), by id, a column per target.

    The score is the mean over the columns of the roots of their means.

    Raises:
        SubmissionError: As `rmsle`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "y": [1.0, 5.0]})
        >>> rmsle_rows(solution, solution.assign(y=[2.0, 2.0]), "id")["y"].round(4).tolist()
        [0.1644, 0.4805]
    """
    import numpy as np

    truth, guess = match_numbers(solution, submission, row_id_column_name, NOT_NEGATIVE, NOT_NEGATIVE)
    return table_by_id((np.log1p(truth) - np.log1p(guess)) ** 2, solution, row_id_column_name)


def r2(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """The share of the target's variance that is explained, at most 1; over several columns the mean.

    Args:
        solution: One or more columns of numbers.
        submission: The same columns, predicted.
        row_id_column_name: The id column of both.

    Raises:
        SubmissionError: The tables do not match, a cell is not a finite number, or a column of the solution
            has one value alone.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2, 3], "y": [1.0, 2.0, 3.0]})
        >>> r2(solution, solution.assign(y=[1.0, 2.0, 2.0]), "id")
        0.5
    """
    from sklearn.metrics import r2_score

    truth, guess = match_numbers(solution, submission, row_id_column_name, NUMBER, NUMBER)
    refuse(_constant("solution", truth, solution, row_id_column_name))
    return float(r2_score(truth, guess))


def spearman(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """The correlation of ranks, from -1 to 1, ties sharing their mean rank; over several columns the mean.

    Args:
        solution: One or more columns of numbers.
        submission: The same columns with values in any unit.
        row_id_column_name: The id column of both.

    Raises:
        SubmissionError: The tables do not match, a cell is not a finite number, or a column of either has
            one value alone, which has no ranks.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2, 3], "y": [1.0, 2.0, 3.0]})
        >>> round(spearman(solution, solution.assign(y=[10.0, 30.0, 20.0]), "id"), 4)
        0.5
    """
    import numpy as np
    import pandas as pd

    truth, guess = match_numbers(solution, submission, row_id_column_name, NUMBER, NUMBER)
    refuse(
        _constant("solution", truth, solution, row_id_column_name)
        + _constant("submission", guess, solution, row_id_column_name)
    )
    ranks = zip(*(pd.DataFrame(values).rank().to_numpy().T for values in (truth, guess)), strict=True)
    return float(np.mean([np.corrcoef(*pair)[0, 1] for pair in ranks]))


def _constant(name: str, values: NDArray[np.float64], solution: pd.DataFrame, row_id: str) -> list[Problem]:
    columns: list[Any] = [column for column in solution if column != row_id]
    return [
        Problem(f"{name}, column {column}", f"every row is {cells[0]:g}", "two values or more")
        for column, cells in zip(columns, values.T, strict=True)
        if (cells == cells[0]).all()
    ]
