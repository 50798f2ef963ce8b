from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kagkit.foundation.errors import ManifestError, RunError
from kagkit.metrics import resampling
from kagkit.metrics.resampling import Scored, SummedRows, prepare_scores
from kagkit.metrics.scoring import Scorer, align_tables
from kagkit.workspace.competition import Competition, Metric, Rows, SubmissionFormat
from kagkit.workspace.manifest import Making
from kagkit.workspace.stage import Stage

ROWS = 60


def scorer(root: Path, score: str = "kagkit.metrics:accuracy", **metric: Any) -> Scorer:
    competition = Competition(
        kagkit=1,
        competition="toy",
        rows=Rows(("id",)),
        metric=Metric(score, metric.pop("greater_is_better", True), **metric),
        submission=SubmissionFormat(("y",)),
        stages={"1": Stage("train.csv", "test.csv")},
    )
    return Scorer(root, competition, Making(), None, ("y",))


def scored(values: Any, guesses: Any, units: Any = None) -> Scored:
    ids = [f"r{place:03d}" for place in range(len(values))]
    truth, answer = (pd.DataFrame({"id": ids, "y": column}) for column in (values, guesses))
    return Scored(truth, answer, "id", pd.Series(ids if units is None else units, ids).astype("str"))


def guessed(seed: int, rows: int = ROWS) -> tuple[Any, Any]:
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, 2, rows)
    return truth, np.where(chance.random(rows) < 0.8, truth, 1 - truth)


def module(root: Path, name: str, text: str) -> None:
    (root / f"{name}.py").write_text(text)


def test_a_draw_of_every_unit_once_has_the_score_itself(tmp_path: Path) -> None:
    for name in ("accuracy", "f1", "log_loss", "auc", "rmse"):
        mine = scorer(tmp_path, f"kagkit.metrics:{name}")
        truth, answer = guessed(1)
        answer = answer if name in ("accuracy", "f1") else 0.1 + 0.8 * answer
        table = scored(truth, answer, [f"g{place // 3}" for place in range(ROWS)])
        scores = prepare_scores(mine, table)
        once = np.ones((1, len(scores.rows)), dtype=np.int64)
        expected = mine.score_aligned(table.truth, table.answer, "id")
        assert scores.score(once)[0] == pytest.approx(expected), name


def test_both_ways_of_scoring_agree_on_every_draw(tmp_path: Path) -> None:
    table = scored(*guessed(2), [f"g{place // 4}" for place in range(ROWS)])
    quick = prepare_scores(scorer(tmp_path), table)
    slow = resampling.RenamedKeys(scorer(tmp_path), table)
    counts = np.random.default_rng(0).multinomial(15, np.full(15, 1 / 15), size=20)
    assert quick.score(counts) == pytest.approx(slow.score(counts))
    assert (quick.method, slow.method) == ("per row", f"{slow.draws} draws with renamed keys")
    assert slow.draws < quick.draws or len(table.unit) < 800


def test_a_metric_without_a_form_is_drawn_fewer_times(tmp_path: Path) -> None:
    mine = scorer(tmp_path, "kagkit.metrics:f1")
    table = scored(*guessed(3, 20_000))
    assert prepare_scores(mine, table).method == "40 draws with renamed keys"


def test_draws_take_groups_whole(tmp_path: Path) -> None:
    """Groups of equal rows: the spread is that of the groups, far wider than that of rows."""
    truth = np.repeat(np.random.default_rng(4).integers(0, 2, 30), 20)
    table = scored(truth, np.ones_like(truth), np.repeat(np.arange(30), 20))
    by_group = resampling.draw_cv(prepare_scores(scorer(tmp_path), table), "a")
    by_row = resampling.draw_cv(prepare_scores(scorer(tmp_path), scored(truth, np.ones_like(truth))), "a")
    assert np.std(by_group) == pytest.approx(np.sqrt(20) * np.std(by_row), rel=0.2)


def test_runs_on_the_same_units_draw_alike(tmp_path: Path) -> None:
    truth, answer = guessed(5)
    scores = prepare_scores(scorer(tmp_path), scored(truth, answer))
    assert (resampling.draw_cv(scores, "a") == resampling.draw_cv(scores, "a")).all()
    assert (resampling.draw_cv(scores, "a") != resampling.draw_cv(scores, "b")).any()


@pytest.mark.parametrize("public_rows", [10, 30, 200])
def test_the_noise_of_a_public_board_is_that_of_so_many_new_rows(tmp_path: Path, public_rows: int) -> None:
    scores = prepare_scores(scorer(tmp_path), scored(*guessed(6, 100)))
    truth, answer = guessed(6, 100)
    right = float((truth == answer).mean())
    found = resampling.draw_public(scores, "a", public_rows)
    assert found.mean() == pytest.approx(0, abs=1e-9)
    assert found.std() == pytest.approx(np.sqrt(right * (1 - right) / public_rows), rel=0.12)


def test_ninety_percent_intervals_cover_the_truth_in_nine_of_ten_draws(tmp_path: Path) -> None:
    """500 competitions of 60 groups: the interval of each CV, and the score of all rows there might be."""
    chance, covered = np.random.default_rng(7), 0
    form = resampling.per_row_form(scorer(tmp_path))
    assert form is not None
    unit = pd.Series(np.repeat(np.arange(60), 4).astype(str))
    for trial in range(500):
        right = chance.random((60, 4)) < chance.beta(4, 1, size=(60, 1))
        table = pd.DataFrame({"y": right.ravel().astype(float)})
        scores = SummedRows(form, table, unit)
        scores.draws = 200
        low, high = resampling.interval_of(resampling.draw_cv(scores, f"trial {trial}"))
        covered += low <= 0.8 <= high
    assert 0.85 <= covered / 500 <= 0.95


# --- the user's own per-row form ---


def test_an_own_form_is_used_when_it_makes_the_score(tmp_path: Path) -> None:
    module(
        tmp_path,
        "own_right",
        "def score(solution, submission, row_id):\n"
        "    return float((solution['y'] == submission['y']).mean())\n"
        "def rows(solution, submission, row_id):\n"
        "    same = (solution['y'] == submission['y']).astype(float)\n"
        "    return same.to_frame('right').set_index(solution[row_id])\n",
    )
    table = scored(*guessed(8))
    mine = scorer(tmp_path, "own_right:score", per_row="own_right:rows")
    assert prepare_scores(mine, table).method == "per row"
    assert prepare_scores(scorer(tmp_path, "own_right:score"), table).method.endswith("with renamed keys")


@pytest.mark.parametrize("fault", ["** 0.5", "* 0.9"])
def test_an_own_form_that_makes_another_score_is_refused(tmp_path: Path, fault: str) -> None:
    name = f"own_wrong{len(fault)}"
    module(
        tmp_path,
        name,
        "def score(solution, submission, row_id):\n"
        f"    return float((solution['y'] == submission['y']).mean()) {fault}\n"
        "def rows(solution, submission, row_id):\n"
        "    same = (solution['y'] == submission['y']).astype(float)\n"
        "    return same.to_frame('right').set_index(solution[row_id])\n",
    )
    with pytest.raises(ManifestError, match=r"the per-row form is not that of the metric(.|\n)*as own_wrong"):
        prepare_scores(scorer(tmp_path, f"{name}:score", per_row=f"{name}:rows"), scored(*guessed(9)))


def test_a_form_of_kagkit_can_be_declared_for_a_metric_of_the_host(tmp_path: Path) -> None:
    module(tmp_path, "hosts_own", "from kagkit.metrics import accuracy as score\n")
    mine = scorer(tmp_path, "hosts_own:score", per_row="kagkit.metrics:accuracy_rows")
    assert prepare_scores(mine, scored(*guessed(10))).method == "per row"


# --- which ids belong together ---


def test_the_ids_of_a_row_are_found_by_asking_the_solution(tmp_path: Path) -> None:
    module(
        tmp_path,
        "several",
        "import pandas as pd\n"
        "def solution(rows):\n"
        "    parts = [rows.rename(index=lambda key: f'{kind}-{key}') for kind in 'ab']\n"
        "    return pd.concat(parts)[['y']].rename_axis('id').reset_index()\n",
    )
    rows = pd.DataFrame({"y": [0, 1, 1, 0, 1]}, index=pd.Index(list("vwxyz"), name="id"))
    group = pd.Series(["p", "p", "q", "r", "q"], rows.index)
    found = resampling.find_units(scorer(tmp_path, solution="several:solution"), rows, group)
    assert found.to_dict() == {f"{kind}-{key}": group[key] for kind in "ab" for key in rows.index}


def test_an_id_of_several_groups_is_refused(tmp_path: Path) -> None:
    module(
        tmp_path,
        "mixing",
        "import pandas as pd\ndef solution(rows):\n"
        "    return pd.DataFrame({'id': ['all'], 'y': [rows['y'].sum()]})\n",
    )
    rows = pd.DataFrame({"y": [0, 1]}, index=pd.Index(["v", "w"], name="id"))
    group = pd.Series(["p", "q"], rows.index)
    with pytest.raises(RunError, match="1 ids are made from rows of several groups"):
        resampling.find_units(scorer(tmp_path, solution="mixing:solution"), rows, group)


def test_shuffled_predictions_score_worse_than_good_ones(tmp_path: Path) -> None:
    truth, answer = guessed(11, 400)
    table = scored(truth, answer)
    assert resampling.score_shuffled(scorer(tmp_path), table) < 0.65
    twice = pd.concat([table.truth, table.truth], ignore_index=True)
    aligned, other, row_id = align_tables(twice, twice, ["id"])
    assert (len(aligned), len(other), row_id) == (800, 800, "id")
