"""Measure the noise of runs from their OOF predictions: once for each run, kept until something changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import KagkitError, ManifestError
from kagkit.foundation.files import digest_of, read_json, write_json
from kagkit.foundation.schema import read_tree
from kagkit.foundation.strictyaml import read_yaml
from kagkit.runs.inputs import FOLDS
from kagkit.runs.record import Run
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Making, Manifest

if TYPE_CHECKING:
    import pandas as pd

    from kagkit.data.predictions import Predictions
    from kagkit.metrics.resampling import Scored
    from kagkit.metrics.scoring import Scorer

FORMAT = 1
DIGITS = 9
SAME_SCORE = 1e-6

Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Noise:
    """How far a run's scores move by chance.

    Attributes:
        cv: Scores of rows drawn anew, groups whole; deviations from their mean.
        public: Scores of a public board's rows, as deviations; empty where its size is not known.
        interval: The 90 % interval of the CV.
        rows: How many ids the CV is on.
        public_rows: How many ids are behind the public board; None where that is not known.
        private_rows: How many are not.
        shuffled: The score after the predictions were dealt to other rows.
        units: Two runs of the same units were drawn alike: their differences are paired.
        method: How it was done, in words.
    """

    cv: tuple[float, ...]
    public: tuple[float, ...]
    interval: tuple[float, float]
    rows: int
    public_rows: int | None
    private_rows: int | None
    shuffled: float | None
    units: str
    method: str

    @property
    def cv_sd(self) -> float:
        """The standard error of the CV."""
        return _sd(self.cv)

    @property
    def public_sd(self) -> float | None:
        """The standard deviation of a public score of a board of unseen rows; None where it is not known."""
        return _sd(self.public) if self.public else None


def paired_sd(first: Noise, second: Noise, which: str) -> float | None:
    """The standard deviation of the difference of two runs, `cv` or `public`; None where it is not known.

    Drawn on the same rows, what is hard for both cancels; on other rows nothing does.
    """
    a, b = getattr(first, which), getattr(second, which)
    if not a or not b:
        return None
    if first.units == second.units and len(a) == len(b):
        return _sd([x - y for x, y in zip(a, b, strict=True)])
    return math.hypot(_sd(a), _sd(b))


def _sd(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1))


def measure_noise(
    workspace: Workspace, runs: Sequence[Run], told: Told | None = None
) -> tuple[dict[str, Noise], dict[str, str]]:
    """The noise of some runs, from what was measured before where nothing changed since.

    Args:
        workspace: The workspace.
        runs: The runs.
        told: Is called before each run that is measured anew: its place, of how many, its name.

    Returns:
        The noise by the run's name; and by name, in words, why there is none.
    """
    found: dict[str, Noise] = {}
    for run in runs:
        kept = _read(_place(workspace, run))
        if kept is not None:
            found[run.name] = kept
    missing = [run for run in runs if run.name not in found and run.data.get("oof")]
    lab = _Lab(workspace)
    refused = {}
    for number, run in enumerate(missing, 1):
        if told is not None:
            told(number, len(missing), run.name)
        try:
            found[run.name] = lab.measure(run)
        except ManifestError:
            raise  # the metric as it is declared is at fault, for every run alike
        except KagkitError as error:
            refused[run.name] = "; ".join([error.summary, *(problem.found for problem in error.problems)])
        except Exception as error:  # the user's metric and loader are called here
            refused[run.name] = f"{type(error).__name__}: {error}"
        else:
            write_json(_place(workspace, run), {"kagkit": FORMAT} | asdict(found[run.name]))
    return found, refused


def _place(workspace: Workspace, run: Run) -> Path:
    """Where a run's noise is kept: under all that decides it."""
    competition = workspace.competition
    share = competition.stages[str(run.data["stage"])].public_share
    decides = [FORMAT, run.data["seal"], asdict(competition.metric), competition.rows.group, share]
    return workspace.cache / "noise" / f"{digest_of(decides)[:32]}.json"


def _read(path: Path) -> Noise | None:
    try:
        kept = read_json(path)
        if kept.pop("kagkit") != FORMAT:
            return None
        for name in ("cv", "public", "interval"):
            kept[name] = tuple(kept[name])
        return Noise(**kept)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None  # a damaged cache is made again


class _Lab:
    """Scores runs' OOF predictions again, on the rows that are cached."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._units: dict[str, pd.Series[Any]] = {}

    def measure(self, run: Run) -> Noise:
        from kagkit.metrics import resampling

        scorer, scored = self._score_again(run)
        scores = resampling.prepare_scores(scorer, scored)
        units = resampling.name_units(scored.unit)
        cv = resampling.draw_cv(scores, units)
        if sum(map(math.isfinite, cv)) < len(cv) / 2:
            raise KagkitError("the metric is not defined on most draws of the rows")
        public_rows, private_rows = self._board(run, len(scored.unit))
        public: Any = resampling.draw_public(scores, units, public_rows) if public_rows else ()
        low, high = resampling.interval_of(cv)
        # Averaged over folds, the CV stands a little beside the score of all rows.
        moved = run.data["cv"] - scorer.score_aligned(scored.truth, scored.answer, scored.row_id)
        return Noise(
            cv=_rounded(cv),
            public=_rounded(public),
            interval=(low + moved, high + moved),
            rows=len(scored.unit),
            public_rows=public_rows,
            private_rows=private_rows,
            shuffled=_or_none(lambda: resampling.score_shuffled(scorer, scored)),
            units=units,
            method=scores.method,
        )

    def _score_again(self, run: Run) -> tuple[Scorer, Scored]:
        """The run's OOF predictions in submission format, proved to make the CV that is recorded."""
        from kagkit.data import folds
        from kagkit.data.predictions import Predictions
        from kagkit.metrics.resampling import Scored
        from kagkit.metrics.scoring import align_tables

        scorer, train = self._scorer(run)
        predicted = Predictions.open(run.folder / run.data["oof"]["file"])
        rows = train.loc[folds.is_in(train.index, predicted.keys)]
        answer = self._held_out(run, scorer, predicted, rows)
        truth, answer, row_id = align_tables(
            scorer.solution(rows), answer, list(scorer.competition.submission_key)
        )
        scored = Scored(truth, answer, row_id, self._units_of(scorer, rows))
        score = scorer.score_aligned(truth, answer, row_id)
        recorded = run.data["cv"]
        pooled = scorer.competition.metric.cv == "pooled"
        if pooled and not math.isclose(score, recorded, rel_tol=SAME_SCORE, abs_tol=SAME_SCORE):
            raise KagkitError(
                f"its OOF predictions score {score:.6g} now and made {recorded:.6g}: code changed since"
            )
        return scorer, scored

    def _held_out(self, run: Run, scorer: Scorer, predicted: Predictions, rows: pd.DataFrame) -> pd.DataFrame:
        """The submission of some training rows; where arguments were found, by those of the other folds."""
        import pandas as pd

        from kagkit.data import folds

        fit = run.submissions[0].told.get("fit") if run.submissions else None
        if fit is None:
            return scorer.make(predicted, rows)
        own = self._workspace.fold_file(run.data["fold_set"]["name"])
        table = run.folder / FOLDS if run.imported else own
        fold_of = folds.read(table, scorer.competition.rows.key).reindex(rows.index)
        parts = []
        for fold, args in fit["fold_args"].items():
            fitted = replace(scorer, making=replace(scorer.making, args=args))
            parts.append(fitted.make(predicted, rows[(fold_of == int(fold)).to_numpy()]))
        return pd.concat(parts)

    def _units_of(self, scorer: Scorer, rows: pd.DataFrame) -> pd.Series[Any]:
        import pandas as pd

        from kagkit.data.rows import column_of, key_texts
        from kagkit.metrics.resampling import find_units

        keys = key_texts(rows.index)
        name = digest_of(keys)
        if name not in self._units:
            column = self._workspace.competition.rows.group
            own = pd.Series(keys, rows.index)
            group = (
                own
                if column is None
                else column_of(rows, column).astype("str").where(lambda g: g.notna(), own)
            )
            self._units[name] = find_units(scorer, rows, group)
        return self._units[name]

    def _scorer(self, run: Run) -> tuple[Scorer, pd.DataFrame]:
        from kagkit.metrics.scoring import Scorer, read_sample
        from kagkit.runs.material import cached_material, stage_sources

        stage, made_of = run.data["stage"], run.data["data"]
        for source in stage_sources(stage):
            if source not in self._lock or self._lock[source].version != made_of.get(source):
                raise KagkitError("its data are no longer the pinned ones")
        key = self._rows_key(stage)
        named = run.data["fold_set"]["name"]  # of an imported run the set may be none of these
        own = named if self._workspace.fold_file(named).exists() else "main"
        material = cached_material(self._workspace, key, own)
        if material is None:
            raise KagkitError(f"its rows are no longer cached: kagkit run {run.experiment}")
        train = self._train(key)
        competition = self._workspace.competition
        sample = read_sample(self._workspace.root, competition)
        making = _making(run)
        root = self._workspace.root
        return Scorer(root, competition, making, sample, material.targets, train), train

    def _board(self, run: Run, ids: int) -> tuple[int | None, int | None]:
        """The ids behind the public and the private board: as many a test row as a training row has."""
        share = self._workspace.competition.stages[str(run.data["stage"])].public_share
        told = run.data.get("rows")
        if share is None or not told or not told["test"]:
            return None, None
        covered = told["train"] * run.data["coverage"]
        total = round(told["test"] * ids / covered)
        public = max(round(share * total), 1)
        return public, total - public

    @cached_property
    def _lock(self) -> dict[str, Any]:
        from kagkit.data.versions import read_lock

        return dict(read_lock(self._workspace.root))

    def _rows_key(self, stage: int) -> str:
        from kagkit.runs.material import rows_key

        pinned = {
            source: {part: told.sha256 for part, told in locked.parts.items()}
            for source, locked in self._lock.items()
        }
        return rows_key(self._workspace, stage, pinned)

    def _train(self, key: str) -> pd.DataFrame:
        from kagkit.data import contents
        from kagkit.runs.material import rows_folder

        if key not in self._tables:
            self._tables[key] = contents.read(rows_folder(self._workspace, key) / "train.arrow")
        return self._tables[key]

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return {}


def _making(run: Run) -> Making:
    """How the run's predictions became a submission, as its own manifest says."""
    name = "manifest.yaml"
    try:
        return read_tree(Manifest, read_yaml(run.folder / name, name), name).making
    except ManifestError as error:
        raise KagkitError("its manifest cannot be read") from error


def _rounded(found: Any) -> tuple[float, ...]:
    values = [float(value) for value in found if math.isfinite(value)]
    mean = math.fsum(values) / len(values) if values else 0.0
    return tuple(round(value - mean, DIGITS) for value in values)


def _or_none(score: Callable[[], float]) -> float | None:
    try:
        return score()
    except KagkitError:
        return None
