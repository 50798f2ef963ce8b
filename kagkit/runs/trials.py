"""Keep the trials of a study, append-only; say which may stop, which is best, how much that flatters."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import DataError, Problem
from kagkit.foundation.files import append_json_line, read_json, read_json_lines, write_json
from kagkit.workspace.layout import Workspace

RUNNING, DONE, PRUNED, FAILED = "running", "done", "pruned", "failed"
STUDY, LEDGER, FORMAT = "study.json", "trials.jsonl", 1
NEEDED_TO_PRUNE = 4  # finished trials, before their median is a yardstick


@dataclass(frozen=True)
class Trial:
    """One try of a study.

    Attributes:
        number: From 1 on; the first is the manifest as it stands.
        args: What was tried, by the key of the manifest that it sets: `args.lr`.
        state: `running`, `done`, `pruned` or `failed`.
        folds: Seed, fold, score and rows of each fold that was scored, in the order of seeds and folds.
        cv: The CV; None unless it is done.
        tasks: The keys of its tasks.
        seconds: How long it took.
        why: Why it failed.
        time: When it last began or ended, in seconds since 1970.
    """

    number: int
    args: dict[str, Any]
    state: str = RUNNING
    folds: tuple[dict[str, Any], ...] = ()
    cv: float | None = None
    tasks: tuple[str, ...] = ()
    seconds: float = 0.0
    why: str = ""
    time: float = 0.0

    @property
    def is_first(self) -> bool:
        """Whether it is the manifest as it stands."""
        return self.number == 1

    @property
    def means(self) -> list[float]:
        """The mean score after the first fold, the second and so on; a fold without a score changes none."""
        scores: list[float] = []
        means = []
        for fold in self.folds:
            scores += [fold["score"]] if fold["score"] is not None else []
            means += [statistics.fmean(scores)] if scores else []
        return means

    @property
    def mean(self) -> float | None:
        """The mean score of the folds there are."""
        return self.means[-1] if self.means else None


@dataclass(frozen=True)
class Study:
    """A study's folder: what it is about, and its ledger.

    Attributes:
        folder: The folder, below `runs/.tune/EXP/`.
    """

    folder: Path

    @property
    def ledger(self) -> Path:
        """Its trials, a line for each thing that happened."""
        return self.folder / LEDGER

    @cached_property
    def about(self) -> dict[str, Any]:
        """What study.json says.

        Raises:
            DataError: It is damaged.
        """
        try:
            told: dict[str, Any] = read_json(self.folder / STUDY)
            found = f"format {told['kagkit']}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            told, found = {}, type(error).__name__
        if told.get("kagkit") != FORMAT:
            problem = Problem(STUDY, found, f"format {FORMAT}", "restore it, or move its folder away")
            raise DataError(f"the study {self.folder.name} cannot be read", [problem])
        return told

    def begin(self, about: Mapping[str, Any]) -> None:
        """Write what the study is about, unless it is there."""
        if not (self.folder / STUDY).exists():
            write_json(self.folder / STUDY, {"kagkit": FORMAT, **about})

    def note(self, number: int, **facts: Any) -> None:
        """Append what happened to a trial."""
        append_json_line(self.ledger, {"trial": number, **facts})

    def trials(self) -> list[Trial]:
        """Every trial as it stands, by number.

        Raises:
            DataError: A line of the ledger is damaged.
        """
        found: dict[int, Trial] = {}
        for line in read_json_lines(self.ledger):
            try:
                facts = {name: value for name, value in line.items() if name != "trial"}
                facts |= {name: tuple(facts[name]) for name in ("folds", "tasks") if name in facts}
                number = line["trial"]
                found[number] = replace(found[number], **facts) if number in found else Trial(number, **facts)
            except (AttributeError, KeyError, TypeError) as error:
                problem = Problem(LEDGER, f"a line that is no trial: {error}", hint="restore the file")
                raise DataError(f"the study {self.folder.name} is damaged", [problem]) from None
        return [found[number] for number in sorted(found)]


def needed_tasks(study: Study) -> set[str]:
    """The keys of the tasks that a study still needs: those of its best trial, and of the one it is at.

    Of the other trials the scores are kept, and these are in the ledger.

    Raises:
        DataError: The study is damaged.
    """
    trials, greater = study.trials(), bool(study.about["metric"]["greater_is_better"])
    needed = [trial for trial in trials if trial.state == RUNNING]
    best = best_trial(trials, greater=greater)
    return {key for trial in (*needed, *([best] if best else [])) for key in trial.tasks}


def studies_folder(workspace: Workspace) -> Path:
    """Where studies are kept: they cannot be made again from anything."""
    return workspace.runs / ".tune"


def all_studies(workspace: Workspace) -> list[Study]:
    """Every study of a workspace, by experiment and key."""
    return [Study(path.parent) for path in sorted(studies_folder(workspace).glob(f"*/*/{STUDY}"))]


def best_trial(trials: Sequence[Trial], *, greater: bool) -> Trial | None:
    """The finished trial with the best CV, the earliest of equals; None before any is finished."""
    best: Trial | None = None
    for trial in trials:
        if trial.cv is None:
            continue
        if best is None or best.cv is None or (trial.cv > best.cv if greater else trial.cv < best.cv):
            best = trial
    return best


def may_stop(folds: Sequence[Mapping[str, Any]], trials: Sequence[Trial], *, greater: bool) -> bool:
    """Whether a trial is so much worse on its first folds that the others need not be trained.

    It is where the mean of its first folds is worse than the median of what the finished trials had on the
    very same folds: at least four trials are finished, which rules out stopping before there is a yardstick.

    Args:
        folds: The scores of its first folds.
        trials: The trials before, whatever became of them.
        greater: Whether a larger score is the better one.

    References:
        The median stopping rule of Golovin et al., "Google Vizier", KDD 2017, with folds for steps.

    Example:
        >>> def folds(*scores):
        ...     return tuple({"seed": 0, "fold": k, "score": score} for k, score in enumerate(scores))
        >>> pairs = [(0.7, 0.8), (0.7, 0.8), (0.6, 0.8), (0.5, 0.9)]
        >>> before = [Trial(number, {}, DONE, folds(*pair)) for number, pair in enumerate(pairs)]
        >>> [may_stop(folds(score), before, greater=True) for score in (0.6, 0.7)]
        [True, False]
    """
    mean = Trial(0, {}, folds=tuple(dict(fold) for fold in folds)).mean
    others = [replace(trial, folds=trial.folds[: len(folds)]).mean for trial in trials if trial.state == DONE]
    known = [other for other in others if other is not None]
    if mean is None or len(known) < NEEDED_TO_PRUNE:
        return False
    return mean < statistics.median(known) if greater else mean > statistics.median(known)


def find_optimism(trials: Sequence[Trial], *, greater: bool) -> float | None:
    """How much the best trial flatters: against trials chosen for each fold on the other folds.

    No fold's score has a say in which trial it is scored by, as in a nested cross-validation whose inner
    folds are the other folds' scores. Nothing is trained for it.

    Args:
        trials: The trials; those that are done count.
        greater: Whether a larger score is the better one.

    Returns:
        How much better the best trial's mean over the folds is than that of the trials so chosen: above 0, it
        flatters. None with fewer than two finished trials or folds, or where a fold has no score.

    References:
        Varma and Simon, "Bias in error estimation when using cross-validation for model selection", BMC
        Bioinformatics 7:91, 2006; Cawley and Talbot, "On over-fitting in model selection", JMLR 11, 2010.
    """
    tables = [_by_fold(trial) for trial in trials if trial.state == DONE]
    folds = sorted(tables[0]) if tables else []
    if len(tables) < 2 or len(folds) < 2 or any(None in table.values() for table in tables):
        return None
    sign = 1 if greater else -1

    def chosen(among: Sequence[int]) -> dict[int, float]:
        return max(tables, key=lambda table: sign * statistics.fmean(table[fold] for fold in among))

    best = statistics.fmean(chosen(folds).values())
    held_out = statistics.fmean(chosen([k for k in folds if k != fold])[fold] for fold in folds)
    return sign * (best - held_out)


def _by_fold(trial: Trial) -> dict[int, Any]:
    """A trial's score of each fold, seeds averaged; None where one has none."""
    found: dict[int, list[Any]] = {}
    for fold in trial.folds:
        found.setdefault(fold["fold"], []).append(fold["score"])
    return {fold: None if None in scores else statistics.fmean(scores) for fold, scores in found.items()}
