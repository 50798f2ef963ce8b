"""Say what MLflow shows of a run, as plain data: parameters, tags, scores and curves with their times."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from kagkit.foundation.errors import Problem, ReproductionError
from kagkit.foundation.files import canonical_json, digest_of, read_json_lines
from kagkit.foundation.strictyaml import parse_yaml
from kagkit.runs.record import MANIFEST, Run
from kagkit.tracking.curves import Logged, Point, read_logged
from kagkit.workspace.layout import Workspace

FORMAT = 2  # of all that is shown of a run: another one has every run shown anew
LONGEST_PARAM, LONGEST_TAG, LONGEST_KEY = 6000, 8000, 250  # MLflow cuts what is longer, and says nothing
DIGEST = 12  # as much of a data version as the commands tell
DIGITS = 7  # of a score: the page cuts what is longer
GOLDEN = (5**0.5 - 1) / 2  # of the circle of hues: a step that never comes back near where it was
NOT_IN_KEYS = re.compile(r"[^\w\-. :/]")


@dataclass(frozen=True)
class Projection:
    """A run as MLflow shows it; what is equal is shown equally, whenever and wherever.

    Attributes:
        key: What the run is found again by.
        name: How people call it: `exp001/3`.
        began: When the first task that was done for it began, in milliseconds since 1970.
        ended: When it was assembled.
        params: The manifest as it was run, flat, and what was chosen of it.
        tags: All else that is known of it.
        datasets: Digests of its data versions, by name.
        batches: Metrics: the scores first, then each task's curves.
    """

    key: str
    name: str
    began: int
    ended: int
    params: dict[str, str]
    tags: dict[str, str]
    datasets: dict[str, str]
    batches: tuple[tuple[Point, ...], ...]


def run_key(run: Run) -> str:
    """What a run is found again by, in any store: its name and what it is a result of."""
    return f"{run.name}/{run.data['plan_key'][:16]}"


def state_of(scored: list[dict[str, Any]]) -> str:
    """A mark that changes when a run must be shown again: a run is immutable, its scores come later."""
    return f"{FORMAT}-{digest_of(scored)[:16]}"


def is_outdated(state: str) -> bool:
    """Whether another kagkit showed the run in its way: what MLflow has of it cannot be changed then.

    Example:
        >>> is_outdated(state_of([])), is_outdated("0-4f53cda18c2baa0c"), is_outdated("")
        (False, True, False)
    """
    return bool(state) and state.partition("-")[0] != str(FORMAT)


def project(workspace: Workspace, run: Run, scored: list[dict[str, Any]]) -> Projection:
    """Say what MLflow shows of a run.

    Args:
        workspace: The workspace; curves are read from its finished tasks.
        run: The run.
        scored: The ledger's lines of this run.

    Raises:
        DataError: Events of the run or of a task are damaged.
        ManifestError: The run's manifest is damaged.
        ReproductionError: Its record is, or a task's spec.
    """
    try:
        return _project(workspace, run, scored)
    except (KeyError, TypeError, ValueError) as error:
        where = f"runs/{run.experiment}/{run.folder.name}"
        problem = Problem(where, f"damaged: {type(error).__name__} {error}")
        raise ReproductionError(f"{run.name} cannot be shown", [problem]) from error


def _project(workspace: Workspace, run: Run, scored: list[dict[str, Any]]) -> Projection:
    told = {task["identity"]: read_logged(workspace.tasks / task["folder"]) for task in run.data["tasks"]}
    logged = {identity: found for identity, found in told.items() if found is not None}
    events = read_json_lines(run.folder / "events.jsonl")
    ended = _assembled(events, logged)
    fresh = {event["identity"] for event in events if event.get("event") == "task" and not event["reused"]}
    starts = [found.began for identity, found in logged.items() if identity in fresh]
    batches = [_scores(run, ended) + _leaderboard(run, scored)]
    batches += [[*found.points] for _, found in sorted(logged.items())]
    notes = [note for _, found in sorted(logged.items()) for note in found.notes]
    return Projection(
        key=run_key(run),
        name=run.name,
        began=min([*starts, ended]),
        ended=ended,
        params=_params(run),
        tags=_tags(run, scored, notes),
        datasets={
            f"{run.data['competition']} {source}": version[:DIGEST]
            for source, version in sorted(run.data["data"].items())
        },
        batches=_with_plain_keys(batches),
    )


def plain_keys(keys: Iterable[str]) -> dict[str, str]:
    """Names that MLflow takes, one for each key: `@`, `(` and the like become `_`, and two never one.

    Example:
        >>> plain_keys(["map@50", "loss"])
        {'loss': 'loss', 'map@50': 'map_50'}
        >>> plain_keys(["map@50", "map_50"])
        {'map@50': 'map_50_a19333', 'map_50': 'map_50'}
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    # A key that may stay as it is comes before those that would turn into it.
    for key in sorted(set(keys), key=lambda key: (_plain(key) != key, key)):
        name = _plain(key)
        if name in taken or len(name) > LONGEST_KEY:
            name = f"{name[: LONGEST_KEY - 7]}_{digest_of(key)[:6]}"
        taken.add(name)
        found[key] = name
    return dict(sorted(found.items()))


def colour_of(experiment: str) -> str:
    """The colour of an experiment's runs in every chart; numbers that follow each other differ most.

    Example:
        >>> colour_of("exp001"), colour_of("exp002")
        ('#a4b82e', '#a32eb8')
    """
    stem = experiment.rstrip("0123456789")
    hue = int(digest_of(stem)[:8], 16) / 2**32 + GOLDEN * int(experiment[len(stem) :] or 0)
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue % 1, 0.45, 0.6))


def shorten(text: str, longest: int) -> str:
    """A text as it is, or cut with a mark that says so and tells the whole one's length and digest.

    Example:
        >>> shorten("a" * 100, 60)
        'aaaaaaaaaaa … [cut: 100 characters, sha256 2816597888e4a0d3]'
    """
    if len(text) <= longest:
        return text
    mark = f" … [cut: {len(text):,} characters, sha256 {sha256(text.encode()).hexdigest()[:16]}]"
    return text[: longest - len(mark)] + mark


def _plain(key: str) -> str:
    parts = [part for part in NOT_IN_KEYS.sub("_", key).split("/") if part.strip(".")]
    return "/".join(parts) or "_"


def _with_plain_keys(batches: list[list[Point]]) -> tuple[tuple[Point, ...], ...]:
    names = plain_keys(point.key for batch in batches for point in batch)
    return tuple(
        tuple(Point(names[point.key], point.step, point.time, point.value) for point in batch)
        for batch in batches
        if batch
    )


def _assembled(events: list[Any], logged: Mapping[str, Logged]) -> int:
    """When the run was assembled; where that line is gone, when its last task was done."""
    for event in reversed(events):
        if event.get("event") == "assembled":
            return max(1, round(float(event["time"]) * 1000))
    return max((found.ended for found in logged.values()), default=1)


def _scores(run: Run, time: int) -> list[Point]:
    """CV with its spread and coverage, and each seed's fold scores as a curve over the folds."""
    data = {"cv_kept": None, "optimism": None} | run.data  # older runs do not tell it
    points = [
        Point(name, 0, time, _short(data[name]))
        for name in ("cv", "cv_std", "cv_kept", "optimism", "coverage")
        if data[name] is not None
    ]
    points += [
        Point(f"fold_score/seed{fold['seed']}", fold["fold"], time, _short(fold["score"]))
        for fold in data["folds"]
    ]
    return points


def _leaderboard(run: Run, scored: list[dict[str, Any]]) -> list[Point]:
    """Every score the host told, in the ledger's order, with its gap to the CV and between the boards."""
    points: list[Point] = []
    newest: dict[str, float] = {}
    for number, line in enumerate(scored):
        time = max(1, round(datetime.fromisoformat(line["time"]).timestamp() * 1000))
        told = {name: float(line[name]) for name in ("public", "private") if line.get(name) is not None}
        newest |= told
        for name, score in told.items():
            points.append(Point(f"lb_{name}", number, time, score))
            if run.data["cv"] is not None:
                points.append(Point(f"gap_{name}", number, time, _short(score - run.data["cv"])))
        if len(newest) == 2:
            points.append(Point("shake_up", number, time, _short(newest["private"] - newest["public"])))
    return points


def _short(score: float) -> float:
    return float(f"{score:.{DIGITS}g}")


def _params(run: Run) -> dict[str, str]:
    path = run.folder / MANIFEST
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    manifest = parse_yaml(text, f"{run.name}: {MANIFEST}").plain
    apart = ("kagkit", "note", "folds", "search")
    told = {name: value for name, value in manifest.items() if name not in apart}
    data, scores = run.data, run.data["folds"]
    told |= {"fold_set": data["fold_set"]["name"], "data.version": data["data"]["stage1"][:DIGEST]}
    if scores:
        told["seeds"] = sorted({score["seed"] for score in scores})
        told["folds"] = sorted({score["fold"] for score in scores})
    flat = _flatten(told)
    names = plain_keys(flat)
    return {names[key]: shorten(_spell(value), LONGEST_PARAM) for key, value in sorted(flat.items())}


def _flatten(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat


def _spell(value: Any) -> str:
    if isinstance(value, list) and value and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(map(_spell, value))  # MLflow would stretch JSON over as many lines
    return value if isinstance(value, str) and value else canonical_json(value)


def _tags(run: Run, scored: list[dict[str, Any]], notes: list[str]) -> dict[str, str]:
    data = run.data
    weights = [[weight["name"], weight["sha256"]] for weight in data["weights"]]
    facts = {
        "run_key": run_key(run),
        "run": run.name,
        "experiment": run.experiment,
        "folder": f"runs/{run.experiment}/{run.folder.name}",
        "stage": str(data["stage"]),
        "complete": _spell(run.complete),
        "deterministic": _spell(data.get("deterministic", True)),
        "data_version": _spell(data["data"]),
        "fold_set": _spell(data["fold_set"]),
        "plan_key": data["plan_key"],
        "metric": data["metric"]["score"],
        "greater_is_better": _spell(data["metric"]["greater_is_better"]),
        "manifest_sha256": data.get("manifest_sha256", ""),
        "oof_sha256": (data.get("oof") or {}).get("content_sha256", ""),
        "test_sha256": (data.get("test") or {}).get("content_sha256", ""),
        "submission_sha256": (data.get("submission") or {}).get("sha256", ""),
        "weights_sha256": digest_of(weights) if weights else "",
        "parents": _spell(data["parents"]) if data.get("parents") else "",
        "lb": "scored" if scored else "none",
        "left_out": "; ".join(notes),
    }
    tags = {f"kagkit.{name}": value for name, value in facts.items()}
    # MLflow would write who runs it, from which folder and commit; of a run it is the record that tells.
    tags |= {
        "mlflow.user": "kagkit",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"{run.experiment}.yaml",
        "mlflow.note.content": data["note"],
        "mlflow.runColor": colour_of(run.experiment),
    }
    return {name: shorten(value, LONGEST_TAG) for name, value in sorted(tags.items()) if value}
