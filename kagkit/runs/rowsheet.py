"""Tell in a run what its rules on rows came to: which rows, how many, and the score on those it kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from kagkit.data import contents
from kagkit.foundation.errors import RunError
from kagkit.runs.assembling import AssemblySpec
from kagkit.runs.lineage_rows import (
    EXCLUDE,
    EXTRA,
    TRAINED,
    Touched,
    count_added,
    inherited,
    write_touched,
)
from kagkit.runs.record import Run, find_run
from kagkit.runs.scorecard import FoldFile, Scorecard
from kagkit.runs.selection import (
    JUDGED,
    LEFT_OUT,
    ORIGINS,
    PART,
    Selection,
    cached_selection,
    selected_file,
    selection_folder,
)
from kagkit.runs.usable import manifest_of
from kagkit.workspace.layout import Workspace

RULE = "rule"


class RowSheet:
    """What one run's rules on rows came to."""

    def __init__(self, workspace: Workspace, spec: AssemblySpec) -> None:
        self._workspace, self._spec = workspace, spec
        self._folder = selection_folder(workspace, spec.rows, spec.selection)

    def write(self, path: Path) -> None:
        """Write rows.csv, unless no rule left out or added a row, here or in what feeds the run."""
        if self._touched:
            write_touched(path, self._workspace.competition.rows.key, self._touched)

    def told(self, scorecard: Scorecard, held_out: Sequence[FoldFile], oof: Path) -> dict[str, Any]:
        """What the record has under `rows`, and as `cv_kept` the CV on the kept rows; None where all are."""
        left_out = self._left_out
        kept = scorecard.cv_without(left_out, held_out, oof) if held_out and len(left_out) else None
        selection = self._selection
        excluded = [told | self._named_score(told, scorecard, left_out) for told in selection.excluded]
        rows = {"excluded": excluded, "extra": list(selection.extra), "seen": count_added(self._touched)}
        return {"cv_kept": kept, "rows": rows}

    def _named_score(
        self, told: dict[str, Any], scorecard: Scorecard, left_out: pd.Index[Any]
    ) -> dict[str, Any]:
        """What the run that a rule names has on all rows and on the kept ones, where both score alike."""
        if "run" not in told:
            return {}
        run, scorer = find_run(self._workspace, told["run"]), scorecard.scorer
        alike = manifest_of(run).making == scorer.making and scorer.competition.metric.cv == "pooled"
        path = run.folder / run.data["oof"]["file"]
        kept = scorecard.cv_without(left_out, (), path) if alike and len(left_out) else None
        return {"cv": run.data["cv"], "cv_kept": kept}

    @cached_property
    def _selection(self) -> Selection:
        if not self._spec.selection:
            return Selection("", {}, {}, (), ())
        selection = cached_selection(self._workspace, self._spec.rows, self._spec.selection)
        if selection is None:
            raise RunError("the chosen rows are gone: run the same command again")
        return selection

    @cached_property
    def _left_out(self) -> pd.Index[Any]:
        path = self._folder / JUDGED
        judged = contents.read(path) if self._spec.selection and path.exists() else pd.DataFrame()
        return judged.index

    @cached_property
    def _touched(self) -> tuple[Touched, ...]:
        parents: list[Run] = [find_run(self._workspace, parent["run"]) for parent in self._spec.parents]
        return (*self._own(), *inherited(parents))

    def _own(self) -> Iterator[Touched]:
        """The rows of this run's own rules, each once, with the folds they were left out of or added to."""
        folds: dict[tuple[tuple[str, ...], str, str], list[str]] = {}
        for name in self._selection.digests:
            fold = None if name == "full" else int(name)
            for kind, word in ((LEFT_OUT, EXCLUDE), (ORIGINS, EXTRA)):
                path = selected_file(self._folder, kind, fold)
                table = contents.read(path) if path.exists() else pd.DataFrame(columns=[RULE])
                parts = table[PART] if PART in table else [TRAINED] * len(table)
                for key, part, rule in zip(table.index, parts, table[RULE], strict=True):
                    texts = key if isinstance(key, tuple) else (key,)
                    folds.setdefault((texts, part, f"{word}[{rule}]"), []).append(name)
        for (key, part, rule), names in folds.items():
            yield Touched(key, part, rule, tuple(names))
