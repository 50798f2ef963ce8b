"""Score labels with Kaggle's signature, and refuse what cannot be scored.

Every metric takes the solution and the submission in submission format: the column `row_id_column_name`
with the same ids once each in the same order, and the target columns. Which direction is better is for
users to declare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import Problem, did_you_mean, samples
from kagkit.metrics.alignment import BINARY_LABELS, NUMBER
from kagkit.metrics.classes import match_labels
from kagkit.metrics.perrow import table_by_id
from kagkit.metrics.refusals import refuse, refuse_argument

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

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


def accuracy_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    labels: Sequence[object] | None = None,
) -> pd.DataFrame:
    """What each row adds to `accuracy`: 1 where its label is right, else 0, by id.

    Raises:
        SubmissionError: The tables do not match, or hold a label there is not.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "y": ["cat", "dog"]})
        >>> accuracy_rows(solution, solution.assign(y="dog"), "id")["y"].tolist()
        [0.0, 1.0]
    """
    found = match_labels(solution, submission, row_id_column_name, labels)
    right = (found.truth == found.guess).astype("float64")
    return table_by_id(right[:, None], solution, row_id_column_name)


def balanced_accuracy(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    labels: Sequence[object] | None = None,
) -> float:
    """The share of rows with the right label in each class of the solution, and the mean of these shares.

    Args:
        solution: One column of labels, text or numbers.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        labels: Every label there is; those of the solution by default.

    Raises:
        SubmissionError: The tables do not match, or hold a label there is not.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2, 3, 4], "y": ["cat", "dog", "dog", "dog"]})
        >>> balanced_accuracy(solution, solution.assign(y="dog"), "id")
        0.5
    """
    import numpy as np
    from sklearn.metrics import recall_score

    found = match_labels(solution, submission, row_id_column_name, labels)
    return float(recall_score(found.truth, found.guess, labels=np.unique(found.truth), average="macro"))


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
        refuse_argument("f1", "average", average, hint=did_you_mean(average, F1_AVERAGES))
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


def mcc(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    labels: Sequence[object] | None = None,
) -> float:
    """Matthews' correlation of true and predicted labels, from -1 to 1; 0 where either has one label alone.

    Args:
        solution: One column of labels, two or more of them.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        labels: Every label there is; those of the solution by default.

    Raises:
        SubmissionError: The tables do not match, or hold a label there is not.

    References:
        B. W. Matthews, Biochimica et Biophysica Acta 405 (1975), 442-451; for several classes J. Gorodkin,
        Computational Biology and Chemistry 28 (2004), 367-374.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2, 3, 4], "y": [0, 0, 1, 1]})
        >>> round(mcc(solution, solution.assign(y=[0, 1, 1, 1]), "id"), 4)
        0.5774
    """
    from sklearn.metrics import matthews_corrcoef

    found = match_labels(solution, submission, row_id_column_name, labels)
    return float(matthews_corrcoef(found.truth, found.guess))


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
