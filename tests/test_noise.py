from __future__ import annotations

from pathlib import Path

import pytest

import kagkit as package
from kagkit.foundation.errors import ManifestError
from kagkit.foundation.files import read_json, write_json
from kagkit.judgement.comparison import Comparison, compare_runs
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, add_scores
from tests.terminal import kagkit
from tests.toy import COMPETITION, make_workspace, write_competition, write_manifest

STAGES = {1: COMPETITION["stages"][1] | {"public_share": 0.5}}
ROWS = {"key": ["id"], "group": "group"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, the second one shifted; only the rows' cache and the runs matter, so one is made for all."""
    root = make_workspace(tmp_path_factory.mktemp("ran"), stages=STAGES, rows=ROWS, folds={"main": {"n": 2}})
    write_manifest(root, "exp002", args={"shift": 0.4})
    for name in ("exp001", "exp002"):
        kagkit(root, "run", name)
        add_scores(Workspace(root), f"{name}/1", Scores(public=0.8))
    return root


@pytest.fixture
def root(ran: Path) -> Path:
    """The workspace as it was, nothing measured."""
    write_competition(ran, stages=STAGES, rows=ROWS, folds={"main": {"n": 2}})
    for kept in (ran / ".kagkit/noise").glob("*.json"):
        kept.unlink()
    return ran


def compare(root: Path) -> Comparison:
    return compare_runs(Workspace(root), ())


def test_the_noise_of_runs_is_measured_on_their_oof_predictions(root: Path) -> None:
    compared = compare(root)
    for row in compared.rows:
        assert row.cv is not None
        assert row.cv_interval is not None
        assert row.cv_interval[0] <= row.cv <= row.cv_interval[1]
        assert 0.03 < (row.lb_noise or 0) < 0.3
    noise = compared.board.noise["exp001/1"]
    assert (noise.rows, noise.public_rows, noise.private_rows) == (40, 10, 10)
    assert noise.method == "per row"
    assert (noise.shuffled or 1) < 0.75
    assert noise.units == compared.board.noise["exp002/1"].units
    assert compared.remarks == ()


def test_noise_is_measured_once_until_something_changes(root: Path) -> None:
    told: list[str] = []

    def measured() -> list[str]:
        told.clear()
        compare_runs(Workspace(root), (), told=lambda _number, _count, name: told.append(name))
        return sorted(told)

    assert measured() == ["exp001/1", "exp002/1"]
    assert measured() == []
    shared = {1: STAGES[1] | {"public_share": 0.25}}
    write_competition(root, stages=shared, rows=ROWS, folds={"main": {"n": 2}})
    assert measured() == ["exp001/1", "exp002/1"]
    for kept in (root / ".kagkit/noise").glob("*.json"):
        kept.write_text("{")
    assert measured() == ["exp001/1", "exp002/1"]


def test_nothing_is_measured_when_it_is_not_asked_for(root: Path) -> None:
    rows = kagkit(root, "compare", "--no-noise", "--json").json["rows"]
    assert [row["cv_interval"] for row in rows] == [None, None]
    assert not list((root / ".kagkit/noise").glob("*.json"))


def test_without_a_public_share_only_the_cv_has_noise(root: Path) -> None:
    write_competition(root, rows=ROWS, folds={"main": {"n": 2}})
    row = compare(root).rows[0]
    assert row.cv_interval is not None
    assert row.lb_noise is None


def test_a_run_whose_score_is_another_now_is_told_and_has_no_noise(root: Path) -> None:
    metric = {"score": "kagkit.metrics:f1", "greater_is_better": True}
    write_competition(root, stages=STAGES, rows=ROWS, folds={"main": {"n": 2}}, metric=metric)
    compared = compare(root)
    assert [row.cv_interval for row in compared.rows] == [None, None]
    assert "no noise for exp001/1: its OOF predictions score 0." in "\n".join(compared.remarks)


def test_a_wrong_per_row_form_stops_with_the_place_and_both_scores(root: Path) -> None:
    metric = COMPETITION["metric"] | {"per_row": "kagkit.metrics:mae_rows"}
    write_competition(root, stages=STAGES, rows=ROWS, folds={"main": {"n": 2}}, metric=metric)
    with pytest.raises(ManifestError, match=r"metric.per_row: its means make 0(.|\n)*expected 0"):
        compare(root)


def test_a_lost_cache_of_rows_is_told_with_what_to_do(root: Path, tmp_path: Path) -> None:
    (root / ".kagkit/rows").rename(tmp_path / "rows")
    try:
        assert "its rows are no longer cached: kagkit run exp001" in "\n".join(compare(root).remarks)
    finally:
        (tmp_path / "rows").rename(root / ".kagkit/rows")


def test_finals_and_shake_up_rest_on_the_noise(root: Path) -> None:
    proposed = kagkit(root, "finals", "--json").json
    assert "weighed by their noise" in proposed["how"]
    assert {pick["run"] for pick in proposed["picks"]} == {"exp001/1", "exp002/1"}
    rows = kagkit(root, "compare", "--shake", "--json").json["rows"]
    assert all(row["shake"]["rank"] in ([1, 1], [1, 2], [2, 2]) for row in rows)
    assert "rank 90 %" in kagkit(root, "compare", "--shake").out


def test_python_gets_a_table_with_the_alarms(root: Path) -> None:
    table = package.compare(folder=root)
    assert set(table.index) == {"exp001/1", "exp002/1"}
    assert table.loc["exp001/1", "lb_public"] == 0.8
    assert set(table.attrs) == {"alarms", "spearman", "reading"}
    (root / "cvlb.csv").write_text("experiment,cv\na,0.5\n")
    assert package.compare(table=root / "cvlb.csv", greater_is_better=True).loc["a", "cv"] == 0.5
    with pytest.raises(ManifestError, match="a table has no direction"):
        package.compare(table=root / "cvlb.csv")


def test_a_newer_format_of_kept_noise_is_measured_again(root: Path) -> None:
    compare(root)
    for kept in (root / ".kagkit/noise").glob("*.json"):
        write_json(kept, read_json(kept) | {"kagkit": 99})
    assert compare(root).rows[0].cv_interval is not None
