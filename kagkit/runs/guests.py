"""Take in a team-mate's predictions from two tables: joined by key, scored here, a run on record."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kagkit.data import folds, predictions
from kagkit.data.predictions import Predictions, Written
from kagkit.data.tables import read_table
from kagkit.foundation.errors import DataError, Problem, counted, did_you_mean
from kagkit.foundation.files import digest_of, file_sha256, write_file
from kagkit.foundation.strictyaml import dump_yaml
from kagkit.runs.arrivals import (
    Arrival,
    Ground,
    fold_notes,
    keep_folds,
    plain,
    refuse_other_keys,
    settle_ground,
    take_in,
    unknown_folds,
)
from kagkit.runs.origins import metric_facts
from kagkit.runs.record import FORMAT
from kagkit.runs.scorecard import FoldFile, Scorecard
from kagkit.runs.variants import Variant, score_variants, write_submission
from kagkit.workspace.competition import FILE
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Making

STAGE = 1


@dataclass(frozen=True)
class Tables:
    """The files of a team-mate.

    Attributes:
        oof: Out-of-fold predictions: the key columns, and the submission's target columns.
        test: Test predictions, likewise.
        folds: The fold of each training row: the key columns, and `fold`; None where nobody knows.
        partial: Whether `oof` holds a part of the training rows alone, and is meant to.
    """

    oof: Path
    test: Path
    folds: Path | None = None
    partial: bool = False

    @property
    def files(self) -> dict[str, Path]:
        """Each file by what it is."""
        found = {"oof": self.oof, "test": self.test, "folds": self.folds}
        return {what: path for what, path in found.items() if path is not None}


def import_tables(workspace: Workspace, tables: Tables, name: str, author: str = "") -> Arrival:
    """Take in predictions that were made without kagkit, as a run.

    Args:
        workspace: The workspace.
        tables: The files.
        name: What the run is called here.
        author: Who made them.

    Raises:
        ManifestError: The name is taken.
        DataError: A table cannot be read, or does not hold each row once; a column is missing or too much.
        KagkitError: The metric does not accept the predictions.
    """
    resolved = Tables(
        tables.oof.resolve(),
        tables.test.resolve(),
        tables.folds.resolve() if tables.folds else None,
        tables.partial,
    )

    def make(aside: Path) -> tuple[dict[str, Any], list[str]]:
        return _Guest(settle_ground(workspace, STAGE), resolved, aside, name).record(plain(author))

    return take_in(workspace, name, make)


class _Guest:
    """One import on its way."""

    def __init__(self, ground: Ground, tables: Tables, aside: Path, name: str) -> None:
        self.ground, self.tables, self.aside, self.name = ground, tables, aside, name
        self.competition = ground.workspace.competition
        self.key = list(self.competition.rows.key)

    def record(self, author: str) -> tuple[dict[str, Any], list[str]]:
        """Write the run's files; its record, and what to know of it."""
        ground, aside = self.ground, self.aside
        oof = self._keep("oof", ground.train.index, partial=self.tables.partial)
        test = self._keep("test", ground.test.index, partial=False)
        fold_of = self._read_folds()
        variant = self._score(fold_of)
        rows, given = ground.test, Predictions.open(aside / "test.arrow")
        submission = write_submission(aside / "submission.csv", variant.scorer, given, rows)
        coverage = oof.rows / ground.material.train_rows
        digests = {
            what: {"name": path.name, "sha256": file_sha256(path)} for what, path in self.tables.files.items()
        }
        contents = [oof.content_sha256, test.content_sha256]
        note = f"from {', '.join(each['name'] for each in digests.values())}"
        self._keep_sources(note)
        fold_set = unknown_folds() if fold_of is None else keep_folds(ground, fold_of, aside, self.name)
        record = {
            "kagkit": FORMAT,
            "competition": self.competition.competition,
            "stage": STAGE,
            "note": note,
            "complete": True,
            "plan_key": digest_of({"imported": contents, "folds": digests.get("folds")}),
            "manifest_sha256": file_sha256(aside / "manifest.yaml"),
            "data": ground.versions,
            "fold_set": fold_set,
            "metric": metric_facts(ground.workspace),
            "cv": variant.cv,
            "cv_std": variant.cv_std,
            "coverage": coverage,
            "rows": self._counts(),
            "folds": variant.scores if fold_of is not None else [],
            "keeps": "predictions",
            "deterministic": True,
            "differs": [],
            "accepted": {},
            "reads": "unwatched",
            "fingerprint": {},
            "environment": [],
            "other_fingerprints": {},
            "nested": True,
            "oof": oof.as_json("oof.arrow"),
            "test": test.as_json("test.arrow"),
            "submission": submission,
            "submissions": [variant.as_json() | submission],
            "weights": [],
            "interface": None,
            "imported": {"run": None, "author": author, "files": digests},
        }
        return record, list(self._notes(coverage, fold_of, fold_set))

    def _notes(self, coverage: float, fold_of: Any, fold_set: dict[str, Any]) -> Iterator[str]:
        if coverage < 1:
            yield f"its CV is on {coverage:.0%} of the training rows"
        yield from fold_notes(fold_set)
        if fold_of is None and self.competition.metric.cv == "fold_mean":
            yield "its CV is of all rows together: without folds there is no mean of folds"

    def _counts(self) -> dict[str, int]:
        material = self.ground.material
        return {"train": material.train_rows, "test": material.test_rows, "dropped": material.dropped}

    def _keep(self, what: str, known: pd.Index[Any], *, partial: bool) -> Written:
        """Read a table of predictions, hold its keys against the rows, and keep it as predictions."""
        path = self.tables.files[what]
        targets = list(self.competition.submission.target)
        table = read_table(path, self.key)
        columns = [str(name) for name in table.columns]
        problems = [
            Problem(path.name, f"no column {name}", hint=did_you_mean(name, columns))
            for name in targets
            if name not in columns
        ]
        problems += [
            Problem(path.name, f"a column {name}", ", ".join([*self.key, *targets]), "leave it out")
            for name in columns
            if name not in (*self.key, *targets)
        ]
        if problems:
            raise DataError(f"{path.name} does not hold the submission's columns", problems)
        frame = table.set_index(self.key)
        for name in targets:  # of text an empty cell is a prediction as well: no mask, no label
            if not pd.api.types.is_numeric_dtype(frame[name]):
                frame[name] = frame[name].fillna("").astype("str")
        refuse_other_keys(what, frame.index, known, partial=partial)
        asked = known[folds.is_in(known, frame.index)]
        return predictions.write(self.aside / f"{what}.arrow", frame, asked, key_names=self.key)

    def _read_folds(self) -> pd.Series[int] | None:
        """The folds that came with it; every row that was predicted must have been held out in one."""
        path = self.tables.folds
        if path is None:
            return None
        fold_of = folds.parse_folds(path, self.key)
        held_out = Predictions.open(self.aside / "oof.arrow").keys
        without = held_out[~folds.is_in(held_out, fold_of.index[(fold_of >= 0).to_numpy()])]
        if len(without):
            found = f"{counted(len(without), 'predicted row')} in no fold: {folds.some_keys(without)}"
            raise DataError("the folds are not those of these predictions", [Problem(path.name, found)])
        return fold_of

    def _score(self, fold_of: pd.Series[int] | None) -> Variant:
        """The score of each fold where they are known, and the CV."""
        path = self.aside / "oof.arrow"
        card = Scorecard(self.ground.scorer, self.ground.train, "mean")
        held_out = [FoldFile(0, None, path)]
        parts = self.aside.with_name("parts")
        if fold_of is not None:
            oof = Predictions.open(path)
            numbers = fold_of.loc[oof.keys]
            held_out = []
            for fold in sorted(set(numbers)):
                keys, part = oof.keys[(numbers == fold).to_numpy()], parts / f"fold{fold}.arrow"
                predictions.write(part, oof.frame(keys), keys, key_names=self.key)
                held_out.append(FoldFile(0, int(fold), part))
        (variant,) = score_variants(card, {"": Making()}, held_out, path, complete=True)
        shutil.rmtree(parts, ignore_errors=True)
        return variant

    def _keep_sources(self, note: str) -> None:
        """What says what it is, as every run has it; there is no recipe to keep."""
        write_file(self.aside / "manifest.yaml", dump_yaml({"kagkit": 1, "note": note}))
        shutil.copyfile(self.ground.workspace.root / FILE, self.aside / FILE)
