from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import DataError
from kagkit.foundation.files import file_sha256, read_json, write_json
from kagkit.runs.inputs import BLEND, find_inputs
from kagkit.runs.record import seal_record
from kagkit.workspace.layout import Workspace
from tests.flows.test_inputs import GATE
from tests.terminal import kagkit, newest_run, plan, record, run, swap
from tests.toy import write_competition, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}}


@pytest.fixture(scope="module")
def exported(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip of a finished run; for reading only."""
    path = tmp_path_factory.mktemp("exported") / "exp001.zip"
    kagkit(finished, "export", "exp001", "-o", str(path))
    return path


@pytest.fixture(scope="module")
def tables(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.csv and b.csv, as a team-mate without kagkit would send them; for reading only."""
    folder = tmp_path_factory.mktemp("tables")
    for name, file in (("oof", "a.csv"), ("test", "b.csv")):
        frame = Predictions.open(newest_run(finished) / f"{name}.arrow").frame()
        frame.sample(frac=1, random_state=0).reset_index().to_csv(folder / file, index=False)
    return folder


def bring(root: Path, tables: Path, *words: str, code: int = 0, oof: str = "a.csv") -> str:
    """What `kagkit import` says of a team-mate's two tables."""
    files = ["--oof", str(tables / oof), "--test", str(tables / "b.csv")]
    ended = kagkit(root, "import", *files, "--name", "mate1", *words, code=code)
    return ended.err if code else ended.out


def repack(source: Path, target: Path, change: Callable[[Path], object]) -> Path:
    """A zip with something changed in what it holds."""
    folder = target.with_suffix("")
    with zipfile.ZipFile(source) as packed:
        packed.extractall(folder)
    change(folder)
    with zipfile.ZipFile(target, "w") as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            packed.write(path, path.relative_to(folder).as_posix())
    return target


def reseal(**facts: object) -> Callable[[Path], None]:
    """The change of whoever alters a record and makes a seal that fits."""

    def change(folder: Path) -> None:
        told = seal_record(read_json(folder / "record.json") | facts)
        write_json(folder / "record.json", told)
        write_json(folder / "export.json", read_json(folder / "export.json") | {"seal": told["seal"]})

    return change


def fed_experiment(root: Path, recipe: str, name: str = "mate1") -> None:
    """Ask for the inputs of an experiment that is fed by a run."""
    write_recipe(root, "gate.py", GATE)
    write_manifest(root, "final", recipe="gate.py", inputs={"clf": name})
    workspace = Workspace(root)
    experiment = workspace.experiment("final")
    changed = replace(experiment, manifest=replace(experiment.manifest, recipe=recipe))
    (found,) = find_inputs(workspace, changed)
    assert found.as_parent()["folds"] == found.folds != "same"
    assert found.note.endswith("it is blended, and this CV is not nested")


def test_a_run_is_packed_the_same_each_time_and_without_weights(finished: Path, tmp_path: Path) -> None:
    told = [
        kagkit(finished, "export", "exp001", "-o", str(tmp_path / f"{n}.zip"), "--json").json for n in "ab"
    ]
    assert told[0]["sha256"] == told[1]["sha256"] == file_sha256(tmp_path / "a.zip")
    assert set(told[0]["left_out"]) == {f"weights/seed0-fold{fold}/mean.json" for fold in (0, 1)}
    with zipfile.ZipFile(tmp_path / "a.zip") as packed:
        names = packed.namelist()
        assert {"record.json", "oof.arrow", "test.arrow", "submission.csv", "folds.csv", "code/mean.py"} <= {
            *names
        }
        assert not any(name.startswith(("weights", "events")) for name in names)
        everything = b"".join(packed.read(name) for name in names)
    for private in (str(finished), str(Path.home()) + "/", str(tmp_path)):
        assert private.encode() not in everything
    assert "there already" in kagkit(finished, "export", "exp001", "-o", str(tmp_path / "a.zip"), code=2).err
    kagkit(finished, "export", "exp001", "-o", str(tmp_path / "w.zip"), "--weights")
    with zipfile.ZipFile(tmp_path / "w.zip") as packed:
        assert {*told[0]["left_out"]} <= {*packed.namelist()}


def test_an_imported_run_is_compared_packaged_and_feeds_others(toy: Path, exported: Path) -> None:
    own = record(toy)
    told = kagkit(toy, "import", str(exported), "--name", "anna1", "--author", "Anna").out
    assert told.startswith("anna1/1 by Anna, CV 0.")
    theirs = record(toy, "anna1")
    assert (theirs["cv"], theirs["oof"], theirs["fold_set"]["name"]) == (own["cv"], own["oof"], "main")
    assert theirs["imported"]["run"] == "exp001/1"
    assert theirs["imported"]["files"]["archive"]["sha256"] == file_sha256(exported)
    assert kagkit(toy, "check", "anna1/1").out == "no problems\n"
    comparison = kagkit(toy, "compare", "--json").json
    assert {row["run"]: row["author"] for row in comparison["rows"]} == {"exp001/1": "", "anna1/1": "Anna"}
    assert comparison["alarms"] == []
    assert "author" in kagkit(toy, "compare").out
    kagkit(toy, "package", "anna1")
    write_recipe(toy, "gate.py", GATE)
    write_manifest(toy, "final", recipe="gate.py", inputs={"clf": "anna1"})
    assert run(toy, "final")["cv"] == own["cv"]
    assert record(toy, "final")["parents"][0]["folds"] == "same"
    assert record(toy, "final")["nested"]
    kagkit(toy, "clean", "-y")
    assert plan(toy, "final") == {}


def test_an_imported_run_is_never_run_predicted_from_or_made_again(toy: Path, exported: Path) -> None:
    kagkit(toy, "import", str(exported), "--name", "anna1")
    told = "anna1/1 was imported, and is never run"
    assert told in kagkit(toy, "run", "anna1", code=2).err
    assert told in kagkit(toy, "reproduce", "anna1", code=2).err
    assert (
        "its code is never run here"
        in kagkit(toy, "predict", "anna1", "--data", "data", "--out", "o.csv", code=2).err
    )
    assert "pass on the file it came in" in kagkit(toy, "export", "anna1", "-o", "x.zip", code=2).err
    write_manifest(toy, "anna1")
    assert told in kagkit(toy, "run", "anna1", code=2).err


def test_a_name_that_is_taken_or_none_is_refused(toy: Path, exported: Path) -> None:
    assert "exp001.yaml has that name" in kagkit(toy, "import", str(exported), code=2).err
    kagkit(toy, "import", str(exported), "--name", "anna1")
    again = kagkit(toy, "import", str(exported), "--name", "anna1", code=2).err
    assert "runs/anna1/ is there already" in again
    assert "--name NAME" in again
    for name in ("../out", ".tasks", "competition", "a/b"):
        assert "is not imported" in kagkit(toy, "import", str(exported), "--name", name, code=2).err


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (lambda folder: (folder / "oof.arrow").write_bytes(b"x"), 7, "oof.arrow: its bytes changed"),
        (lambda folder: (folder / "test.arrow").unlink(), 7, "test.arrow: missing"),
        (lambda folder: (folder / "extra.py").write_text("1"), 7, "extra.py: not in the record"),
        (lambda folder: (folder / "folds.csv").write_text("id,fold\n"), 7, "not the folds of the record"),
        (lambda folder: (folder / "record.json").write_text("{}"), 7, "a run's record is damaged"),
        (swap("export.json", '"kagkit": 1', '"kagkit": 2'), 3, "another format"),
        (lambda folder: (folder / "export.json").unlink(), 3, "no export.json in it"),
        (reseal(competition="titanic"), 2, "competition: titanic; expected toy"),
        (reseal(complete=False), 2, "a partial run"),
        (reseal(submission={"sha256": "0", "rows": 1}), 7, "a record of another shape"),
        (reseal(cv="high"), 7, "a record of another shape"),
    ],
)  # fmt: skip
def test_a_zip_that_is_not_what_it_says_is_refused_and_leaves_nothing(
    toy: Path, exported: Path, tmp_path: Path, change: Callable[[Path], object], code: int, told: str
) -> None:
    archive = repack(exported, tmp_path / "changed.zip", change)
    assert told in kagkit(toy, "import", str(archive), "--name", "anna1", code=code).err
    assert not (toy / "runs/anna1").exists()
    assert not list((toy / "runs/.work").glob("import-*"))


def test_another_metric_is_refused_and_another_version_of_the_data_is_told(toy: Path, exported: Path) -> None:
    sample = toy / "data/train.csv"
    sample.write_text(sample.read_text().replace("g1", "g2", 1))
    kagkit(toy, "data", "pin")
    told = kagkit(toy, "import", str(exported), "--name", "anna1").out
    assert "made on another version of stage1, of the same rows" in told
    write_competition(
        toy, folds=FOLDS, metric={"score": "kagkit.metrics:log_loss", "greater_is_better": False}
    )
    told = kagkit(toy, "import", str(exported), "--name", "anna2", code=2).err
    assert "metric.score: kagkit.metrics:accuracy; expected kagkit.metrics:log_loss" in told
    assert "metric.greater_is_better: True; expected False" in told


def test_rows_that_are_not_here_are_refused_by_name(toy: Path, exported: Path) -> None:
    train = toy / "data/train.csv"
    train.write_text("".join(line for line in train.read_text().splitlines(True) if "id_003" not in line))
    shutil.rmtree(toy / "folds")
    kagkit(toy, "data", "pin")
    told = kagkit(toy, "import", str(exported), "--name", "anna1", code=3).err
    assert "1 key that no row here has: id_003; expected the keys of 39 rows" in told


def test_two_tables_are_a_run_that_is_scored_here(toy: Path, tables: Path) -> None:
    told = bring(toy, tables, "--author", "Bo")
    assert told.startswith("mate1/1 by Bo, CV 0.")
    assert "its folds are not known: it feeds blends alone" in told
    theirs, own = record(toy, "mate1"), record(toy)
    assert (theirs["cv"], theirs["coverage"], theirs["cv_std"]) == (own["cv"], 1.0, None)
    assert theirs["oof"]["content_sha256"] == own["oof"]["content_sha256"]
    assert theirs["submission"] == own["submission"]
    assert set(theirs["imported"]["files"]) == {"oof", "test"}
    assert kagkit(toy, "check", "mate1/1").out == "no problems\n"
    kagkit(toy, "package", "mate1")
    kinds = {alarm["kind"] for alarm in kagkit(toy, "compare", "--json").json["alarms"]}
    assert kinds == {"folds"}


def test_folds_that_are_the_same_make_it_a_run_like_others(toy: Path, tables: Path) -> None:
    assert "folds" not in bring(toy, tables, "--folds", str(toy / "folds/main.csv")).replace(
        "between folds", ""
    )
    theirs, own = record(toy, "mate1"), record(toy)
    assert (theirs["fold_set"]["sha256"], theirs["cv_std"]) == (own["fold_set"]["sha256"], own["cv_std"])
    assert theirs["folds"] == own["folds"]
    write_recipe(toy, "gate.py", GATE)
    write_manifest(toy, "final", recipe="gate.py", inputs={"clf": "mate1"})
    assert run(toy, "final")["cv"] == own["cv"]


def test_unknown_and_other_folds_feed_a_blend_alone_which_says_so(
    toy: Path, tables: Path, tmp_path: Path
) -> None:
    bring(toy, tables)
    with pytest.raises(DataError, match="seen rows that are held out") as caught:
        fed_experiment(toy, "gate.py")
    assert "nobody knows the folds of mate1/1" in str(caught.value)
    fed_experiment(toy, BLEND)
    shutil.rmtree(toy / "runs/mate1")
    moved = pd.read_csv(toy / "folds/main.csv")
    moved.assign(fold=1 - moved["fold"]).to_csv(tmp_path / "moved.csv", index=False)
    assert "its folds are others than those here" in bring(
        toy, tables, "--folds", str(tmp_path / "moved.csv")
    )
    with pytest.raises(DataError, match="seen rows that are held out") as caught:
        fed_experiment(toy, "gate.py")
    assert "40 rows in another fold of mate1: id_000" in str(caught.value)
    assert "feed it to a blend alone" in str(caught.value)
    fed_experiment(toy, BLEND)


def test_a_blend_of_unknown_folds_is_made_told_and_made_again(
    toy: Path, tables: Path, tmp_path: Path
) -> None:
    for name in ("a.csv", "b.csv"):
        table = pd.read_csv(tables / name)
        noise = np.random.default_rng(0).random(len(table))
        table.assign(label=0.7 * table["label"] + 0.3 * noise).to_csv(tmp_path / name, index=False)
    bring(toy, tmp_path)
    write_manifest(toy, "final", recipe=BLEND, inputs={"own": "exp001", "theirs": "mate1"})
    told = kagkit(toy, "run", "final").err
    assert "inputs.theirs: mate1/1: nobody knows its folds; it is blended, and this CV is not nested" in told
    assert record(toy, "final")["nested"] is False
    assert [each["folds"] for each in record(toy, "final")["parents"]] == ["same", "unknown"]
    (row,) = [row for row in kagkit(toy, "compare", "--json").json["rows"] if row["run"] == "final/1"]
    assert "not nested" in row["verdict"]
    assert kagkit(toy, "reproduce", "final", "--json").json["verdict"] == "identical"
    told = kagkit(toy, "predict", "final", "--data", "data", "--out", "o.csv", code=2).err
    assert "mate1/1: imported: its code is never run here, and it feeds final/1" in told


def test_a_model_on_a_blend_that_is_not_nested_is_refused(toy: Path) -> None:
    folder = newest_run(toy)
    write_json(folder / "record.json", seal_record(read_json(folder / "record.json") | {"nested": False}))
    with pytest.raises(DataError, match="seen rows that are held out") as caught:
        fed_experiment(toy, "gate.py", "exp001")
    assert "a blend of runs on other folds" in str(caught.value)
    fed_experiment(toy, BLEND, "exp001")
    alarms = kagkit(toy, "compare", "--json").json["alarms"]
    assert [(alarm["kind"], "exp001/1" in alarm["text"]) for alarm in alarms] == [("nested", True)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.iloc[1:], "1 key missing: id_"),
        (lambda table: pd.concat([table, table.iloc[:2]]), "2 keys more than once: id_"),
        (lambda table: table.replace("id_007", "id_7"), "1 key that no row here has: id_7"),
        (lambda table: table.rename(columns={"label": "lable"}), "hint: did you mean lable?"),
        (lambda table: table.assign(fold=0), "a column fold; expected id, label"),
        (lambda table: table.assign(label=table["label"].where(table["id"] != "id_005")), "id_005"),
        (lambda table: table.rename(columns={"id": "Id"}), "no column id"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_hold_each_row_once_is_refused(
    toy: Path, tables: Path, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], told: str
) -> None:
    shutil.copytree(tables, tmp_path / "tables")
    change(pd.read_csv(tables / "a.csv")).to_csv(tmp_path / "tables/a.csv", index=False)
    files = ["--oof", str(tmp_path / "tables/a.csv"), "--test", str(tables / "b.csv")]
    ended = kagkit(toy, "import", *files, "--name", "mate1", code=None)
    assert (ended.code in (3, 4), told in ended.err) == (True, True), ended
    assert not (toy / "runs/mate1").exists()


def test_a_part_of_the_rows_is_taken_where_that_is_said(toy: Path, tables: Path, tmp_path: Path) -> None:
    pd.read_csv(tables / "a.csv").iloc[:20].to_csv(tmp_path / "a.csv", index=False)
    shutil.copyfile(tables / "b.csv", tmp_path / "b.csv")
    assert "--partial" in bring(toy, tmp_path, code=3)
    assert "its CV is on 50% of the training rows" in bring(toy, tmp_path, "--partial")
    assert record(toy, "mate1")["coverage"] == 0.5


def test_what_is_asked_for_must_belong_together(toy: Path, tables: Path, exported: Path) -> None:
    assert "give FILE, or --oof" in kagkit(toy, "import", "--oof", str(tables / "a.csv"), code=2).err
    both = kagkit(toy, "import", str(exported), "--oof", str(tables / "a.csv"), code=2).err
    assert "FILE has its predictions in it" in both
