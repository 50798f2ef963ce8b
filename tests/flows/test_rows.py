from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kagkit.data.predictions import Predictions
from kagkit.foundation.files import read_json
from kagkit.runs.lineage_rows import seen_keys
from kagkit.runs.record import find_run
from kagkit.workspace.layout import Workspace
from tests.terminal import edit, kagkit, newest_run, plan, record, run
from tests.toy import write_competition, write_manifest, write_recipe

ROWS = 240
COUNT = 2
FOLDS = {"main": {"scheme": "kfold", "n": COUNT}}
# A nearest neighbour believes every label it was given, right or wrong.
NEAREST = '''"""Give each row the mean label of its nearest neighbours among the rows trained on."""

import json

import numpy as np
import pandas as pd


def train(task, *, k=1):
    rows, weights = task.train_rows, task.row_weights
    told = {"keys": list(rows.index), "valid": list(task.valid_rows.index), "labels": list(rows["label"])}
    told |= {"weights": list(weights), "parts": list(task.row_parts)}
    told |= {"same": bool((weights.index == rows.index).all())}
    (task.out / "told.json").write_text(json.dumps(told, default=float))
    return rows[["x", "y"]].to_numpy(), rows["label"].to_numpy(float), weights.to_numpy(), k


def predict(task, model, rows):
    places, labels, weights, k = model
    away = ((rows[["x", "y"]].to_numpy()[:, None] - places) ** 2).sum(axis=2)
    near = np.argsort(away, axis=1, kind="stable")[:, :k]
    mean = (labels * weights)[near].sum(axis=1) / weights[near].sum(axis=1)
    return pd.DataFrame({"label": mean}, index=rows.index)
'''


def write_rows(root: Path, *, twins: bool = False) -> None:
    """Two blobs a class, 8 % of the labels wrong, all in one hospital; or labels by chance, and test rows
    that are the training rows again."""
    numbers = np.random.default_rng(0)
    table = pd.DataFrame(numbers.normal(size=(ROWS * 3 // 2, 2)).round(4), columns=["x", "y"])
    table.insert(0, "id", [f"r{number:03d}" for number in range(len(table))])
    table["hospital"] = np.where(numbers.random(len(table)) < 0.3, "north", "south")
    label = (table["x"] * table["y"] > 0).astype(int)
    wrong = (table["hospital"] == "north") & (numbers.random(len(table)) < 0.27)
    table["label"] = label.where(~wrong, 1 - label)
    train, test = table[:ROWS].copy(), table[ROWS:].drop(columns="label")
    if twins:
        train["label"] = numbers.integers(0, 2, ROWS)
        test = train.drop(columns="label").assign(id="t" + train["id"])
    (root / "data").mkdir(parents=True, exist_ok=True)
    train.to_csv(root / "data/train.csv", index=False)
    test.to_csv(root / "data/test.csv", index=False)
    test[["id"]].assign(label=0).to_csv(root / "data/sample_submission.csv", index=False)
    (root / "data/truth.txt").write_text("\n".join(train["id"][wrong[:ROWS]]))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose exp001 has run; for copying only."""
    root = tmp_path_factory.mktemp("rows") / "toy"
    write_rows(root)
    write_recipe(root, "nearest.py", NEAREST)
    write_competition(root, folds=FOLDS)
    write_manifest(root, recipe="nearest.py", args={"k": 9})
    kagkit(root, "run", "exp001")
    return root


@pytest.fixture
def toy(first: Path, tmp_path: Path) -> Path:
    return shutil.copytree(first, tmp_path / "toy")


def cleaned(root: Path, name: str = "clean", **rule: Any) -> dict[str, Any]:
    write_manifest(root, name, recipe="nearest.py", rows={"exclude": {"run": "exp001", "above": 0.6} | rule})
    return run(root, name)


def told(root: Path, name: str, fold: int) -> dict[str, Any]:
    """What `train` was given where a fold was held out."""
    task = next(t for t in record(root, name)["tasks"] if t["ingredients"]["fold"] == fold)
    facts: dict[str, Any] = read_json(root / "runs/.tasks" / task["folder"] / "out/told.json")
    return facts


def oof(root: Path, name: str) -> pd.Series[float]:
    return Predictions.open(newest_run(root, name) / "oof.arrow").frame(labels(root).index)["label"]


def labels(root: Path) -> pd.Series[int]:
    return pd.read_csv(root / "data/train.csv", index_col="id")["label"]


def test_leaving_noise_out_raises_the_score_on_all_rows_and_both_scores_are_told(toy: Path) -> None:
    write_manifest(toy, "plain", recipe="nearest.py")
    before, after = run(toy, "plain"), cleaned(toy)
    far = (oof(toy, "exp001") - labels(toy)).abs() > 0.6
    wrong = set((toy / "data/truth.txt").read_text().split())
    assert len(wrong & set(far[far].index)) > len(wrong) / 2
    assert after["cv"] > before["cv"] + 0.02
    assert after["coverage"] == 1
    hit = (oof(toy, "clean") > 0.5).astype(int) == labels(toy)
    assert after["cv"] == pytest.approx(hit.mean())
    assert after["cv_kept"] == pytest.approx(hit[~far].mean())
    assert after["cv_kept"] > after["cv"]
    for fold in range(COUNT):
        given = told(toy, "clean", fold)
        assert not set(given["keys"]) & set(far[far].index)
        assert len(given["keys"]) + len(given["valid"]) + sum(far.drop(given["valid"])) == ROWS
    (rule,) = record(toy, "clean")["rows"]["excluded"]
    assert rule["rule"] == {"run": "exp001", "above": 0.6}
    assert (rule["run"], rule["rows"], rule["unjudged"]) == ("exp001/1", far.sum(), 0)
    shown = kagkit(toy, "compare").out
    assert "CV kept" in shown
    assert f"{after['cv_kept']:.5f}" in shown
    assert f"without the rows left out {after['cv_kept']:.5f}, exp001/1 0." in kagkit(toy, "run", "clean").err


def test_another_rule_of_the_same_outcome_trains_nothing_and_another_outcome_says_so(toy: Path) -> None:
    cleaned(toy)
    edit(toy / "clean.yaml", "0.6", "0.601")
    assert plan(toy, "clean") == {}
    assert run(toy, "clean")["run"] == "clean/2"
    assert record(toy, "clean")["rows"]["excluded"][0]["rule"]["above"] == 0.601
    edit(toy / "clean.yaml", "0.601", "0.8")
    assert set(plan(toy, "clean").values()) == {"changed: rows"}


def test_a_rule_that_leaves_nothing_out_is_no_rule(toy: Path) -> None:
    write_manifest(toy, "plain", recipe="nearest.py", args={"k": 9})
    write_manifest(
        toy, "clean", recipe="nearest.py", args={"k": 9}, rows={"exclude": {"run": "exp001", "above": 2}}
    )
    run(toy, "plain")
    assert plan(toy, "clean") == {}
    assert run(toy, "clean")["cv_kept"] is None
    assert not (newest_run(toy, "clean") / "rows.csv").exists()


def test_groups_go_or_stay_together_and_lists_and_values_say_which_rows(toy: Path) -> None:
    (toy / "data/bad.txt").write_text("r000\nr001\nnowhere\n")
    rules = [{"run": "exp001", "above": 0.6, "where": {"hospital": "north"}}, {"keys": "data/bad.txt"}]
    write_manifest(toy, "clean", recipe="nearest.py", rows={"exclude": rules})
    run(toy, "clean")
    one, other = record(toy, "clean")["rows"]["excluded"]
    assert (other["rows"], other["unknown"]) == (2, 1)
    hospital = pd.read_csv(toy / "data/train.csv", index_col="id")["hospital"]
    assert set(hospital[told(toy, "exp001", 0)["keys"]]) == {"north", "south"}
    lost = set(hospital.index) - {key for fold in range(COUNT) for key in told(toy, "clean", fold)["keys"]}
    assert set(hospital[list(lost - {"r000", "r001"})]) == {"north"}
    assert one["rows"] + 2 == len(lost)
    common = (oof(toy, "exp001") - labels(toy)).abs().groupby(hospital).mean()
    cleaned(toy, by="hospital", above=float(common.mean()))
    for fold in range(COUNT):
        assert set(hospital[told(toy, "clean", fold)["keys"]]) == {"south"}


def test_rules_that_fit_nothing_are_refused(toy: Path) -> None:
    (toy / "data/bad.txt").write_text("id_1\n")
    for rule, words in (
        ({"keys": "data/bad.txt"}, "none of its 1 key is a training row"),
        ({"run": "exp001", "above": 0.5, "by": "ward"}, "ward: no column of the training rows"),
        ({"run": "exp001", "above": 0.5, "column": "grade"}, "no label grade"),
    ):
        write_manifest(toy, "clean", recipe="nearest.py", rows={"exclude": rule})
        assert words in kagkit(toy, "run", "clean", code=3).err
    (toy / "data/bad.txt").write_text("\n".join(labels(toy).index))
    write_manifest(toy, "clean", recipe="nearest.py", rows={"exclude": {"keys": "data/bad.txt"}})
    assert "every one of its 120 rows is left out" in kagkit(toy, "run", "clean", code=3).err


def test_pseudo_labels_come_from_the_model_that_held_the_fold_out(toy: Path) -> None:
    extra = {"from": "test", "labels": "exp001", "above": 0.85, "weight": 0.5}
    write_manifest(toy, "more", recipe="nearest.py", rows={"extra": extra})
    run(toy, "more")
    tasks = {task["ingredients"]["fold"]: task for task in record(toy)["tasks"]}
    for fold in range(COUNT):
        given = told(toy, "more", fold)
        predicted = Predictions.open(toy / "runs/.tasks" / tasks[fold]["folder"] / "out/test.arrow").frame()[
            "label"
        ]
        sure = predicted[(predicted > 0.85) | (predicted < 0.15)]
        added = pd.Series(given["labels"], given["keys"])[ROWS - len(given["valid"]) :]
        assert added.to_dict() == (sure > 0.5).astype(float).to_dict()
        assert given["weights"] == [1.0] * (ROWS - len(given["valid"])) + [0.5] * len(sure)
        assert set(given["parts"][-len(sure) :]) == {"stage1/test"}
        assert given["same"]
    (rule,) = record(toy, "more")["rows"]["extra"]
    assert (rule["run"], rule["part"]) == ("exp001/1", "stage1/test")


def test_a_leak_through_pseudo_labels_is_not_in_the_score(tmp_path: Path) -> None:
    """Labels by chance, test rows that are twins: all folds together tell the held-out labels."""
    write_rows(tmp_path, twins=True)
    write_recipe(tmp_path, "nearest.py", NEAREST)
    write_competition(tmp_path, folds={"main": {"scheme": "kfold", "n": 3}})
    write_manifest(tmp_path, recipe="nearest.py")
    write_manifest(
        tmp_path, "more", recipe="nearest.py", rows={"extra": {"from": "test", "labels": "exp001"}}
    )
    kagkit(tmp_path, "run", "more")
    pooled = Predictions.open(newest_run(tmp_path) / "test.arrow").frame()["label"]
    leaked = (pooled.rename(lambda key: key[1:]).reindex(labels(tmp_path).index) > 0.5) == labels(tmp_path)
    assert leaked.mean() > 0.9
    assert record(tmp_path, "more")["cv"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("fit", ["both", "full"])
def test_labels_of_models_that_have_seen_the_fold_are_refused_by_name(toy: Path, fit: str) -> None:
    write_manifest(toy, "other", recipe="nearest.py", fit=fit)
    write_manifest(toy, "more", recipe="nearest.py", rows={"extra": {"from": "test", "labels": "other"}})
    ended = kagkit(toy, "run", "more", code=None)
    words = "have seen the rows held out here" if fit == "both" else "it was fitted on all rows"
    assert ended.code in (2, 3)
    assert words in ended.err
    assert not (toy / "runs/more").exists()


def test_what_a_run_has_seen_is_passed_on_and_told(toy: Path) -> None:
    write_manifest(toy, "more", recipe="nearest.py", rows={"extra": {"from": "test", "labels": "exp001"}})
    write_manifest(toy, "stack", recipe="nearest.py", inputs={"more": "more"})
    write_manifest(toy, "again", recipe="nearest.py", rows={"exclude": {"run": "stack", "above": 0.9}})
    ended = kagkit(toy, "run", "again")
    warning = "was trained on 120 rows of stage1/test: no later score on these is held out"
    assert all(f"{name}/1, or what feeds it, {warning}" in ended.err for name in ("more", "stack"))
    workspace = Workspace(toy)
    test = set(pd.read_csv(toy / "data/test.csv")["id"])
    for name in ("more", "stack", "again"):
        assert record(toy, name)["rows"]["seen"] == {"stage1/test": 120}
        seen = seen_keys(workspace, find_run(workspace, name))
        assert seen["stage1/test"] == test
        assert seen["stage1/train"] == set(labels(toy).index)
    assert set(seen_keys(workspace, find_run(workspace, "exp001"))) == {"stage1/train"}
    lines = (newest_run(toy, "again") / "rows.csv").read_text().splitlines()
    assert f"{min(test)},stage1/test,more/1 extra[0],0 1" in lines


@pytest.mark.parametrize("level", ["predictions", "scratch"])
def test_runs_with_rules_are_made_again_and_proved(toy: Path, level: str) -> None:
    rules = {
        "exclude": {"run": "exp001", "above": 0.6},
        "extra": {"from": "test", "labels": "exp001", "above": 0.8},
    }
    write_manifest(toy, "both", recipe="nearest.py", rows=rules)
    run(toy, "both")
    assert kagkit(toy, "reproduce", "both", "--level", level, "--json").json["verdict"] == "identical"
    assert "no problems" in kagkit(toy, "check").out
    assert "nothing to clean" in kagkit(toy, "clean").out
    (newest_run(toy, "both") / "rows.csv").write_text("id,part,rule,folds\n")
    assert "rows.csv: its bytes changed" in kagkit(toy, "check", "both", code=7).err


def with_clinic(root: Path, frame: pd.DataFrame, **told: Any) -> None:
    """A further source with rows, and a manifest that adds them."""
    facts = {"source": "a clinic", "licence": "CC0", "allowed": "rule 7"} | told
    (root / "data/clinic").mkdir()
    frame.to_csv(root / "data/clinic/train.csv")
    write_competition(root, folds=FOLDS, data={"clinic": {"files": ["data/clinic"], **facts}})
    extra = {"from": "clinic", "weight": 0.25}
    write_manifest(root, "more", recipe="nearest.py", data=["main", "clinic"], rows={"extra": extra})


def clinic_rows(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "data/train.csv", index_col="id").head(20).rename("c{}".format)


def test_rows_of_a_further_source_are_trained_on_and_never_held_out(toy: Path) -> None:
    with_clinic(toy, clinic_rows(toy))
    assert run(toy, "more")["coverage"] == 1
    for fold in range(COUNT):
        given = told(toy, "more", fold)
        assert given["keys"][-20:] == list(clinic_rows(toy).index)
        assert given["weights"][-20:] == [0.25] * 20
        assert not set(given["keys"][-20:]) & set(given["valid"])
    facts = record(toy, "more")
    (rule,) = facts["rows"]["extra"]
    assert {"source", "licence", "allowed", "keys_sha256"} <= rule.keys()
    assert (rule["part"], rule["rows"], facts["rows"]["seen"]) == ("clinic/train", 20, {"clinic/train": 20})
    assert facts["data"].keys() == {"stage1", "clinic"}
    edit(toy / "more.yaml", "0.25", "0.5")
    assert set(plan(toy, "more").values()) == {"changed: rows"}


def test_further_rows_need_a_licence_keys_of_their_own_and_the_same_columns(toy: Path) -> None:
    with_clinic(toy, clinic_rows(toy), licence="", allowed="")
    ended = kagkit(toy, "run", "more", code=2)
    assert "competition.yaml does not tell the licence, allowed of clinic" in ended.err
    shutil.rmtree(toy / "data/clinic")
    with_clinic(toy, clinic_rows(toy).rename(lambda key: key[1:]).drop(columns="y"))
    assert "clinic/train: no column y" in kagkit(toy, "run", "more", code=3).err
    shutil.rmtree(toy / "data/clinic")
    with_clinic(toy, clinic_rows(toy).rename(lambda key: key[1:]))
    kagkit(toy, "data", "pin")
    assert "20 keys that other rows have: r000, r001" in kagkit(toy, "run", "more", code=3).err


def test_rows_of_a_held_out_group_are_added_elsewhere_alone(toy: Path) -> None:
    table = pd.read_csv(toy / "data/train.csv")
    table["hospital"] = [f"h{number % 12}" for number in range(ROWS)]
    table.to_csv(toy / "data/train.csv", index=False)
    shutil.rmtree(toy / "folds")
    shutil.rmtree(toy / "runs")
    with_clinic(toy, clinic_rows(toy))
    edit(toy / "competition.yaml", "rows:\n", "rows:\n  group: hospital\n")
    edit(toy / "competition.yaml", "kfold", "group")
    kagkit(toy, "data", "pin")
    run(toy, "more")
    hospital = pd.concat([table.set_index("id")["hospital"], clinic_rows(toy)["hospital"]])
    sizes = []
    for fold in range(COUNT):
        given = told(toy, "more", fold)
        assert not set(hospital[given["keys"]]) & set(hospital[given["valid"]])
        sizes.append(sum(key.startswith("c") for key in given["keys"]))
    assert sum(sizes) == (COUNT - 1) * 20
