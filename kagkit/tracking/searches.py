"""Say what MLflow shows of a search: one run for the whole of it, and one below it for each trial."""

from __future__ import annotations

from typing import Any

from kagkit.foundation.files import canonical_json, digest_of
from kagkit.runs.trials import DONE, RUNNING, Study, Trial, best_trial
from kagkit.tracking.curves import Point
from kagkit.tracking.projection import (
    FORMAT,
    LONGEST_PARAM,
    LONGEST_TAG,
    Projection,
    colour_of,
    plain_keys,
    shorten,
)

BEGUN = f"{FORMAT}-begun"  # the state of a search whose trials are not all shown


def over(study: Study) -> list[Trial]:
    """The trials that have ended: nothing more happens to them."""
    return [trial for trial in study.trials() if trial.state != RUNNING]


def study_state(trials: list[Trial]) -> str:
    """A mark that changes when a search has more to show."""
    return f"{FORMAT}-{digest_of([[trial.number, trial.state] for trial in trials])[:16]}"


def project_study(study: Study, trials: list[Trial]) -> Projection:
    """What is shown of a search: the CV of each trial and the best so far, as curves over the trials.

    Raises:
        DataError: study.json is damaged.
    """
    greater = bool(study.about["metric"]["greater_is_better"])
    points = []
    for place, trial in enumerate(trials, 1):
        best = best_trial(trials[:place], greater=greater)
        if trial.state == DONE and trial.cv is not None:
            points.append(Point("trial_cv", trial.number, _time(trial), trial.cv))
        if best is not None and best.cv is not None:
            points.append(Point("best_cv", trial.number, _time(trial), best.cv))
    best = best_trial(trials, greater=greater)
    counts = {state: sum(trial.state == state for trial in trials) for state in {t.state for t in trials}}
    facts = {"trials": canonical_json(counts), "best": canonical_json(best.args) if best else ""}
    name = f"{study.about['experiment']} tuned {study.folder.name}"
    began = min((round((trial.time - trial.seconds) * 1000) for trial in trials), default=1)
    ended = max(map(_time, trials), default=1)
    return _projection(name, _tags(study, facts, name), {}, (began, ended), points)


def project_trial(study: Study, trial: Trial, parent: str) -> Projection:
    """What is shown of a trial: what was tried, its CV, the scores of its folds.

    Args:
        study: The study.
        trial: The trial; it has ended.
        parent: MLflow's id of the search.

    Raises:
        DataError: study.json is damaged.
    """
    name = f"{study.about['experiment']} tuned {study.folder.name} trial {trial.number}"
    names = plain_keys(trial.args)
    params = {names[key]: shorten(_spell(value), LONGEST_PARAM) for key, value in trial.args.items()}
    points = [Point("cv", 0, _time(trial), trial.cv)] if trial.cv is not None else []
    points += [
        Point(f"fold_score/seed{fold['seed']}", fold["fold"], _time(trial), fold["score"])
        for fold in trial.folds
        if fold["score"] is not None
    ]
    tags = _tags(study, {"state": trial.state, "why": trial.why}, name) | {"mlflow.parentRunId": parent}
    began = round((trial.time - trial.seconds) * 1000)
    return _projection(name, tags, params, (began, _time(trial)), points)


def _projection(
    name: str,
    tags: dict[str, str],
    params: dict[str, str],
    times: tuple[int, int],
    points: list[Point],
) -> Projection:
    return Projection(
        key=tags["kagkit.run_key"],
        name=name,
        began=times[0],
        ended=times[1],
        params=params,
        tags=tags,
        datasets={},
        batches=(tuple(points),) if points else (),
    )


def _time(trial: Trial) -> int:
    return max(1, round(trial.time * 1000))


def _spell(value: Any) -> str:
    return value if isinstance(value, str) and value else canonical_json(value)


def _tags(study: Study, facts: dict[str, str], name: str) -> dict[str, str]:
    about = study.about
    told = {
        "run_key": name,
        "experiment": about["experiment"],
        "folder": f"runs/.tune/{about['experiment']}/{study.folder.name}",
        "metric": about["metric"]["score"],
        "greater_is_better": canonical_json(about["metric"]["greater_is_better"]),
    }
    tags = {f"kagkit.{key}": shorten(value, LONGEST_TAG) for key, value in (told | facts).items() if value}
    # MLflow would write who runs it, from which folder and commit.
    return tags | {
        "mlflow.user": "kagkit",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"{about['experiment']}.yaml",
        "mlflow.runColor": colour_of(about["experiment"]),
    }
