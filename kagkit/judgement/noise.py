"""Measure the noise of runs from their OOF predictions: once for each run, kept until something changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import KagkitError, ManifestError
from kagkit.foundation.files import digest_of, read_json, write_json
from kagkit.judgement.lab import Lab
from kagkit.runs.record import Run
from kagkit.workspace.layout import Workspace

FORMAT = 1
DIGITS = 9

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
    lab = Lab(workspace)
    refused = {}
    for number, run in enumerate(missing, 1):
        if told is not None:
            told(number, len(missing), run.name)
        try:
            found[run.name] = _measure(workspace, lab, run)
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


def _measure(workspace: Workspace, lab: Lab, run: Run) -> Noise:
    from kagkit.metrics import resampling

    scorer, scored = lab.score_again(run)
    scores = resampling.prepare_scores(scorer, scored)
    units = resampling.name_units(scored.unit)
    cv = resampling.draw_cv(scores, units)
    if sum(map(math.isfinite, cv)) < len(cv) / 2:
        raise KagkitError("the metric is not defined on most draws of the rows")
    public_rows, private_rows = _board(workspace, run, len(scored.unit))
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


def _board(workspace: Workspace, run: Run, ids: int) -> tuple[int | None, int | None]:
    """The ids behind the public and the private board: as many a test row as a training row has."""
    share = workspace.competition.stages[str(run.data["stage"])].public_share
    told = run.data.get("rows")
    if share is None or not told or not told["test"]:
        return None, None
    covered = told["train"] * run.data["coverage"]
    total = round(told["test"] * ids / covered)
    public = max(round(share * total), 1)
    return public, total - public


def _rounded(found: Any) -> tuple[float, ...]:
    values = [float(value) for value in found if math.isfinite(value)]
    mean = math.fsum(values) / len(values) if values else 0.0
    return tuple(round(value - mean, DIGITS) for value in values)


def _or_none(score: Callable[[], float]) -> float | None:
    try:
        return score()
    except KagkitError:
        return None
