"""Score probabilities and what ranks rows by how likely they are, with Kaggle's signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import Problem, did_you_mean, samples
from kagkit.metrics.alignment import BINARY, NUMBER, PROBABILITY, match_numbers
from kagkit.metrics.classes import spread_labels
from kagkit.metrics.perrow import table_by_id
from kagkit.metrics.refusals import refuse, refuse_argument

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def log_loss(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    clip: float = 1e-15,
    multilabel: bool = False,
    weights: Mapping[str, float] | None = None,
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
        weights: How much some questions count, by column (`{any: 2}`), the others 1: the weighted mean of
            their losses. Where the questions stand below each other in one column of 0 and 1, by what an
            id ends with after `_` (`ID_0a1_any`).

    Raises:
        ManifestError: `clip` is not between 0 and 0.5; weights are not above 0, name no question, or are
            given for classes.
        SubmissionError: The tables do not match, a probability is outside [0, 1], a class has no column, or
            a row has no class, several, or probabilities that sum to 0.

    References:
        Kaggle, "Multi-Class Prediction of Cirrhosis Outcomes" (Playground Series 3, episode 26), Evaluation;
        for weights "RSNA Intracranial Hemorrhage Detection" (2019), Evaluation, where `any` counts double.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2], "status": ["C", "D"]})
        >>> submission = pd.DataFrame({"id": [1, 2], "status_C": [0.5, 0.5], "status_D": [0.5, 0.5]})
        >>> round(log_loss(solution, submission, "id"), 4)
        0.6931
    """
    table = log_loss_rows(
        solution, submission, row_id_column_name, clip=clip, multilabel=multilabel, weights=weights
    )
    return float(table["loss"].sum() / table["weight"].sum())


def log_loss_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    clip: float = 1e-15,
    multilabel: bool = False,
    weights: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """What each row adds to `log_loss`, by id: its losses times their weights, and these weights.

    The score is the ratio of the means of the columns `loss` and `weight`.

    Raises:
        ManifestError: As `log_loss`.
        SubmissionError: As `log_loss`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1], "any": [1], "epidural": [0]})
        >>> submission = solution.assign(any=0.5, epidural=0.5)
        >>> args = {"multilabel": True, "weights": {"any": 2}}
        >>> log_loss_rows(solution, submission, "id", **args).round(4).iloc[0].tolist()
        [2.0794, 3.0]
    """
    import numpy as np

    if not 0 < clip < 0.5:
        refuse_argument("log_loss", "clip", clip, "a number between 0 and 0.5")
    solution = spread_labels(solution, submission, row_id_column_name)
    truth, guess = match_numbers(solution, submission, row_id_column_name, BINARY, PROBABILITY)
    if truth.shape[1] == 1 or multilabel:
        given = np.where(truth == 1, guess, 1 - guess)
    else:
        if weights:
            hint = "independent questions, not classes of one? metric.args.multilabel: true"
            refuse_argument("log_loss", "weights", dict(weights), "none, for classes", hint)
        given = _given_to_class(truth, guess, solution[row_id_column_name].to_numpy())[:, None]
    heavy = np.ones_like(given) * _weigh(solution, row_id_column_name, weights or {})
    losses = -np.log(given.clip(clip, 1 - clip))
    columns = np.column_stack([(losses * heavy).sum(axis=1), heavy.sum(axis=1)])
    return table_by_id(columns, solution, row_id_column_name, ["loss", "weight"])


def _weigh(solution: pd.DataFrame, row_id: str, weights: Mapping[str, float]) -> NDArray[np.float64]:
    """The weights (n_rows or 1, n_questions or 1)."""
    import numpy as np

    questions = [column for column in solution if column != row_id]
    if not weights:
        return np.ones((1, 1))
    if wrong := {name: weight for name, weight in weights.items() if not 0 < weight < np.inf}:
        refuse_argument("log_loss", "weights", wrong, "numbers above 0")
    if len(questions) > 1:
        asked = np.array([[weights.get(str(question), 1.0) for question in questions]])
        strangers = [name for name in weights if name not in map(str, questions)]
    else:
        ids = solution[row_id].astype(str)
        ends = {name: ids.str.endswith(f"_{name}").to_numpy() for name in sorted(weights, key=len)}
        asked = np.ones((len(ids), 1))
        for name, places in ends.items():
            asked[places] = weights[name]
        strangers = [name for name, places in ends.items() if not places.any()]
    if strangers:
        hint = did_you_mean(strangers[0], list(map(str, questions)))
        refuse_argument("log_loss", "weights", samples(strangers), "questions of the solution", hint)
    return asked


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


def average_precision(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """The precision at every row of 1, rows taken by falling score, and its mean; over columns the mean.

    It is sum over thresholds of (recall_n - recall_(n-1)) * precision_n, rows of one score taken together.

    Args:
        solution: One or more columns of 0 and 1.
        submission: The same columns with scores in any unit, larger for 1.
        row_id_column_name: The id column of both.

    Raises:
        SubmissionError: The tables do not match, or a column of the solution has no 1.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": [1, 2, 3, 4], "y": [0, 0, 1, 1]})
        >>> round(average_precision(solution, solution.assign(y=[0.1, 0.4, 0.35, 0.8]), "id"), 4)
        0.8333
    """
    from sklearn.metrics import average_precision_score

    truth, guess = match_numbers(solution, submission, row_id_column_name, BINARY, NUMBER)
    columns = [column for column in solution if column != row_id_column_name]
    refuse(
        [
            Problem(f"solution, column {column}", "every row is 0", "rows of 1")
            for column, values in zip(columns, truth.T, strict=True)
            if not values.any()
        ]
    )
    scores = [average_precision_score(*pair) for pair in zip(truth.T, guess.T, strict=True)]
    return float(sum(scores) / len(scores))
