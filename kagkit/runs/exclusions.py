"""Find the training rows that rules leave out: by how far off another run held them, or by a list of keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import pandas as pd

from kagkit.data import contents, folds, rows
from kagkit.data.keys import shown
from kagkit.data.tables import read_table
from kagkit.foundation.errors import DataError, Problem, counted, samples
from kagkit.foundation.files import file_sha256
from kagkit.metrics.confidence import common_distances, label_distances
from kagkit.runs.grounds import Grounds
from kagkit.workspace.rowrules import Exclusion, stated

RULE = "rule"


class Exclusions:
    """The rows that one experiment leaves out."""

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds
        self._rules = grounds.experiment.manifest.rows.exclude

    def among(self, keys: pd.Index[Any]) -> pd.DataFrame:
        """Which of some training rows are left out, where these alone have a say.

        Args:
            keys: The rows that would be trained on.

        Returns:
            By key, in their order: the number of the first `rule` that says so.

        Raises:
            DataError: A rule fits no row or column.
            ReproductionError: The run that a rule names is damaged.
        """
        self._refuse_strange_columns()
        found = pd.Series(-1, index=keys)
        for number, rule in reversed(list(enumerate(self._rules))):
            hit = folds.is_in(keys, self._listed[rule.keys]) if rule.keys else self._beyond(rule, keys)
            found = found.mask(hit, number)
        return found[found >= 0].to_frame(RULE)

    def told(self, judged: pd.DataFrame, by_fold: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
        """What the record tells of each rule.

        Args:
            judged: What `among` says of all training rows.
            by_fold: What it says of the training rows of each fold, by its name.
        """
        facts = []
        for number, rule in enumerate(self._rules):
            own = judged[judged[RULE] == number]
            counts = {fold: int((frame[RULE] == number).sum()) for fold, frame in by_fold.items()}
            told = {"rule": stated(rule)} | (self._list_told(rule) if rule.keys else self._run_told(rule))
            facts.append(told | {"rows": len(own), "folds": counts, "keys_sha256": contents.digest(own[[]])})
        return facts

    def _run_told(self, rule: Exclusion) -> dict[str, Any]:
        train = self._grounds.train
        concerned = train.index[_concerned(rule, train)]
        unjudged = int(self._distances[rule.run, rule.column].reindex(concerned).isna().sum())
        return {"run": self._grounds.run(rule.run).name, "unjudged": unjudged}

    def _list_told(self, rule: Exclusion) -> dict[str, Any]:
        unknown = int((~folds.is_in(self._listed[rule.keys], self._grounds.train.index)).sum())
        return {"sha256": file_sha256(self._grounds.workspace.root / rule.keys), "unknown": unknown}

    def _beyond(self, rule: Exclusion, keys: pd.Index[Any]) -> Any:
        assert rule.above is not None  # noqa: S101 (refused where the manifest was read)
        frame = self._grounds.train.loc[keys]
        distances = self._distances[rule.run, rule.column].reindex(keys).where(_concerned(rule, frame))
        if rule.by is not None:
            distances = common_distances(distances, frame, rule.by, rule.common)
        return (distances > rule.above).to_numpy()

    @cached_property
    def _distances(self) -> dict[tuple[str, str | None], pd.Series[float]]:
        """How far held-out predictions are from the labels, by run and column."""
        grounds = self._grounds
        asked = dict.fromkeys((rule.run, rule.column) for rule in self._rules if rule.run)
        return {
            (run, column): label_distances(grounds.held_out(run), grounds.train, grounds.targets, column)
            for run, column in asked
        }

    @cached_property
    def _listed(self) -> dict[str, pd.Index[Any]]:
        """The keys of each list; one that names no training row is refused."""
        grounds, names = self._grounds, list(self._grounds.competition.rows.key)
        found: dict[str, pd.Index[Any]] = {}
        for file in grounds.experiment.manifest.rows.key_files:
            path = grounds.workspace.root / file
            if file.endswith(".txt"):
                lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
                found[file] = pd.Index([line for line in lines if line], name=names[0], dtype="str")
            else:
                found[file] = read_table(path, names).set_index(names).index
            if not folds.is_in(found[file], grounds.train.index).any():
                told = f"none of its {counted(len(found[file]), 'key')} is a training row"
                expected = f"keys such as {shown(grounds.train.index[:3].tolist())}"
                raise DataError("a list of keys fits no row", [Problem(file, told, expected)])
        return found

    def _refuse_strange_columns(self) -> None:
        known = rows.names_of(self._grounds.train)
        problems = [
            Problem(f"rows.exclude[{number}]", f"{name}: no column of the training rows", samples(known))
            for number, rule in enumerate(self._rules)
            for name in (*rule.where, *([rule.by] if rule.by else []))
            if name not in known
        ]
        if problems:
            raise DataError("rules name columns that are not there", problems)


def _concerned(rule: Exclusion, frame: pd.DataFrame) -> Any:
    """Whether each row is one that a rule is for."""
    hit = pd.Series(True, index=frame.index)
    for name, value in rule.where.items():
        hit &= rows.column_of(frame, name).astype("str") == str(value)
    return hit.to_numpy()
