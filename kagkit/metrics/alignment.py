"""Hold a submission beside its solution by id, read their cells as one kind of value, refuse what differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import Problem, did_you_mean, samples
from kagkit.metrics.refusals import refuse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

BINARY_LABELS = {0: 0.0, 1: 1.0, "0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "False": 0.0, "True": 1.0}


@dataclass(frozen=True)
class Kind:
    """What a cell may hold.

    Attributes:
        expected: The kind in words, for messages.
        read: From a column to its float64 values in the same order, NaN where a cell is of another kind.
    """

    expected: str
    read: Callable[[pd.Series[Any]], pd.Series[float]]


def _read_number(column: pd.Series[Any]) -> pd.Series[float]:
    import numpy as np
    import pandas as pd

    plain = pd.Series(
        np.asarray(column), index=column.index
    )  # categories and nullable numbers lose their wrapping
    numbers = pd.to_numeric(plain, errors="coerce").astype("float64")
    return numbers.where(np.isfinite(numbers))


def _read_not_negative(column: pd.Series[Any]) -> pd.Series[float]:
    numbers = _read_number(column)
    return numbers.where(numbers >= 0)


def _read_probability(column: pd.Series[Any]) -> pd.Series[float]:
    numbers = _read_number(column)
    return numbers.where(numbers.between(0, 1))


def _read_binary(column: pd.Series[Any]) -> pd.Series[float]:
    return column.astype(object).map(BINARY_LABELS.get).astype("float64")


NUMBER = Kind("a finite number", _read_number)
NOT_NEGATIVE = Kind("a number, 0 or more", _read_not_negative)
PROBABILITY = Kind("a probability from 0 to 1", _read_probability)
BINARY = Kind("0 or 1", _read_binary)


def match_tables(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, *, blank: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The target columns of both tables, indexed by id: the same ids and columns in the solution's order.

    Nothing is moved into place here: whoever scores has aligned the tables, and this proves it.

    Args:
        solution: The truth.
        submission: The predictions.
        row_id: The id column of both.
        blank: Whether cells may be empty: no label, no mask.

    Raises:
        SubmissionError: An id or target column is missing or too many, ids differ in content or order or
            come twice, or a cell is empty.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "y": [0, 1]})
        >>> match_tables(solution, solution.assign(id=["b", "a"]), "id")
        Traceback (most recent call last):
        kagkit.metrics.refusals.ParticipantVisibleError: the submission cannot be scored
          submission: row 1 is b; expected a, as in the solution
            hint: the ids are the same in another order: align the tables by id, never by position
    """
    truth, guess = _index_by_id(solution, submission, row_id)
    problems = _id_problems(truth.index, guess.index) + _column_problems(truth, guess)
    if not blank:
        problems += _empty_cells("solution", truth) + _empty_cells("submission", guess)
    refuse(problems)
    return truth, guess[truth.columns]


def match_column(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, holds: str, *, blank: bool = False
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """The one target column of both tables, as `match_tables` gives it; `holds` says what, for messages.

    Raises:
        SubmissionError: The tables do not match, or have several targets.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"id": ["a"], "p": [1], "q": [2]})
        >>> match_column(table, table, "id", "masks")
        Traceback (most recent call last):
        kagkit.foundation.errors.SubmissionError: the submission cannot be scored
          solution: target columns p, q; expected one column of masks
    """
    truth, guess = match_tables(solution, submission, row_id, blank=blank)
    if truth.shape[1] > 1:
        found = f"target columns {samples(list(truth.columns))}"
        refuse([Problem("solution", found, f"one column of {holds}")])
    return truth.iloc[:, 0], guess.iloc[:, 0]


def match_objects(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """The one target column of both tables, indexed by id as text; rows may be in any order.

    An id has a row for each of its objects, or one that says that it has none.

    Raises:
        SubmissionError: An id or target column is missing or too many, or an id is in one table alone.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b", "b"], "runs": [None, "1 2", "7 2"]})
        >>> submission = pd.DataFrame({"id": ["b", "a"], "runs": ["1 3", ""]})
        >>> match_objects(solution, submission, "id")[1].to_dict()
        {'b': '1 3', 'a': ''}
    """
    truth, guess = _index_by_id(solution, submission, row_id)
    problems = _id_problems(truth.index, guess.index, repeated=True) + _column_problems(truth, guess)
    if truth.shape[1] > 1:
        found = f"target columns {samples(list(truth.columns))}"
        problems.append(Problem("solution", found, "one column of objects"))
    refuse(problems)
    true, guessed = truth.iloc[:, 0], guess.iloc[:, 0]
    return true.set_axis(true.index.astype(str)), guessed.set_axis(guessed.index.astype(str))


def _index_by_id(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    tables = {"solution": solution, "submission": submission}
    refuse([Problem(name, f"no column {row_id}") for name, table in tables.items() if row_id not in table])
    return solution.set_index(row_id), submission.set_index(row_id)


def _empty_cells(name: str, table: pd.DataFrame) -> list[Problem]:
    return [
        Problem(f"{name}, column {column}", f"no value for {_some(table.index[empty.to_numpy()])}")
        for column, empty in table.isna().items()
        if empty.any()
    ]


def match_numbers(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, truth_kind: Kind, guess_kind: Kind
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two float64 arrays (n_rows, n_targets), rows and columns in the solution's order.

    Raises:
        SubmissionError: The tables do not match, or a cell is not of its kind.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "y": [True, False]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "y": ["0.9", "0.2"]})
        >>> match_numbers(solution, submission, "id", BINARY, PROBABILITY)[1].tolist()
        [[0.9], [0.2]]
    """
    truth, guess = match_tables(solution, submission, row_id)
    truth_values, guess_values = truth.apply(truth_kind.read), guess.apply(guess_kind.read)
    refuse(
        _cell_problems("solution", truth, truth_values, truth_kind.expected)
        + _cell_problems("submission", guess, guess_values, guess_kind.expected)
    )
    return truth_values.to_numpy(), guess_values.to_numpy()


def _some(ids: pd.Index[Any]) -> str:
    return samples(ids[:5].tolist(), total=len(ids))


def _id_problems(truth: pd.Index[Any], guess: pd.Index[Any], *, repeated: bool = False) -> list[Problem]:
    problems = []
    for name, ids in (("solution", truth), ("submission", guess)):
        if ids.empty:
            problems.append(Problem(name, "no rows"))
        elif ids.hasnans:
            problems.append(Problem(name, "a row without an id"))
        elif not (repeated or ids.is_unique):
            problems.append(Problem(name, f"ids that come twice: {_some(ids[ids.duplicated()].unique())}"))
    if problems or truth.equals(guess):
        return problems
    truth, guess = truth.astype(str), guess.astype(str)
    return _strangers(truth.unique(), guess.unique()) or ([] if repeated else _moved(truth, guess))


def _strangers(truth: pd.Index[Any], guess: pd.Index[Any]) -> list[Problem]:
    missing, extra = truth.difference(guess, sort=False), guess.difference(truth, sort=False)
    problems = []
    if len(missing):
        problems.append(Problem("submission", f"no row for {_some(missing)}"))
    if len(extra):
        problems.append(Problem("submission", f"rows the solution does not have: {_some(extra)}"))
    return problems


def _moved(truth: pd.Index[Any], guess: pd.Index[Any]) -> list[Problem]:
    moved = truth.to_numpy() != guess.to_numpy()
    if not moved.any():
        return []
    place = int(moved.argmax())
    hint = "the ids are the same in another order: align the tables by id, never by position"
    found, expected = f"row {place + 1} is {guess[place]}", f"{truth[place]}, as in the solution"
    return [Problem("submission", found, expected, hint)]


def _column_problems(truth: pd.DataFrame, guess: pd.DataFrame) -> list[Problem]:
    wanted, given = list(truth.columns), list(guess.columns)
    problems = [] if wanted else [Problem("solution", "no target column")]
    for name, columns in (("solution", wanted), ("submission", given)):
        twice = [column for place, column in enumerate(columns) if column in columns[:place]]
        problems += [Problem(name, f"column {column} comes twice") for column in twice]
    for column in wanted:
        if column not in given:
            hint = did_you_mean(str(column), list(map(str, given))) if given else ""
            problems.append(Problem("submission", f"no column {column}", hint=hint))
    extra = [column for column in given if column not in wanted]
    if extra:
        problems.append(Problem("submission", f"columns the solution does not have: {samples(extra)}"))
    return problems


def _cell_problems(name: str, table: pd.DataFrame, values: pd.DataFrame, expected: str) -> list[Problem]:
    problems = []
    for column, wrong in values.isna().items():
        cells = table[column][wrong]
        if len(cells):
            found = f"{samples(cells.unique().tolist())} for {_some(cells.index)}"
            problems.append(Problem(f"{name}, column {column}", found, expected))
    return problems
