"""Turn labels into places among their classes, told as labels, as lists of them or as a column per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import Problem, samples
from kagkit.metrics.alignment import match_column
from kagkit.metrics.refusals import refuse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Labels:
    """One column of labels, true and predicted, as places in `classes`.

    Attributes:
        truth: (n_rows,) whole numbers.
        guess: (n_rows,) whole numbers, rows in the same order.
        classes: The labels themselves, sorted: numbers where the solution's column is numeric, else text.
    """

    truth: NDArray[np.intp]
    guess: NDArray[np.intp]
    classes: pd.Index[Any]


def match_labels(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, labels: Sequence[object] | None = None
) -> Labels:
    """One column of labels from each table; "1", 1 and 1.0 are one label where the solution's are numbers.

    Args:
        solution: The true labels.
        submission: The predicted labels.
        row_id: The id column of both.
        labels: Every label there is; those of both tables by default.

    Raises:
        SubmissionError: The tables do not match, have several targets, or hold labels of another kind.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "y": [3, 7]})
        >>> match_labels(solution, solution.assign(y=["7", "7.0"]), "id").guess.tolist()
        [1, 1]
    """
    import pandas as pd

    truth, guess = match_column(solution, submission, row_id, "labels")
    declared = sorted_classes(truth if labels is None else pd.Series(list(labels)))
    classes = declared if labels is not None else _with_rare_ones(declared, guess)
    truth_codes, guess_codes = encode(truth, classes), encode(guess, classes)
    refuse(
        _unseen("solution", truth[truth_codes < 0], classes)
        + _unseen("submission", guess[guess_codes < 0], classes)
    )
    return Labels(truth_codes, guess_codes, classes)


def _with_rare_ones(classes: pd.Index[Any], guess: pd.Series[Any]) -> pd.Index[Any]:
    """The classes, and predicted ones that a fold's few rows happen to lack: they are wrong, not refused.

    Another kind of label is left out, and so refused: text for numbers, 0.73 for whole numbers, or labels
    of which not one is known.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(classes):
        numbers = pd.to_numeric(pd.Series(sorted_classes(guess)), errors="coerce").dropna()
        whole = bool((classes.to_numpy() % 1 == 0).all())
        guessed = pd.Index(numbers[numbers % 1 == 0].astype(classes.dtype) if whole else numbers)
    else:
        guessed = pd.Index(guess.astype(str))
        guessed = guessed if guessed.isin(classes).any() else classes
    return classes.union(guessed.unique()).unique().sort_values()


def sorted_classes(labels: pd.Series[Any]) -> pd.Index[Any]:
    """The different labels of a column, sorted; text unless the column is numeric.

    Example:
        >>> import pandas as pd
        >>> sorted_classes(pd.Series([True, False])).tolist(), sorted_classes(pd.Series([10, 9])).tolist()
        (['False', 'True'], [9, 10])
    """
    import numpy as np
    import pandas as pd

    plain = pd.Series(np.asarray(labels)).infer_objects()
    numeric = pd.api.types.is_numeric_dtype(plain) and not pd.api.types.is_bool_dtype(plain)
    return pd.Index(plain if numeric else plain.astype(str)).unique().sort_values()


def encode(labels: pd.Series[Any], classes: pd.Index[Any]) -> NDArray[np.intp]:
    """The place of each label in `classes` (n_rows,), -1 where it is none of them.

    Example:
        >>> import pandas as pd
        >>> encode(pd.Series(["2", "1.0", "cat"]), pd.Index([1, 2])).tolist()
        [1, 0, -1]
    """
    import numpy as np
    import pandas as pd

    plain = pd.Series(np.asarray(labels))
    if pd.api.types.is_numeric_dtype(classes):
        return classes.get_indexer(pd.Index(pd.to_numeric(plain, errors="coerce")))
    return classes.get_indexer(pd.Index(plain.astype(str)))


def split_labels(cells: pd.Series[Any]) -> list[list[str]]:
    """The labels of each cell, which spaces part, in the order they are told; none where it is empty.

    Example:
        >>> import pandas as pd
        >>> split_labels(pd.Series(["b a", None, ""])), split_labels(pd.Series([3.0, None]))
        ([['b', 'a'], [], []], [['3'], []])
    """
    from kagkit.formats.cells import cell_text

    texts = ((cell, cell_text(cell)) for cell in cells)
    return [str(cell if text is None else text).split() for cell, text in texts]


def spread_labels(solution: pd.DataFrame, submission: pd.DataFrame, row_id: str) -> pd.DataFrame:
    """The solution with 0 and 1 in the submission's class columns, where it has one column of labels instead.

    A class column is named `<label>` or `<target>_<label>`. Any other solution comes back as it is.

    Raises:
        SubmissionError: A label of the solution has no column.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "kind": [2, 1]})
        >>> spread_labels(solution, pd.DataFrame(columns=["id", "kind_1", "kind_2"]), "id")
          id  kind_1  kind_2
        0  a       0       1
        1  b       1       0
    """
    import pandas as pd

    targets = [column for column in solution if column != row_id]
    columns = [column for column in submission if column != row_id]
    if len(targets) != 1 or targets[0] in columns or len(set(columns)) < 2 or row_id not in solution:
        return solution
    labels = solution[targets[0]]
    codes = encode(labels, _named_classes(columns, f"{targets[0]}_", sorted_classes(labels)))
    homeless = labels[codes < 0].unique().tolist()
    if homeless:
        found = f"no column for the class {samples(homeless)} among {samples(columns)}"
        refuse([Problem("submission", found)])
    flags = {column: (codes == place).astype(int) for place, column in enumerate(columns)}
    return pd.DataFrame({row_id: solution[row_id].to_numpy(), **flags})


def _named_classes(columns: Sequence[object], prefix: str, classes: pd.Index[Any]) -> pd.Index[Any]:
    """The class each column is named for, as a number where the classes are numbers."""
    import pandas as pd

    names = [str(column) for column in columns]
    if all(name.startswith(prefix) for name in names):
        names = [name.removeprefix(prefix) for name in names]
    numbers = pd.to_numeric(pd.Series(names), errors="coerce")
    numeric = pd.api.types.is_numeric_dtype(classes) and numbers.notna().all() and numbers.is_unique
    return pd.Index(numbers if numeric else names)


def _unseen(name: str, labels: pd.Series[Any], classes: pd.Index[Any]) -> list[Problem]:
    if labels.empty:
        return []
    found = f"labels never seen: {samples(labels.unique().tolist())} for {samples(labels.index.tolist())}"
    return [Problem(f"{name}, column {labels.name}", found, f"one of {samples(classes.tolist())}")]
