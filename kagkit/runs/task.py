"""Hand a recipe what it needs for one task, and take what it tells."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import Problem, RunError
from kagkit.foundation.files import append_json_line, write_file

if TYPE_CHECKING:
    import pandas as pd

    from kagkit.data.predictions import Predictions
    from kagkit.data.rows import DataPaths
    from kagkit.metrics.truth import Truth
    from kagkit.runs.feed import Fed
    from kagkit.runs.judging import FormatJudge

PROGRESS_SECONDS = 0.2


class Task:
    """What `prepare`, `train`, `load` and `predict` are handed.

    Attributes:
        seed: The seed of this task; python, numpy and torch are seeded with it already.
        fold: The fold that is held out; None when fitting on all rows.
        stage: 1 or 2.
        part: The part its rows are of: `stage1/train`, `stage1/test`, `stage2/train` or `stage2/test`.
        data: Paths by source; `data["main"].files` are those of every stage up to this one.
        prepared: What `prepare` left, by part: `prepared["stage1/train"]` is a folder.
        inputs: Predictions of the runs that feed this one, by name and then by key: in `train` held-out ones
            of the training rows, in `predict` those of the rows it is given.
        assets: Files the manifest names, by name.
        threads: How many threads the task may use.
        device: `cpu` or `cuda:0`; other devices are hidden.
        rank: This process among those that train together, from 0; 0 where it is alone.
        out: The folder for the files `prepare` or `train` makes.
        checkpoint: A folder that survives a kill: what is in it is there again when the task goes on.
        start: The folder with the weights this one goes on from (`start:` in the manifest); None without.
        weights: In `load` and `predict`: the folder with what `train` made, to be read only.
    """

    seed: int
    fold: int | None
    stage: int
    part: str
    data: Mapping[str, DataPaths]
    prepared: Mapping[str, Path]
    inputs: Mapping[str, Fed]
    assets: Mapping[str, Path]
    threads: int
    device: str
    rank: int
    out: Path
    checkpoint: Path
    start: Path | None
    weights: Path

    def __init__(self, events: Path, rows: Callable[[str], pd.DataFrame] | None = None, **facts: Any) -> None:
        self._events = events
        self._rows = rows
        self._told = 0.0
        self.__dict__.update(facts)

    @cached_property
    def train_rows(self) -> pd.DataFrame:
        """The rows to train on, by key, targets included. Only in `train`."""
        return self._get_rows("train")

    @cached_property
    def valid_rows(self) -> pd.DataFrame:
        """The held-out rows, by key, targets included; empty when fitting on all rows. Only in `train`."""
        return self._get_rows("valid")

    @cached_property
    def judge(self) -> Truth | FormatJudge:
        """Who scores training rows as the run's CV is scored; what `kagkit.judgement` takes. Only in `train`.

        A recipe whose source reads `task.judge` or `task.score` trains again when the metric changes.
        """
        judge_of: Callable[[], Truth | FormatJudge] | None = self.__dict__.get("judge_of")
        if judge_of is None:
            hint = "read it in train or in what it calls, and call the task `task`: the source must show it"
            raise RunError(
                "nobody scores here", [Problem("task.score", "not seen in the source of train", hint=hint)]
            )
        return judge_of()

    def score(self, predictions: pd.DataFrame | Predictions, rows: pd.DataFrame) -> float:
        """The competition's metric on some training rows, through the submission format. Only in `train`.

        Args:
            predictions: Exactly these rows, by key, as `predict` would return them.
            rows: Rows of `train_rows` or `valid_rows`.

        Raises:
            KagkitError: The predictions are of other rows, or the metric does not accept them.
        """
        from kagkit.data.predictions import Predictions
        from kagkit.metrics.truth import Truth

        judge = self.judge
        if isinstance(judge, Truth):
            table = predictions.frame() if isinstance(predictions, Predictions) else predictions
            return judge.score(table, rows.index)
        return judge.score(predictions, rows.index)

    @property
    def row_weights(self) -> pd.Series[float]:
        """What each row to train on counts, by key: 1.0, or the weight of further ones. Only in `train`."""
        return self._row_origins["weight"]

    @property
    def row_parts(self) -> pd.Series[str]:
        """The part of each row to train on, by key: `stage1/train`, or what it was added from. In `train`."""
        return self._row_origins["part"]

    @cached_property
    def _row_origins(self) -> pd.DataFrame:
        return self._get_rows("origins")

    def probe(self, name: str, values: pd.DataFrame | pd.Series[Any] | tuple[Any, Any]) -> None:
        """Keep numbers or arrays of the rows that `predict` is given, beside the predictions. Only there.

        They are averaged over folds and seeds as predictions are, and read by runs that this one feeds:
        `task.inputs["clf"].probe(name)`. Where `predict` yields chunks it may measure each of them.

        Args:
            name: Letters, digits and `_`.
            values: By key: a table, a Series, or `(keys, values)` with an array (n, ...).

        Raises:
            RunError: A name or values that cannot be kept.
        """
        take: Callable[[str, Any], None] | None = self.__dict__.get("take_probe")
        if take is None:
            problem = Problem("task.probe", "not in predict", "what predict measures of its rows")
            raise RunError("there are no rows to measure", [problem])
        take(name, values)

    def log(self, *, step: int | None = None, **values: float) -> None:
        """Record numbers of this task, such as `task.log(step=3, valid_loss=0.41)`.

        JSON knows neither infinities nor what is not a number: they are written as text, `"inf"`, `"nan"`.
        """
        floats = {name: float(value) for name, value in values.items()}
        numbers = {name: value if math.isfinite(value) else str(value) for name, value in floats.items()}
        append_json_line(self._events, {"event": "log", "step": step, "values": numbers})

    def progress(self, done: float, total: float) -> None:
        """Say how far the task is, `task.progress(epoch + 1, epochs)`; it is shown while the task runs."""
        now = time.monotonic()
        if done >= total or now - self._told > PROGRESS_SECONDS:
            self._told = now
            append_json_line(self._events, {"event": "progress", "done": float(done), "total": float(total)})

    def mark(self) -> int:
        """A place in what this task has told so far, to be kept in a checkpoint."""
        return self._events.stat().st_size if self._events.exists() else 0

    def rewind(self, mark: int) -> None:
        """Forget the numbers logged after a mark, when going on from its checkpoint: they will come again.

        Args:
            mark: What `mark()` said when the checkpoint was written; 0 where there is none. Other events,
                such as when the task was started, stay.
        """
        told = self._events.read_bytes() if self._events.exists() else b""
        kept = [line for line in told[mark:].splitlines(keepends=True) if not _comes_again(line)]
        if told[mark:] != b"".join(kept):
            write_file(self._events, told[:mark] + b"".join(kept))

    def _get_rows(self, which: str) -> pd.DataFrame:
        if self._rows is None:
            raise AttributeError(f"{which}_rows: only train sees rows with targets")
        return self._rows(which)


def _comes_again(line: bytes) -> bool:
    try:
        return json.loads(line)["event"] in ("log", "progress")
    except ValueError:  # a kill cut it off
        return True
