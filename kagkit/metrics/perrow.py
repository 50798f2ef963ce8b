"""Say what each row adds to a metric of mean type, and how the means of that make the score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Means = NDArray[np.float64]


def average(means: Means) -> Means:
    """The mean over the columns: (..., n_columns) to (...,).

    Example:
        >>> import numpy as np
        >>> average(np.array([[1.0, 3.0], [2.0, 2.0]])).tolist()
        [2.0, 2.0]
    """
    result: Means = means.mean(axis=-1)
    return result


def average_root(means: Means) -> Means:
    """The mean over the columns of their square roots: (..., n_columns) to (...,).

    Example:
        >>> import numpy as np
        >>> average_root(np.array([4.0, 16.0])).tolist()
        3.0
    """
    return average(means**0.5)


def ratio(means: Means) -> Means:
    """The first column over the second: (..., 2) to (...,); 1 where both are 0.

    Example:
        >>> import numpy as np
        >>> ratio(np.array([[1.0, 4.0], [0.0, 0.0]])).tolist()
        [0.25, 1.0]
    """
    import numpy as np

    above, below = np.asarray(means[..., 0]), np.asarray(means[..., 1])
    return np.divide(above, below, out=np.ones_like(above), where=below != 0)


@dataclass(frozen=True)
class PerRow:
    """The per-row form of a metric: `score` is `finish` of the column means of `rows`.

    The same holds for any choice of ids, each as often as it is chosen: who resamples needs the column
    means alone, and `finish` takes those of many draws at once.

    Attributes:
        rows: With the arguments of the metric, a table of float64 by id, one row an id.
        finish: From column means (..., n_columns) to scores (...,).
        only: The values some arguments must have for the metric to be of mean type; they are its defaults.
    """

    rows: Callable[..., pd.DataFrame]
    finish: Callable[[Means], Means] = average
    only: Mapping[str, object] = field(default_factory=dict)

    def suits(self, args: Mapping[str, Any]) -> bool:
        """Whether the metric with these arguments is of mean type.

        Example:
            >>> form = PerRow(rows=print, only={"average": "samples"})
            >>> form.suits({}), form.suits({"average": "macro"})
            (True, False)
        """
        return all(args.get(name, value) == value for name, value in self.only.items())

    def score(self, table: pd.DataFrame) -> float:
        """The score of some rows, all of them or a choice.

        Example:
            >>> import pandas as pd
            >>> PerRow(rows=print).score(pd.DataFrame({"right": [1.0, 0.0, 1.0, 1.0]}))
            0.75
        """
        return float(self.finish(table.to_numpy().mean(axis=0)))


def table_by_id(
    values: NDArray[np.float64], solution: pd.DataFrame, row_id: str, columns: list[str] | None = None
) -> pd.DataFrame:
    """Values (n_rows, n_columns) as a table by id; the columns are the solution's targets by default.

    Example:
        >>> import numpy as np, pandas as pd
        >>> table_by_id(np.array([[0.5]]), pd.DataFrame({"id": ["a"], "y": [1]}), "id").loc["a", "y"]
        np.float64(0.5)
    """
    import pandas as pd

    names: list[Any] = columns or [column for column in solution if column != row_id]
    return pd.DataFrame(values, index=pd.Index(solution[row_id].to_numpy(), name=row_id), columns=names)
