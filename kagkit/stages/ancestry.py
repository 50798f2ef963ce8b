"""Trace a final submission down to every weight in it: whose, of which stage, how much it counts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from kagkit.foundation.files import digest_of
from kagkit.foundation.strictyaml import read_yaml
from kagkit.runs.record import Run, find_run
from kagkit.runs.starting import START
from kagkit.stages.manifests import BLEND
from kagkit.workspace.layout import Workspace
from kagkit.workspace.shipped import list_shipped

Fit = tuple[int, int | None]


@dataclass(frozen=True)
class Ancestor:
    """One fit that predicts in a final: the keys of `final.members` of `kagkit stage2 --json`.

    Attributes:
        experiment: Its experiment.
        run: Its run.
        stage: On which stage's rows its weights were found.
        seed: Its seed.
        fold: The fold it held out; None for a fit on all rows.
        weights_sha256: Of its file, or of all its files' names and digests; None where none are kept.
        data_version: Of the data its weights were found on.
        weight: Its share of the final; None below what has no shares, a stack say.
    """

    experiment: str
    run: str
    stage: int
    seed: int
    fold: int | None
    weights_sha256: str | None
    data_version: str
    weight: float | None


def trace_ancestors(workspace: Workspace, run: Run, weight: float | None = 1.0) -> list[Ancestor]:
    """Every fit that predicts the test in a run, or in what feeds it.

    Args:
        workspace: The workspace.
        run: The run.
        weight: Its share.

    Raises:
        ManifestError: What fed it is gone.
        ReproductionError: A record is damaged.
    """
    told = read_yaml(run.folder / "manifest.yaml", "manifest.yaml").plain
    if told.get("recipe") not in list_shipped():
        return _own(workspace, run, weight)
    shares = _shares(run) if told["recipe"] == BLEND else {}
    found = []
    for parent in run.data["parents"]:
        if parent["input"] in told["inputs"]:
            share = shares.get(parent["input"])
            part = None if weight is None or share is None else weight * share
            found += trace_ancestors(workspace, find_run(workspace, parent["run"]), part)
    return found


def _own(workspace: Workspace, run: Run, weight: float | None) -> list[Ancestor]:
    fits, own = _fits(run), _digests(run)
    start = next((each["run"] for each in run.data["parents"] if each["input"] == START), None)
    before = find_run(workspace, start) if start else None
    frozen = _digests(before) if before else {}
    found = []
    for seed, fold in fits:
        sha256 = own.get((seed, fold))
        old = (
            before
            if before is not None and sha256 is not None and frozen.get((seed, fold)) == sha256
            else run
        )
        stage = old.data["stage"]
        version = old.data["data"][f"stage{stage}"]
        share = None if weight is None else weight / len(fits)
        found.append(Ancestor(run.experiment, run.name, stage, seed, fold, sha256, version, share))
    return found


def _fits(run: Run) -> list[Fit]:
    """The fits that predict the test rows."""
    predicts = [task for task in run.data["tasks"] if task["kind"] == "predict"]
    tasks = [task for task in predicts if task["label"].endswith("test")]
    told = tasks or [task for task in run.data["tasks"] if task["kind"] == "train"]
    fits = {(task["ingredients"]["seed"], task["ingredients"]["fold"]) for task in told}
    return sorted(fits, key=lambda fit: (fit[0], -1 if fit[1] is None else fit[1]))


def _digests(run: Run) -> dict[Fit, str]:
    """One digest for the weights of each fit."""
    files: dict[Fit, list[dict[str, Any]]] = {}
    for told in run.data["weights"]:
        files.setdefault((told["seed"], told["fold"]), []).append(told)
    return {
        fit: each[0]["sha256"]
        if len(each) == 1
        else digest_of([[one["name"], one["sha256"]] for one in each])
        for fit, each in files.items()
    }


def _shares(run: Run) -> dict[str, float]:
    """What each input of a blend counts in its test predictions: the mean over fits and columns."""
    fits = set(_fits(run))
    tables = [
        json.loads((run.folder / told["name"]).read_text(encoding="utf-8"))["weights"]
        for told in run.data["weights"]
        if (told["seed"], told["fold"]) in fits
    ]
    return {name: fmean(fmean(table[name].values()) for table in tables) for name in tables[0]}
