from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError, ReproductionError
from kagkit.judgement.agreement import rank_correlation
from kagkit.judgement.comparison import Comparison, compare_runs
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, add_scores
from tests.toy import RECORD, make_workspace, write_competition, write_run

SCORES = st.floats(-1e3, 1e3).map(lambda number: round(number, 1))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


def compare(root: Path, *references: str) -> Comparison:
    return compare_runs(Workspace(root), references)


def test_the_best_cv_comes_first_in_the_declared_direction(toy: Path) -> None:
    for name, cv in {"low": 0.25, "high": 0.75, "none": None, "also": 0.25}.items():
        write_run(toy, name, cv=cv)
    assert [row.experiment for row in compare(toy).rows] == ["high", "also", "low", "none"]
    metric = {"score": "kagkit.metrics:rmse", "greater_is_better": False}
    write_competition(toy, metric=metric)
    compared = compare(toy)
    assert [row.experiment for row in compared.rows] == ["also", "low", "high", "none"]
    assert (compared.metric, compared.greater_is_better) == ("kagkit.metrics:rmse", False)


def test_a_row_tells_cv_and_leaderboard_and_their_gap(toy: Path) -> None:
    write_run(toy, cv=0.75, cv_std=0.05, coverage=0.5, note="small")
    (toy / "submissions/exp001-001").mkdir(parents=True)
    add_scores(Workspace(toy), "exp001/1", Scores(public=0.5))
    add_scores(Workspace(toy), "exp001/1", Scores(private=0.625))
    (row,) = compare(toy).rows
    assert (row.run, row.cv, row.cv_std, row.coverage, row.note) == ("exp001/1", 0.75, 0.05, 0.5, "small")
    assert (row.lb_public, row.lb_private, row.gap) == (0.5, 0.625, -0.25)
    assert row.submission == "exp001-001"


def test_what_the_host_has_not_told_stays_open(toy: Path) -> None:
    write_run(toy, cv=None, cv_std=None, coverage=None)
    add_scores(Workspace(toy), "exp001/1", Scores(public=0.5))
    (row,) = compare(toy).rows
    assert (row.cv, row.gap, row.lb_private, row.submission) == (None, None, None, None)


def test_the_latest_complete_runs_are_compared_and_those_the_host_scored(toy: Path) -> None:
    for number, complete in enumerate([True, True, True, False], 1):
        write_run(toy, number=number, complete=complete)
    assert [row.run for row in compare(toy).rows] == ["exp001/3"]
    add_scores(Workspace(toy), "exp001/1", Scores(public=0.5))
    add_scores(Workspace(toy), "exp001/4", Scores(public=0.5))
    assert [row.run for row in compare(toy).rows] == ["exp001/1", "exp001/3"]
    assert [row.run for row in compare(toy, "exp001/2", "exp001", "exp001/3").rows] == [
        "exp001/2",
        "exp001/3",
    ]


@pytest.mark.parametrize(
    ("references", "told"),
    [
        ([], "nothing to compare\n.*no complete run"),
        (["exp001/1"], "exp001/1: some of its folds or seeds are missing\n +hint: run it whole"),
        (["exp002"], "exp002: no such run(.|\n)*did you mean exp001"),
    ],
)
def test_partial_and_absent_runs_are_refused(toy: Path, references: list[str], told: str) -> None:
    write_run(toy, complete=False)
    with pytest.raises(ManifestError, match=told):
        compare(toy, *references)


def test_a_damaged_record_is_told(toy: Path) -> None:
    (write_run(toy) / "record.json").write_text("{")
    with pytest.raises(ReproductionError, match="a run's record is damaged"):
        compare(toy)


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({"data": {"stage1": "1" * 64}}, "data", "data versions"),
        ({"data": RECORD["data"] | {"chexpert": "1" * 64}}, "data", "data versions"),
        ({"metric": RECORD["metric"] | {"code": {"score.py:score": "1" * 64}}}, "metric", "metrics"),
        ({"fold_set": RECORD["fold_set"] | {"sha256": "1" * 64}}, "folds", "folds"),
        ({"metric": RECORD["metric"] | {"args": {"beta": 2}}}, "metric", "metrics"),
        ({"coverage": 0.5}, "rows", "shares of the rows"),
    ],
)
def test_cv_of_other_data_folds_metrics_or_rows_raises_an_alarm(
    toy: Path, facts: dict[str, Any], kind: str, words: str
) -> None:
    write_run(toy, "exp001", **facts)
    write_run(toy, "exp002")
    (alarm,) = compare(toy).alarms
    assert alarm.kind == kind
    assert alarm.text == f"CV is on different {words}, not to be ranked together: exp001/1 | exp002/1"
    write_run(toy, "exp001", number=2)
    assert compare(toy).alarms == ()


def test_an_alarm_names_the_groups_that_may_be_ranked_together(toy: Path) -> None:
    for name, coverage in {"exp001": 0.5, "exp002": 1.0, "exp003": 0.5, "exp004": 0.25}.items():
        write_run(toy, name, coverage=coverage)
    (alarm,) = compare(toy).alarms
    assert alarm.text.endswith(": exp001/1, exp003/1 | exp002/1 | exp004/1")


def test_a_fit_on_all_rows_raises_no_alarm(toy: Path) -> None:
    write_run(toy, "exp001", cv=None, cv_std=None, coverage=None)
    write_run(toy, "exp002")
    assert compare(toy).alarms == ()


def test_rank_agreement_is_over_the_runs_that_have_both_scores(toy: Path) -> None:
    public = {"a": 0.1, "b": 0.2, "c": 0.4, "d": 0.3, "e": None}
    for place, (name, score) in enumerate(public.items()):
        write_run(toy, name, cv=place / 10)
        if score is not None:
            add_scores(Workspace(toy), f"{name}/1", Scores(public=score))
    agreement = compare(toy).spearman
    assert agreement["cv_public"] == pytest.approx(0.8)
    assert (agreement["cv_private"], agreement["public_private"]) == (None, None)


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(SCORES, SCORES), min_size=3, max_size=20))
def test_the_rank_correlation_is_that_of_the_ranks(pairs: list[tuple[float, float]]) -> None:
    first, second = (list(values) for values in zip(*pairs, strict=True))
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert rank_correlation(first, second) is None
    else:
        ranks = np.corrcoef(pd.Series(first).rank(), pd.Series(second).rank())
        assert rank_correlation(first, second) == pytest.approx(ranks[0, 1])


def test_two_pairs_have_no_rank_correlation() -> None:
    assert rank_correlation([1, 2], [1, 2]) is None


def test_the_document_for_programs_has_the_keys_of_the_contract(toy: Path) -> None:
    write_run(toy)
    document = compare(toy).as_json()
    assert {"metric", "greater_is_better", "rows", "spearman", "alarms"} <= set(document)
    assert {
        "run",
        "submission",
        "experiment",
        "stage",
        "cv",
        "cv_std",
        "cv_interval",
        "lb_noise",
        "verdict",
        "lb_public",
        "lb_private",
        "gap",
    } <= set(document["rows"][0])
