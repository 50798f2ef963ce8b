"""Score labels, probabilities and values with Kaggle's signature, and refuse what cannot be scored.

Every function takes the solution and the submission in submission format: the column `row_id_column_name`
with the same ids once each in the same order, and the target columns. Which direction is better is for
users to declare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from kagkit.foundation.errors import ManifestError, Problem, did_you_mean, samples
from kagkit.metrics.alignment import (
    BINARY,
    BINARY_LABELS,
    NOT_NEGATIVE,
    NUMBER,
    PROBABILITY,
    match_numbers,
    refuse,
)
from kagkit.metrics.classes import match_labels, spread_labels

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

TAKES: dict[str, Literal["labels", "probabilities", "values"]] = {
    "accuracy": "labels",
    "f1": "labels",
    "quadratic_weighted_kappa": "labels",
    "log_loss": "probabilities",
    "auc": "probabilities",
    "mae": "values",
    "rmse": "values",
    "rmsle": "values",
}
F1_AVERAGES = ("binary", "macro", "micro", "weighted")


def accuracy(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    labels: Sequence[object] | None = None,
) -> float:
    """The share of rows with the right label, from 0 to 1.

    Args:
        solution: One column of labels, text or numbers.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        labels: Every label there is; those of the solution by default.

    Raises:
        SubmissionError: The tables do not match, or hold a label there is not.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2, 3, 4], "y": ["cat", "cat", "dog", "dog"]})
        >>> accuracy(solution, solution.assign(y=["cat", "dog", "dog", "dog"]), "id")
        0.75
    """
    found = match_labels(solution, submission, row_id_column_name, labels)
    return float((found.truth == found.guess).mean())


def f1(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    average: str = "binary",
    labels: Sequence[object] | None = None,
) -> float:
    """The harmonic mean of precision and recall, from 0 to 1; 0 for a class without a right row.

    Args:
        solution: One column of labels, text or numbers.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        average: `binary` for the rows labelled 1 (or True) among 0 and 1; over the classes that occur,
            `macro` (each alike) or `weighted` (by rows); `micro` over all rows.
        labels: Every label there is; those of the solution by default.

    Raises:
        ManifestError: There is no such average.
        SubmissionError: The tables do not match, hold a label there is not, or are not binary.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2, 3, 4], "y": [0, 1, 1, 1]})
        >>> round(f1(solution, solution.assign(y=[1, 1, 1, 0]), "id"), 3)
        0.667
    """
    import numpy as np
    from sklearn.metrics import f1_score

    if average not in F1_AVERAGES:
        hint = did_you_mean(average, F1_AVERAGES)
        raise ManifestError("f1 cannot be computed", [Problem("metric.args.average", average, hint=hint)])
    found = match_labels(solution, submission, row_id_column_name, labels)
    values = _positives(found.classes) if average == "binary" else np.arange(len(found.classes))
    return float(f1_score(values[found.truth], values[found.guess], average=average, zero_division=0))


def _positives(classes: pd.Index[Any]) -> NDArray[np.intp]:
    import numpy as np

    strangers = [label for label in classes if label not in BINARY_LABELS]
    if strangers:
        hint = "choose an average over classes: metric.args.average: macro"
        refuse([Problem("solution", f"labels {samples(strangers)}", "0 and 1", hint)])
    return np.array([int(BINARY_LABELS[label]) for label in classes])


def quadratic_weighted_kappa(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    labels: Sequence[object] | None = None,
) -> float:
    """The agreement of ratings beyond chance, from -1 to 1, where a miss counts by its squared distance.

    The distance is that of the ratings as numbers, so a rating that nobody gave changes nothing:
    1 - mean((t - g)²) / mean over all pairs of rows i, j of (t_i - g_j)².

    Args:
        solution: One column of ratings, numbers.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        labels: Every rating there is; those of the solution by default.

    Raises:
        SubmissionError: The tables do not match, hold a rating there is not, or one rating alone, which
            leaves kappa undefined.

    References:
        J. Cohen, "Weighted kappa", Psychological Bulletin 70 (1968), 213-220.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2, 3, 4], "grade": [0, 1, 2, 3]})
        >>> round(quadratic_weighted_kappa(solution, solution.assign(grade=[0, 1, 3, 3]), "id"), 3)
        0.917
    """
    found = match_labels(solution, submission, row_id_column_name, labels)
    ratings = NUMBER.read(found.classes.to_series()).to_numpy()
    truth, guess = ratings[found.truth], ratings[found.guess]
    if (truth != truth).any():
        refuse([Problem("solution", f"labels {samples(found.classes.tolist())}", "ratings that are numbers")])
    if (truth == truth[0]).all() and (guess == truth[0]).all():
        refuse(
            [Problem("solution", f"every rating is {truth[0]:g}, here and in the submission", "two or more")]
        )
    by_chance = truth.var() + guess.var() + (truth.mean() - guess.mean()) ** 2
    return float(1 - ((truth - guess) ** 2).mean() / by_chance)


def log_loss(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    clip: float = 1e-15,
    multilabel: bool = False,
) -> float:
    """The mean of -ln(probability given to what is true), 0 or more.

    With a column per class, each row is divided by its sum first. Then every probability is moved into
    [clip, 1 - clip].

    Args:
        solution: One column of 0 and 1; or one column of class labels, where the submission has a column
            per class named `<label>` or `<target>_<label>`; or one column of 0 and 1 per class.
        submission: Probabilities, in the same columns or in a column per class.
        row_id_column_name: The id column of both.
        clip: How near to 0 and 1 a probability may come.
        multilabel: Several columns are independent yes-or-no questions, not the classes of one: the mean
            of their losses.

    Raises:
        ManifestError: `clip` is not between 0 and 0.5.
        SubmissionError: The tables do not match, a probability is outside [0, 1], a class has no column, or
            a row has no class, several, or probabilities that sum to 0.

    References:
        Kaggle, "Multi-Class Prediction of Cirrhosis Outcomes" (Playground Series 3, episode 26), Evaluation.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "status": ["C", "D"]})
        >>> submission = pd.DataFrame({"id": [1, 2], "status_C": [0.5, 0.5], "status_D": [0.5, 0.5]})
        >>> round(log_loss(solution, submission, "id"), 4)
        0.6931
    """
    import numpy as np

    if not 0 < clip < 0.5:
        problem = Problem("metric.args.clip", f"{clip}", "a number between 0 and 0.5")
        raise ManifestError("log_loss cannot be computed", [problem])
    solution = spread_labels(solution, submission, row_id_column_name)
    truth, guess = match_numbers(solution, submission, row_id_column_name, BINARY, PROBABILITY)
    if truth.shape[1] == 1 or multilabel:
        given = np.where(truth == 1, guess, 1 - guess)
    else:
        given = _given_to_class(truth, guess, solution[row_id_column_name].to_numpy())
    return float(-np.log(given.clip(clip, 1 - clip)).mean())


def _given_to_class(
    truth: NDArray[np.float64], guess: NDArray[np.float64], ids: NDArray[Any]
) -> NDArray[np.float64]:
    """The probability (n_rows,) each row gives to its class, once the row sums to 1."""
    sums = guess.sum(axis=1)
    unclear, empty = ids[truth.sum(axis=1) != 1].tolist(), ids[sums == 0].tolist()
    problems = []
    if unclear:
        hint = "independent questions, not classes of one? metric.args.multilabel: true"
        problems.append(
            Problem("solution", f"no class or several for {samples(unclear)}", "one class a row", hint)
        )
    if empty:
        problems.append(
            Problem("submission", f"probabilities that sum to 0 for {samples(empty)}", "more than 0")
        )
    refuse(problems)
    given: NDArray[np.float64] = guess[truth == 1] / sums
    return given


def auc(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """The area under the ROC curve, from 0 to 1; over several columns the mean of theirs.

    It is the chance that a row of 1 has a higher score than a row of 0, a tie counting half.

    Args:
        solution: One or more columns of 0 and 1.
        submission: The same columns with scores in any unit, larger for 1.
        row_id_column_name: The id column of both.

    Raises:
        SubmissionError: The tables do not match, or a column of the solution is all 0 or all 1.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2, 3, 4], "y": [0, 0, 1, 1]})
        >>> auc(solution, solution.assign(y=[0.1, 0.4, 0.35, 0.8]), "id")
        0.75
    """
    from sklearn.metrics import roc_auc_score

    truth, guess = match_numbers(solution, submission, row_id_column_name, BINARY, NUMBER)
    columns = [column for column in solution if column != row_id_column_name]
    refuse(
        [
            Problem(
                f"solution, column {column}", f"every row is {truth[0, place]:g}", "rows of 0 and rows of 1"
            )
            for place, column in enumerate(columns)
            if (truth[:, place] == truth[0, place]).all()
        ]
    )
    return float(roc_auc_score(truth, guess, average="macro"))


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
