from __future__ import annotations

import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit import metrics
from kagkit.foundation.errors import SubmissionError
from kagkit.metrics import PER_ROW, TAKES, is_readable
from tests.metric_examples import Example, example

BOUNDED = settings(max_examples=6, deadline=None)
SEEDS = st.integers(0, 2**32)
UNBOUNDED = {"mae", "rmse", "mcrmse", "rmsle", "log_loss", "pinball"}
LOWEST = {"quadratic_weighted_kappa": -1, "mcc": -1, "spearman": -1, "r2": -math.inf}
LOWEST |= {"laplace_log_likelihood": -math.inf}
BY_OBJECT = {"mask_f2", "mask_ap"}  # tables of objects, joined by id whatever their order


def score(name: str, drawn: Example) -> float:
    metric: Callable[..., float] = getattr(metrics, name)
    return metric(drawn.solution, drawn.submission, "id", **drawn.args)


def choose(drawn: Example, ids: list[str]) -> Example:
    """The example of some ids, each as often as it is named, under ids of their own."""

    def take(table: pd.DataFrame) -> pd.DataFrame:
        parts = [table[table["id"] == name].assign(id=f"{number}") for number, name in enumerate(ids)]
        return pd.concat(parts, ignore_index=True)

    return Example(take(drawn.solution), take(drawn.submission), drawn.args)


# --- every metric ---


@pytest.mark.parametrize("name", TAKES)
@BOUNDED
@given(SEEDS)
def test_the_order_of_rows_changes_no_score(name: str, seed: int) -> None:
    drawn = example(name, seed)
    order = np.random.default_rng(seed).permutation(len(drawn.solution))
    other = order if name not in BY_OBJECT else np.arange(len(drawn.submission))[::-1]
    moved = Example(drawn.solution.iloc[order], drawn.submission.iloc[other], drawn.args)
    assert score(name, moved) == pytest.approx(score(name, drawn))


@pytest.mark.parametrize("name", TAKES)
@BOUNDED
@given(SEEDS)
def test_scores_stay_in_their_bounds(name: str, seed: int) -> None:
    value = score(name, example(name, seed))
    highest = math.inf if name in UNBOUNDED else 1.0
    assert LOWEST.get(name, 0) - 1e-9 <= value <= highest + 1e-9


@pytest.mark.parametrize("name", TAKES)
def test_scoring_leaves_the_tables_as_they_were(name: str) -> None:
    drawn, again = example(name, 1), example(name, 1)
    score(name, drawn)
    pd.testing.assert_frame_equal(drawn.solution, again.solution)
    pd.testing.assert_frame_equal(drawn.submission, again.submission)


@pytest.mark.parametrize("name", TAKES.keys() - BY_OBJECT)
def test_every_metric_refuses_rows_in_another_order(name: str) -> None:
    drawn = example(name, 2)
    moved = Example(drawn.solution, drawn.submission[::-1], drawn.args)
    with pytest.raises(SubmissionError, match=r"row 1 is r\d; expected r0, as in the solution") as caught:
        score(name, moved)
    assert is_readable(caught.value)


@pytest.mark.parametrize("name", TAKES)
def test_every_metric_refuses_missing_ids_by_name(name: str) -> None:
    drawn = example(name, 3)
    few = drawn.submission[drawn.submission["id"] != "r1"]
    with pytest.raises(SubmissionError, match="submission: no row for r1"):
        score(name, Example(drawn.solution, few, drawn.args))


@pytest.mark.parametrize(
    "name", [name for name, kind in TAKES.items() if kind in ("labels", "probabilities", "values")]
)
def test_every_metric_refuses_a_cell_without_a_value(name: str) -> None:
    drawn = example(name, 4)
    column = drawn.submission.columns[1]
    emptied = drawn.submission.assign(**{column: drawn.submission[column].where(drawn.submission.index != 1)})
    if name == "fbeta":  # an empty cell says that there is no label
        assert 0 <= score(name, Example(drawn.solution, emptied, drawn.args)) <= 1
        return
    with pytest.raises(SubmissionError, match=f"submission, column {column}: no value for r1"):
        score(name, Example(drawn.solution, emptied, drawn.args))


@pytest.mark.parametrize("name", TAKES)
def test_every_metric_has_the_signature_of_kaggle(name: str) -> None:
    metric, rows = getattr(metrics, name), PER_ROW[name].rows if name in PER_ROW else None
    parameters = list(inspect.signature(metric).parameters.values())
    assert [parameter.name for parameter in parameters[:3]] == [
        "solution",
        "submission",
        "row_id_column_name",
    ]
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters[3:])
    if rows is not None:
        assert list(inspect.signature(rows).parameters.values()) == parameters


def test_every_metric_and_every_per_row_form_is_public() -> None:
    forms = {form.rows.__name__ for form in PER_ROW.values()}
    others = {"PER_ROW", "TAKES", "PerRow", "ParticipantVisibleError", "is_readable"}
    assert {*TAKES, *forms, *others} == set(metrics.__all__)
    assert PER_ROW.keys() <= TAKES.keys()


def test_importing_the_metrics_loads_no_heavy_library() -> None:
    code = "import sys, kagkit.metrics; print({'numpy', 'pandas', 'sklearn', 'pyarrow'} & set(sys.modules))"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- metrics of mean type ---


@pytest.mark.parametrize("name", PER_ROW)
@BOUNDED
@given(SEEDS)
def test_the_per_row_form_makes_the_score(name: str, seed: int) -> None:
    drawn, form = example(name, seed), PER_ROW[name]
    rows = form.rows(drawn.solution, drawn.submission, "id", **drawn.args)
    assert rows.index.tolist() == drawn.solution["id"].unique().tolist()
    assert rows.index.name == "id"
    assert (rows.dtypes == "float64").all()
    assert form.score(rows) == pytest.approx(score(name, drawn))


@pytest.mark.parametrize("name", PER_ROW)
@BOUNDED
@given(SEEDS)
def test_the_rows_of_chosen_ids_make_the_score_of_these_ids(name: str, seed: int) -> None:
    drawn, form = example(name, seed), PER_ROW[name]
    names = drawn.solution["id"].unique()
    ids = np.random.default_rng(seed).choice(names, len(names)).tolist()
    rows = form.rows(drawn.solution, drawn.submission, "id", **drawn.args)
    assert form.score(rows.loc[ids]) == pytest.approx(score(name, choose(drawn, ids)))


@pytest.mark.parametrize("name", PER_ROW)
def test_many_draws_are_finished_at_once(name: str) -> None:
    drawn, form = example(name, 5), PER_ROW[name]
    rows = form.rows(drawn.solution, drawn.submission, "id", **drawn.args)
    draws = np.random.default_rng(0).integers(0, len(rows), (4, len(rows)))
    means = rows.to_numpy()[draws].mean(axis=1)
    assert form.finish(means) == pytest.approx([form.score(rows.iloc[draw]) for draw in draws])


def test_fbeta_is_of_mean_type_over_samples_alone() -> None:
    assert PER_ROW["fbeta"].suits({"beta": 2})
    assert PER_ROW["fbeta"].suits({"average": "samples"})
    assert not PER_ROW["fbeta"].suits({"average": "macro"})
