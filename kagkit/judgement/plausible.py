"""Tell values no honest file has: outside of their range, against declared relations, probes that moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from kagkit.data.predictions import Predictions
from kagkit.judgement.answers import Answers
from kagkit.judgement.suspicions import SURE, Suspicion, compare_means
from kagkit.judgement.versions import flat_table
from kagkit.judgement.witnesses import find_start
from kagkit.metrics.scoring import takes
from kagkit.runs.record import Run
from kagkit.workspace.competition import Competition
from kagkit.workspace.layout import Workspace

MOST_BROKEN = 0.01  # of the rows more than there were elsewhere
ROUNDING = 1e-9


def check_range(competition: Competition, file: Answers, before: Sequence[Answers]) -> Iterator[Suspicion]:
    """Whether chances are chances, labels are known ones, and numbers are near those given elsewhere."""
    if file.kind != "numbers":
        return
    asked, values = takes(competition), file.said
    known = [each.said for each in before if each.kind == "numbers"]
    if asked == "probabilities" and (values.min() < -ROUNDING or values.max() > 1 + ROUNDING):
        text = f"values from {values.min():.4g} to {values.max():.4g} where chances from 0 to 1 are asked"
        yield Suspicion("range", "stop", f"{text}; were they left as log odds?")
        return
    low = min((each.min() for each in known), default=values.min())
    high = max((each.max() for each in known), default=values.max())
    told = f"values from {values.min():.4g} to {values.max():.4g}, elsewhere from {low:.4g} to {high:.4g}"
    beyond = values.min() < low - (high - low) or values.max() > high + (high - low)
    if asked == "labels" and known:
        strange = np.setdiff1d(values, np.concatenate(known))
        if len(strange):
            yield Suspicion("range", "warn", f"labels that no row out of fold has: {strange[:5].tolist()}")
            return
    yield Suspicion("range", "warn" if beyond else "ok", told)


def check_relations(
    competition: Competition, file: Answers, before: Sequence[Answers]
) -> Iterator[Suspicion]:
    """Whether what `submission.relations` declares holds as often as it did elsewhere."""
    for whole, parts in competition.submission.relations.items():
        broken = _broken(file, whole, parts)
        elsewhere = [_broken(each, whole, parts) for each in before]
        usual = max((float(each.mean()) for each in elsewhere if len(each)), default=0.0)
        share = float(broken.mean()) if len(broken) else 0.0
        told = f"{whole} is below one of {', '.join(parts)} in {share:.1%} of {len(broken):,} rows"
        told += f", {usual:.1%} elsewhere"
        error = (max(usual, 1 / max(len(broken), 1)) / max(len(broken), 1)) ** 0.5
        if share > usual + max(MOST_BROKEN, SURE * error):
            level = "stop" if before else "warn"
            yield Suspicion("relations", level, f"{told}; were columns or lines exchanged?")  # type: ignore[arg-type]
        else:
            yield Suspicion("relations", "ok", told)


def _broken(file: Answers, whole: str, parts: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(rows,) whether the whole is below one of its parts: columns, or lines whose ids end so."""
    if file.kind != "numbers":
        return np.zeros(0, bool)
    table = pd.DataFrame(file.said, file.ids, list(file.columns))
    if whole not in table:
        ends = pd.DataFrame([str(name).rpartition("_")[::2] for name in file.ids], columns=["row", "name"])
        table = ends.assign(said=file.said[:, 0]).pivot_table("said", "row", "name")
    if whole not in table or not set(parts) <= set(table):
        return np.zeros(0, bool)
    return np.asarray(table[whole].to_numpy() < table[list(parts)].max(axis=1).to_numpy() - ROUNDING)


def list_probes(workspace: Workspace, run: Run) -> Iterator[Suspicion]:
    """Whether what `task.probe` measured of the test is as out of fold and in stage 1.

    Raises:
        KagkitError: A file is damaged.
    """
    start = find_start(workspace, run)
    for name, sets in run.data.get("probes", {}).items():
        if "test" not in sets:
            continue
        now = flat_table(Predictions.open(run.folder / sets["test"]["file"]))
        others = {"out-of-fold rows": run.folder / sets["oof"]["file"]} if "oof" in sets else {}
        theirs = start.data.get("probes", {}).get(name, {}) if start is not None else {}
        if start is not None and "test" in theirs:
            others["stage 1's test"] = start.folder / theirs["test"]["file"]
        for what, path in others.items():
            then = flat_table(Predictions.open(path))
            shared = [column for column in now if column in then]
            moved = {
                each: compare_means(now[each].to_numpy(float), then[each].to_numpy(float)) for each in shared
            }
            odd = sorted(
                (each for each in moved if abs(moved[each]) > SURE), key=lambda each: -abs(moved[each])
            )
            words = ", ".join(f"{each} {moved[each]:+.1f}" for each in odd[:4])
            text = (
                f"{name} is not as in {what}, in standard errors: {words}" if odd else f"{name} as in {what}"
            )
            yield Suspicion("probes", "warn" if odd else "ok", text)
