"""Call up what stored predictions say of a submission's rows: members, a frozen model, the run made again."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from kagkit.data.folds import is_in
from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import DataError, KagkitError, Problem, ReproductionError
from kagkit.judgement.answers import Answers, Form, read_answers
from kagkit.judgement.lab import Lab
from kagkit.judgement.suspicions import Side
from kagkit.metrics.scoring import read_submission
from kagkit.runs.interface import interface_from
from kagkit.runs.record import Run, experiments_with_runs, find_run, find_submission, latest_run
from kagkit.runs.starting import START
from kagkit.runs.store import Stored, read_task, verify_task
from kagkit.runs.usable import making_of, manifest_of
from kagkit.workspace.layout import Workspace
from kagkit.workspace.shipped import list_shipped

if TYPE_CHECKING:
    from kagkit.metrics.scoring import Scorer

Which = Literal["valid", "test"]
Fit = tuple[int, int | None]
MOST_ROWS = 4_000  # out-of-fold rows that become answers


@dataclass(frozen=True, eq=False)
class Witness:
    """A run, and what its stored predictions say in submission format.

    Attributes:
        workspace: The workspace.
        run: The run.
        variant: Which of its submissions; the first where empty.
    """

    workspace: Workspace
    run: Run
    variant: str = ""

    @cached_property
    def form(self) -> Form:
        """How its submission is read."""
        return Form.of(self.workspace.competition)

    @property
    def recipe(self) -> str:
        """The recipe of its manifest."""
        return manifest_of(self.run).recipe

    @property
    def is_plain(self) -> bool:
        """Whether its submission is what was predicted, and no function makes it of that."""
        return making_of(self.run, manifest_of(self.run), self.variant).make is None

    @cached_property
    def lab(self) -> Lab:
        """Its rows."""
        return Lab(self.workspace)

    @cached_property
    def _scorer(self) -> Scorer:
        """What makes its submission, as its record tells: its folds may have grown since."""
        from kagkit.metrics.scoring import Scorer

        told = self.run.data.get("interface")
        if not told:
            problem = Problem(self.run.name, "its record does not say how answers are made of predictions")
            raise ReproductionError("nothing can be made of its predictions", [problem])
        facts = interface_from(told)
        making = making_of(self.run, manifest_of(self.run), self.variant)
        root, competition = self.workspace.root, self.workspace.competition
        return Scorer(root, competition, making, None, facts.targets, None, facts.answers)

    def file(self) -> Answers:
        """The submission it wrote.

        Raises:
            KagkitError: It wrote none, or it cannot be read.
        """
        path = self.run.folder / find_submission(self.run, self.variant).file
        return read_answers(read_submission(path, self.form.key), self.form)[0]

    def tables(self, which: Which) -> dict[Fit, Predictions]:
        """What each seed and fold predicted of the rows it held out, or of the test.

        Raises:
            ReproductionError: A finished task is gone or damaged.
        """
        found: dict[Fit, Predictions] = {}
        problems: list[Problem] = []
        for task in self.run.data["tasks"]:
            if task["kind"] not in ("train", "predict"):  # a train that keeps no weights predicts, too
                continue
            folder = self.workspace.tasks / task["folder"]
            if not (folder / "task.json").is_file():
                problems.append(
                    Problem(task["label"], "its task is gone", hint=f"kagkit run {self.run.experiment}")
                )
                continue
            problems += verify_task(Stored(folder, read_task(folder)))
            path = folder / "out" / f"{which}.arrow"
            if path.is_file():
                fit = task["ingredients"]["seed"], task["ingredients"]["fold"]
                found[fit] = Predictions.open(path)
        if problems:
            raise ReproductionError(f"the stored predictions of {self.run.name} are not whole", problems)
        return dict(
            sorted(found.items(), key=lambda item: (item[0][0], -1 if item[0][1] is None else item[0][1]))
        )

    def members(self) -> list[Answers]:
        """What each seed and fold, or each run that a blend is of, says of the test rows, as answers."""
        inputs = self.inputs()
        if inputs:
            told = [Predictions.open(run.folder / run.data["test"]["file"]) for run in inputs.values()]
        else:
            told = list(self.tables("test").values())
        return [self.answer(table, self._test) for table in told]

    def inputs(self) -> dict[str, Run]:
        """The runs that it only combines, by what its manifest calls them; none for a model."""
        manifest = manifest_of(self.run)
        if self.recipe not in list_shipped():
            return {}
        fed = {parent["input"]: parent["run"] for parent in self.run.data["parents"]}
        return {name: find_run(self.workspace, fed[name]) for name in manifest.inputs}

    def rebuilt(self) -> Answers:
        """The submission that stored predictions make by the manifest's `combine` and `submission`."""
        return self.answer(self._combined(list(self.tables("test").values())), self._test)

    def by_fold(self) -> dict[int | None, Answers]:
        """What each fold says of the test rows, its seeds combined."""
        folds: dict[int | None, list[Predictions]] = {}
        for (_, fold), table in self.tables("test").items():
            folds.setdefault(fold, []).append(table)
        return {fold: self.answer(self._combined(tables), self._test) for fold, tables in folds.items()}

    def oof(self, keys: pd.Index[Any] | None = None) -> Answers | None:
        """What was said of training rows out of fold; None where nothing was held out.

        Args:
            keys: Which rows; all, thinned evenly where there are very many, when None.
        """
        if not self.run.data.get("oof"):
            return None
        table = Predictions.open(self.run.folder / self.run.data["oof"]["file"])
        rows = self.train_rows
        rows = rows[is_in(rows.index, table.keys if keys is None else keys)]
        return self.answer(table, rows.iloc[:: -(-len(rows) // MOST_ROWS) or 1])

    def answer(self, table: Predictions, rows: pd.DataFrame) -> Answers:
        """Predictions of some rows as answers.

        Raises:
            KagkitError: They cannot be made into a submission.
        """
        return read_answers(self._scorer.make(table, rows), self.form)[0]

    def side(self, file: Answers, rows: pd.DataFrame, **said: Any) -> Side:
        """What is said of some rows with the groups they belong to, all in the order of the file."""
        known: dict[str, Any] = {"members": tuple(said.get("members", ()))}
        known["members"] = tuple(each.take(file.ids) for each in known["members"])
        if said.get("anchor") is not None:
            known["anchor"] = said["anchor"].take(file.ids)
        return Side(file, self.groups(file, rows), **known)

    def groups(self, file: Answers, rows: pd.DataFrame) -> Any:
        """(n,) a number for the group of each id; for its own where an id does not begin with a row's key."""
        names = ("_".join(key) if isinstance(key, tuple) else str(key) for key in rows.index)
        known = dict(zip(names, self.lab.group_of(rows), strict=True))
        return pd.factorize(pd.Series([_group_of(str(one), known) for one in file.ids]))[0]

    def oof_keys(self) -> pd.Index[Any]:
        """The rows that were predicted out of fold."""
        told = self.run.data.get("oof")
        return Predictions.open(self.run.folder / told["file"]).keys if told else self._test.index[:0]

    @cached_property
    def train_rows(self) -> pd.DataFrame:
        """The training rows."""
        return self._read("train")

    @property
    def test_rows(self) -> pd.DataFrame:
        """The rows to be predicted."""
        return self._test

    @cached_property
    def _test(self) -> pd.DataFrame:
        return self._read("test")

    def _read(self, split: Literal["train", "test"]) -> pd.DataFrame:
        try:
            return self.lab.read_rows(self.run, split)
        except (OSError, KeyError) as error:  # not cached, or never pinned
            problem = Problem(f"{split} rows", "no longer cached", hint=f"kagkit run {self.run.experiment}")
            raise DataError(f"the rows of {self.run.name} are not here", [problem]) from error

    def _combined(self, tables: list[Predictions]) -> Predictions:
        if self.run.imported:
            raise KagkitError(f"{self.run.name} was made elsewhere: its members are not here")
        from kagkit.data import combining
        from kagkit.foundation.component import import_function

        how: Any = manifest_of(self.run).combine
        how = import_function(self.workspace.root, how) if ":" in how else how
        self.workspace.work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.workspace.work, prefix="blind-") as folder:
            path = Path(folder) / "test.arrow"
            combining.combine(path, tables, how)
            return Predictions.open(path)


def _group_of(name: str, known: dict[str, Any]) -> Any:
    """The group of the row that an id is of: the id is its key, or begins with it, as `ID_28f_epidural`."""
    row = name
    while row and row not in known:
        row = row.rpartition("_")[0]
    return known.get(row, name)


def raw_columns(rows: pd.DataFrame, file: Answers) -> pd.DataFrame:
    """The columns of numbers of some rows, in the order of a file; none where its ids are not their keys."""
    names = pd.Index(["_".join(key) if isinstance(key, tuple) else str(key) for key in rows.index])
    if not set(file.ids) <= set(names):
        return pd.DataFrame(index=file.ids)
    return rows.select_dtypes("number").set_axis(names).loc[file.ids]


def find_start(workspace: Workspace, run: Run) -> Run | None:
    """The run of stage 1 whose weights a run goes on from; None where it begins anew.

    Raises:
        KagkitError: It is gone or damaged.
    """
    name = next((parent["run"] for parent in run.data["parents"] if parent["input"] == START), None)
    return None if name is None else find_run(workspace, name)


def is_frozen(run: Run) -> bool:
    """Whether all weights of a run are those of stage 1."""
    return not run.imported and manifest_of(run).frozen.all


def find_frozen(workspace: Workspace, run: Run) -> Run | None:
    """The latest run of stage 2 that predicts by the same model's frozen weights; None where there is none.

    Raises:
        KagkitError: A record is damaged.
    """
    if run.data["stage"] != 2 or run.imported:
        return None
    parent = manifest_of(run).parent
    for name in experiments_with_runs(workspace):
        found = latest_run(workspace, name, complete=True)
        if found is None or found.data["stage"] != 2 or not is_frozen(found):
            continue
        if parent and manifest_of(found).parent == parent:
            return found
    return None
