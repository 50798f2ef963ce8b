from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kagkit.foundation.files import file_sha256, read_json, write_json
from kagkit.runs.record import seal_record
from tests.terminal import edit, kagkit, newest_run, run
from tests.toy import RECIPE, make_workspace, write_competition, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}}
PREPARING = """import json

import numpy as np
import pandas as pd


def prepare(task, rows, *, power=2):
    np.save(task.out / "squares.npy", rows["a"].to_numpy() ** power)
    (task.out / "part.txt").write_text(task.part)


def train(task):
    (task.out / "mean.json").write_text(json.dumps(float(task.train_rows["a"].mean())))


def predict(task, model, rows):
    mean = json.loads((task.weights / "mean.json").read_text())
    squares = np.load(task.prepared[task.part] / "squares.npy")
    if task.part.endswith("test"):
        assert (task.prepared[task.part] / "part.txt").read_text() == task.part
        assert len(squares) == len(rows)
    return ((rows["a"] > mean) * 0.9).to_frame("label")
"""
BOOSTED = """import lightgbm as lgb
import pandas as pd


def train(task):
    rows = task.train_rows
    settings = {"objective": "binary", "seed": task.seed, "num_threads": 1, "verbose": -1}
    model = lgb.train(settings, lgb.Dataset(rows[["a", "b", "c"]], rows["label"]), 5)
    model.save_model(task.out / "model.txt")


def load(task):
    return lgb.Booster(model_file=task.weights / "model.txt")


def predict(task, model, rows):
    return pd.DataFrame({"label": model.predict(rows[["a", "b", "c"]])}, index=rows.index)
"""
NETWORK = """import pandas as pd
import torch
from safetensors.torch import load_file, save_file


def tensor(rows):
    return torch.tensor(rows[["a", "b", "c"]].to_numpy("float32"))


def train(task):
    model = torch.nn.Linear(3, 1)
    save_file(model.state_dict(), task.out / "model.safetensors")


def load(task):
    model = torch.nn.Linear(3, 1)
    model.load_state_dict(load_file(task.weights / "model.safetensors"))
    return model


def predict(task, model, rows):
    with torch.inference_mode():
        return pd.DataFrame({"label": model(tensor(rows)).sigmoid().numpy()[:, 0]}, index=rows.index)
"""
BLOCKER = """import sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mlflow", "kaggle", "click"):
            raise ImportError(f"{name} is not here")


sys.meta_path.insert(0, Refuse())
"""
KEPT = """def train(task):
    return 1


def predict(task, model, rows):
    return (rows["a"] > 0).astype("int64").to_frame("label")
"""
NOTEBOOK = """import sys
from pathlib import Path

from kagkit.packages.fresh import predict_rows

*_, answered = predict_rows("locks/exp001.lock.yaml", Path("../new"), Path("../out.csv"))
print(answered.rows)
"""


def with_line(line: str) -> str:
    """The toy's recipe with a line more at the start of `predict`."""
    return RECIPE.replace("    mean = json.loads", f"    {line}\n    mean = json.loads")


def predict(root: Path, *words: str, data: str = "data", code: int = 0) -> str:
    """What `kagkit predict exp001` says on both streams."""
    ended = kagkit(root, "predict", "exp001", "--data", data, "--out", "out.csv", *words, code=code)
    return ended.out + ended.err


def new_rows(root: Path, *lines: str, header: str = "id,a,b,c,group") -> str:
    """A folder with a test table alone."""
    (root / "new").mkdir(exist_ok=True)
    (root / "new/test.csv").write_text("\n".join([header, *lines, ""]))
    return "new"


def test_the_runs_own_test_rows_give_the_very_submission(toy: Path) -> None:
    ended = kagkit(toy, "predict", "exp001", "--data", "data", "--out", "out.csv", "--json")
    assert (toy / "out.csv").read_bytes() == (newest_run(toy) / "submission.csv").read_bytes()
    facts = ended.json
    assert (facts["run"], facts["rows"], facts["lines"], facts["out"]) == ("exp001/1", 20, 20, "out.csv")
    assert facts["members"] == [{"seed": 0, "fold": 0}, {"seed": 0, "fold": 1}]
    assert facts["check"] == "20 rows as in the sample submission"
    assert [path for path in (toy / "runs/.work").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("recipe", [PREPARING, BOOSTED, NETWORK], ids=["prepare", "lightgbm", "torch"])
def test_every_kind_of_recipe_gives_the_very_submission(recipe: str, tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds=FOLDS)
    write_recipe(root, "model.py", recipe)
    write_manifest(root, recipe="model.py", combine="rank_mean", save={"dtype": "float32"})
    metric = {"score": "kagkit.metrics:auc", "greater_is_better": True}
    write_competition(root, folds=FOLDS, metric=metric)
    run(root)
    predict(root)
    assert (root / "out.csv").read_bytes() == (newest_run(root) / "submission.csv").read_bytes()


def test_fits_on_all_rows_predict_and_those_of_folds_do_not(toy: Path) -> None:
    write_manifest(toy, fit="both")
    run(toy)
    ended = kagkit(toy, "predict", "exp001", "--data", "data", "--out", "out.csv", "--json")
    assert ended.json["members"] == [{"seed": 0, "fold": None}]
    assert (toy / "out.csv").read_bytes() == (newest_run(toy) / "submission.csv").read_bytes()


def test_a_notebook_has_no_training_data_and_none_of_the_command_lines_libraries(
    toy: Path, tmp_path: Path
) -> None:
    expected = (newest_run(toy) / "submission.csv").read_bytes()
    shutil.copytree(toy / "data", tmp_path / "new")
    (tmp_path / "new/train.csv").unlink()
    for gone in ("data", ".kagkit", "runs/.tasks", "runs/.data", "folds", "exp001.yaml"):
        shutil.rmtree(toy / gone) if (toy / gone).is_dir() else (toy / gone).unlink()
    (newest_run(toy) / "oof.arrow").unlink()
    (tmp_path / "without").mkdir()
    (tmp_path / "without/sitecustomize.py").write_text(BLOCKER)
    ours = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        cwd=toy,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'without'}{os.pathsep}{ours}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "20\n"), done.stderr
    assert (tmp_path / "out.csv").read_bytes() == expected
    # From anywhere, by the run's path.
    told = ["predict", str(newest_run(toy)), "--data", str(tmp_path / "new"), "--out", "elsewhere.csv"]
    kagkit(tmp_path, *told)
    assert (tmp_path / "elsewhere.csv").read_bytes() == expected


def test_any_number_of_rows_is_predicted(toy: Path) -> None:
    one = new_rows(toy, "id_900,9.0,0,0,g1")
    assert "1 rows by exp001/1" in predict(toy, data=one)
    assert "no sample submission" in predict(toy, data=one)
    assert (toy / "out.csv").read_text() == "id,label\nid_900,1\n"
    many = [f"n{number},{number - 100},0,0,g1" for number in range(200)]
    predict(toy, data=new_rows(toy, *many))
    assert (toy / "out.csv").read_text().count("\n") == 201
    assert "no rows; expected at least one" in predict(toy, data=new_rows(toy), code=3)


@pytest.mark.parametrize(
    ("header", "line", "told", "code"),
    [
        ("id,a,b,c", "n1,1,1,1", "group: no such column in the new rows", 3),
        ("id,a,b,c,gruop", "n1,1,1,1,g", "did you mean gruop?", 3),
        ("id,a,b,c,group", "n1,high,1,1,g", "a: str: 'high' in n1; expected float64", 3),
        ("id,a,b,c,group", ",1,1,1,g", "blank key", 3),
        ("key,a,b,c,group", "n1,1,1,1,g", "no column id", 3),
    ],
)
def test_rows_of_another_shape_are_refused(toy: Path, header: str, line: str, told: str, code: int) -> None:
    assert told in predict(toy, data=new_rows(toy, line, header=header), code=code)
    assert not (toy / "out.csv").exists()


def test_repeated_ids_and_missing_files_are_refused(toy: Path) -> None:
    assert "1 key on more than one row: n1" in predict(
        toy, data=new_rows(toy, "n1,1,1,1,g", "n1,2,1,1,g"), code=3
    )
    (toy / "new/test.csv").rename(toy / "new/tests.csv")
    assert "no data/test.csv, nor its last part\n    hint: did you mean tests.csv?" in predict(
        toy, data="new", code=3
    )
    assert "no such folder" in predict(toy, data="nowhere", code=3)


def test_targets_and_strange_columns_are_left_out_and_told(toy: Path) -> None:
    write_recipe(toy, "all.py", with_line("assert list(rows) == ['a', 'b', 'c', 'group']"))
    write_manifest(toy, recipe="all.py")
    run(toy)
    told = predict(toy, data=new_rows(toy, "7,g,n1,9,1,1,1", header="z,group,id,a,b,c,label"))
    assert "not shown to predict, as targets: label" in told
    assert "left out, as the run knew no such columns: z" in told


def test_words_that_look_like_numbers_stay_words_and_whole_numbers_become_floats(toy: Path) -> None:
    kinds = "(rows['group'].iloc[0], str(rows['a'].dtype))"
    kept = with_line(f"assert len(rows) > 1 or {kinds} == ('007', 'float64'), {kinds}")
    write_recipe(toy, "kinds.py", kept)
    write_manifest(toy, recipe="kinds.py")
    run(toy)
    predict(toy, data=new_rows(toy, "n1,3,1,1,007"))


def test_a_sample_beside_the_rows_orders_and_checks_them(toy: Path) -> None:
    data = new_rows(toy, "n1,9,1,1,g", "n2,-9,1,1,g")
    (toy / "new/sample_submission.csv").write_text("id,label\nn2,0\nn1,0\n")
    predict(toy, data=data)
    assert (toy / "out.csv").read_text() == "id,label\nn2,0\nn1,1\n"
    (toy / "new/sample_submission.csv").write_text("id,label\nn2,0\nn3,0\n")
    assert "1 of 2 ids have no prediction: n3" in predict(toy, data=data, code=5)
    assert (toy / "out.csv").read_text() == "id,label\nn2,0\nn1,1\n"


def test_damaged_weights_are_refused(toy: Path) -> None:
    path = newest_run(toy) / "weights/seed0-fold1/mean.json"
    path.unlink()
    path.write_text("0.123")
    told = predict(toy, code=7)
    assert "weights/seed0-fold1/mean.json: its bytes changed" in told
    path.unlink()
    assert "weights/seed0-fold1/mean.json: missing" in predict(toy, code=7)


def test_other_code_is_refused_until_it_is_accepted(toy: Path) -> None:
    edit(toy / "mean.py", "import json", "import json  # a comment changes nothing")
    predict(toy)
    edit(toy / "mean.py", "!= flip)", "== flip)")
    told = predict(toy, code=4)
    assert "mean.py:predict: changed since exp001/1" in told
    assert "--accept code:mean.py" in told
    before = (toy / "out.csv").read_bytes()
    predict(toy, "--accept", "code:mean.py")
    assert (toy / "out.csv").read_bytes() != before
    assert "uses no code of other.py" in predict(toy, "--accept", "code:other.py", code=2)
    (toy / "mean.py").unlink()
    assert "mean.py:predict: missing" in predict(toy, "--accept", "code:mean.py", code=4)


def test_an_older_run_predicts_as_it_was_made(toy: Path) -> None:
    expected = (newest_run(toy) / "submission.csv").read_bytes()
    write_manifest(toy, args={"flip": True})
    run(toy)
    kagkit(toy, "predict", "exp001/1", "--data", "data", "--out", "out.csv")
    assert (toy / "out.csv").read_bytes() == expected


def test_a_run_without_weights_or_part_of_one_cannot_predict(toy: Path) -> None:
    write_recipe(toy, "kept.py", KEPT)
    write_manifest(toy, "kept", recipe="kept.py")
    run(toy, "kept")
    ended = kagkit(toy, "predict", "kept", "--data", "data", "--out", "out.csv", code=2)
    assert "it kept its predictions and no weights" in ended.err
    run(toy, "exp001", "--folds", "0")
    ended = kagkit(toy, "predict", "exp001/2", "--data", "data", "--out", "out.csv", code=2)
    assert "a partial run" in ended.err


def test_a_lock_is_held_against_the_run_it_names(toy: Path) -> None:
    lock = toy / "locks/exp001.lock.yaml"
    kagkit(toy, "predict", "locks/exp001.lock.yaml", "--data", "data", "--out", "out.csv")
    lock.write_text(
        lock.read_text().replace("weights/seed0-fold0/mean.json: ", "weights/seed0-fold0/mean.json: 0")
    )
    ended = kagkit(toy, "predict", str(lock), "--data", "data", "--out", "out.csv", code=7)
    assert "exp001/1 is not what exp001.lock.yaml locked" in ended.err


def test_a_record_of_an_older_kagkit_says_what_to_do(toy: Path) -> None:
    path = newest_run(toy) / "record.json"
    record = read_json(path)
    del record["interface"]
    path.unlink()
    write_json(path, seal_record(record))
    assert "kagkit run exp001 puts its stored tasks together again" in predict(toy, code=2)
    facts = run(toy)
    assert (facts["run"], facts["tasks"]["done"]) == ("exp001/2", 0)
    assert "20 rows by exp001/2" in predict(toy)
    assert "nothing to do: exp001/2" in kagkit(toy, "run", "exp001").err


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("runs/out.csv", "in runs/"),
        ("new/test.csv", "a file of the new rows"),
        ("data/train.csv", "data that competition.yaml names"),
        ("data/sample_submission.csv", "data that competition.yaml names"),
        ("data", "a folder"),
        ("mean.py", "there already, and not a submission"),
    ],
)
def test_nothing_but_a_submission_is_written_over(toy: Path, out: str, why: str) -> None:
    new_rows(toy, "n1,9,1,1,g")
    before = (toy / out).read_bytes() if (toy / out).is_file() else None
    ended = kagkit(toy, "predict", "exp001", "--data", "new", "--out", out, code=2)
    assert why in ended.err
    assert ((toy / out).read_bytes() if (toy / out).is_file() else None) == before


def test_a_recipe_that_fails_is_told_like_a_failed_task(toy: Path) -> None:
    failing = with_line("assert len(rows) > 1, 'too few'")
    write_recipe(toy, "picky.py", failing)
    write_manifest(toy, recipe="picky.py")
    run(toy)
    told = predict(toy, data=new_rows(toy, "n1,9,1,1,g"), code=4)
    assert "AssertionError: too few" in told
    left = [path for path in (toy / "runs/.work").rglob("*.json") if "predict-" in path.as_posix()]
    assert not [path for path in left if str(toy.parent) in path.read_text()]
    assert json.loads(next(path for path in left if path.name == "error.json").read_text())["exit_code"] == 4


def test_a_loader_of_the_users_own_reads_the_new_rows(toy: Path) -> None:
    (toy / "mine.py").write_text(
        "import pandas as pd\n\n\ndef load_rows(part, data):\n"
        "    table = pd.read_csv(data.train if part.split == 'train' else data.test, dtype={'id': 'str'})\n"
        "    return table.assign(a=table['a'] * 2)\n"
    )
    write_competition(toy, folds=FOLDS, rows={"key": ["id"], "load": "mine:load_rows"})
    run(toy)
    predict(toy)
    assert (toy / "out.csv").read_bytes() == (newest_run(toy) / "submission.csv").read_bytes()


def test_a_manifest_of_another_kagkit_is_not_guessed_at(toy: Path) -> None:
    folder = newest_run(toy)
    text = (folder / "manifest.yaml").read_text() + "combine: [median]\n"
    (folder / "manifest.yaml").unlink()
    (folder / "manifest.yaml").write_text(text)
    record = read_json(folder / "record.json")
    for kept in record["files"]:
        if kept["name"] == "manifest.yaml":
            kept |= {"sha256": file_sha256(folder / "manifest.yaml"), "bytes": len(text)}
    (folder / "record.json").unlink()
    write_json(folder / "record.json", seal_record(record))
    told = predict(toy, code=2)
    assert f"runs/exp001/{folder.name}/manifest.yaml cannot be read" in told
    assert "combine" in told
