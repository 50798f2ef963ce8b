"""kagkit makes Kaggle competitions reproducible, above all the two-stage ones: retrain and submit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__version__ = "0.1.0"


def compare(
    *runs: str,
    folder: str | Path = ".",
    table: str | Path | None = None,
    greater_is_better: bool | None = None,
    noise: bool = True,
) -> pd.DataFrame:
    """CV beside the leaderboard as a table, best CV first: what `kagkit compare` shows.

    Args:
        runs: `exp001`, `exp001/3`; by default every experiment's latest complete run, and every scored run.
        folder: A folder of the workspace.
        table: A CSV of scores in place of runs, as `kagkit compare --table` takes it.
        greater_is_better: The direction of the table's scores; needed with a table, declared otherwise.
        noise: Whether to measure the noise of runs on their OOF predictions.

    Returns:
        A row for each run, the index. `attrs` has `alarms` (kind and text), `spearman` and `reading`.

    Raises:
        ManifestError: There is nothing to compare, or a table without its direction.
        DataError: The table cannot be read.
    """
    from pathlib import Path

    import pandas as pd

    from kagkit.foundation.errors import ManifestError
    from kagkit.judgement.comparison import compare_runs, compare_table
    from kagkit.workspace.layout import find_workspace

    if table is None:
        compared = compare_runs(find_workspace(Path(folder)), runs, noise=noise)
    elif greater_is_better is None:
        raise ManifestError("a table has no direction: say greater_is_better=True or False")
    else:
        compared = compare_table(Path(table), greater_is_better)
    told = compared.as_json()
    frame = pd.DataFrame(told["rows"]).set_index("run")
    frame.attrs = {name: told[name] for name in ("alarms", "spearman", "reading")}
    return frame
