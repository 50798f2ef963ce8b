"""Decide of a frozen and a retrained run which goes into the final: gather on the same rows what speaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.folds import is_in
from kagkit.data.likeness import Likeness, measure_likeness
from kagkit.data.parts import Pair
from kagkit.data.rows import key_texts
from kagkit.foundation.errors import KagkitError, ManifestError, Problem, counted
from kagkit.judgement.evidence import Evidence, RowSet, compare_versions, find_gap
from kagkit.judgement.labels import Labelled, compare_shares, find_mislabelled, rank_gap
from kagkit.judgement.ruling import Case, Decision, judge_case
from kagkit.judgement.versions import Both, open_oof
from kagkit.runs.lineage_rows import TRAINED, seen_keys
from kagkit.runs.record import Run, find_run
from kagkit.runs.starting import START
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Policy

NAMES = "labelled", "test"


def decide(workspace: Workspace, frozen: Run, retrained: Run, policy: Policy = "auto") -> Decision:
    """Decide which version of a model goes into the final.

    Args:
        workspace: The workspace.
        frozen: The stage-1 model on stage 2's rows: a run with `start`, and `frozen: all`.
        retrained: The same model trained on stage 2's rows.
        policy: What the manifest says under `stage2.retrain`.

    Raises:
        ManifestError: The runs are not two versions of one model on the same rows and folds.
        KagkitError: Their rows or scores are others now.
        ReproductionError: What the frozen version has seen is not known any more.
    """
    return judge_case(gather_case(workspace, frozen, retrained), policy)


def gather_case(workspace: Workspace, frozen: Run, retrained: Run) -> Case:
    """What there is to decide by; arguments and errors are those of `decide`."""
    start = find_run(workspace, _refuse_unlike(frozen, retrained))
    both = Both.read(workspace, frozen, retrained)
    # The fold table knows released rows, too, once stage 2 is there: whom stage 1 held out is in its run.
    was_old = is_in(both.rows.index, open_oof(start).keys)
    seen = [key for part, keys in seen_keys(workspace, start).items() if part != TRAINED for key in keys]
    old, new, absent = _split_rows(both.rows.index, was_old, np.asarray(both.rows.index.isin(seen)))
    evidence = _compare(both, {"train": old, "released": new, "pooled": old.append(new)}, absent)
    labels = _labels(both, old, new)
    metric, greater = both.metric.score.rpartition(":")[2], both.metric.greater_is_better
    gap, train, released = None, evidence["train"], evidence["released"]
    if labels is not None:
        gap = rank_gap(*labels)
    if gap is None and train is not None and released is not None:
        gap = find_gap(metric, train, released, greater_is_better=greater)
    return Case(
        metric=metric,
        greater_is_better=greater,
        evidence=evidence,
        absent=absent,
        likeness=_find_likeness(both, old, new),
        gap=gap,
        shares=compare_shares(*labels) if labels else (),
        mislabelled=tuple(key_texts(find_mislabelled(*labels))) if labels else (),
    )


def _compare(
    both: Both, sets: dict[RowSet, pd.Index[Any]], absent: dict[RowSet, str]
) -> dict[RowSet, Evidence | None]:
    """Both versions on each set of rows; where that cannot be, `absent` is told why."""
    found: dict[RowSet, Evidence | None] = dict.fromkeys(sets)
    for row_set in sets.keys() - absent:
        try:
            versions = both.versions(sets[row_set])
            greater = both.metric.greater_is_better
            found[row_set] = compare_versions(row_set, versions, greater_is_better=greater)
        except ManifestError:
            raise  # the metric as it is declared is at fault
        except KagkitError as error:
            absent[row_set] = error.summary
    return found


def _labels(both: Both, old: pd.Index[Any], new: pd.Index[Any]) -> tuple[Labelled, Labelled] | None:
    """The labels of old and of new rows as numbers; None where there are no such numbers, or no rows."""
    before, now = (both.labelled(keys) if len(keys) else None for keys in (old, new))
    return None if before is None or now is None else (before, now)


def _refuse_unlike(frozen: Run, retrained: Run) -> str:
    """The run that the frozen version starts from, where both are versions of one model on the same rows."""
    starts = [parent["run"] for parent in frozen.data["parents"] if parent["input"] == START]
    problems = []
    if not starts:
        hint = "stage: 2, start: EXP/N, frozen: all"
        problems.append(Problem(frozen.name, "it starts from no run of stage 1", "a frozen version", hint))
    for what, words in {"stage": "stage", "data": "versions of the data", "metric": "metric"}.items():
        if frozen.data[what] != retrained.data[what]:
            problems.append(Problem(retrained.name, f"another {words} than {frozen.name}"))
    if frozen.data["fold_set"]["sha256"] != retrained.data["fold_set"]["sha256"]:
        problems.append(Problem(retrained.name, f"other folds than {frozen.name}"))
    for run in (frozen, retrained):
        if run.data.get("oof") is None:
            problems.append(Problem(run.name, "no out-of-fold predictions", hint="give it fit: folds"))
    if problems:
        raise ManifestError("these are not two versions of a model that can be compared", problems)
    return str(starts[0])


def _split_rows(
    keys: pd.Index[Any], was_old: NDArray[np.bool_], was_added: NDArray[np.bool_]
) -> tuple[pd.Index[Any], pd.Index[Any], dict[RowSet, str]]:
    """Old rows, new ones that the frozen version has not seen, and why either has no evidence."""
    old, new = keys[was_old], keys[~was_old & ~was_added]
    absent: dict[RowSet, str] = {}
    if not len(new):
        told = counted(int((was_added & ~was_old).sum()), "new row")
        seen = f"the frozen version was trained on the {told}, labelled by a model"
        absent["released"] = seen if was_added.any() else "no new row is held out by a fold"
    if not len(old):
        absent["train"] = "no old row is trained on any more"
    if absent:
        absent["pooled"] = next(iter(absent.values()))
    return old, new, absent


def _find_likeness(both: Both, old: pd.Index[Any], new: pd.Index[Any]) -> Likeness:
    """By the columns that labelled and test rows share; where none says anything, by the run's probes."""
    scorer, keys = both.scorers[0], old.append(new)
    targets, group = scorer.targets, scorer.competition.rows.group
    found = measure_likeness(Pair(NAMES, (both.rows.loc[keys], both.test), targets, group), new)
    measured = both.features() if found.value is None else None
    if measured is None:
        return found
    labelled, test = measured
    probed = measure_likeness(Pair(NAMES, (labelled.loc[keys], test), (), group), new)
    return replace(probed, told=f"{probed.told} of what predict measured")
