from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import RunError
from kagkit.runs.leavings import refuse_unkeepable
from tests.terminal import edit, kagkit, kept, plan, run, swap
from tests.toy import make_workspace, write_competition, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}}
TRAIN = '    (task.out / "mean.txt").write_text(f"{task.fold}")'
PREDICT = '    return (rows["a"] > 0).astype("int64").to_frame("label")'
LOADER = "def load_rows(part, data):\n    return {}\n"
METRIC = "def score(solution, submission, row_id_column_name):\n    raise ValueError('no such luck')\n"


def write_bad_recipe(root: Path, *only: int, **changes: str) -> None:
    """exp002, of some folds, and its recipe bad.py: good but for its `head`, `train` or `predict`."""
    parts = {"head": "", "train": TRAIN, "predict": PREDICT} | changes
    lines = [
        parts["head"],
        "",
        "def train(task):",
        parts["train"],
        "",
        "",
        "def predict(task, model, rows):",
        parts["predict"],
        "",
    ]
    write_recipe(root, "bad.py", "\n".join(lines))
    write_manifest(root, "exp002", recipe="bad.py", folds={"set": "main", "only": list(only)})


def refused(root: Path, *words: str, code: int) -> str:
    """What a command that fails says; it shows no stack trace, no private path, and loses nothing."""
    before = kept(root)
    ended = kagkit(root, *words, code=code)
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert str(root) not in ended.err
    assert before.items() <= kept(root).items()
    return ended.err


def manifest(**changes: Any) -> Callable[[Path], object]:
    return lambda root: write_manifest(root, **changes)


def competition(**changes: Any) -> Callable[[Path], object]:
    return lambda root: write_competition(root, **{"folds": FOLDS} | changes)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (manifest(seeed=[0]), ["exp001.yaml line 3: seeed: no such key", "did you mean seeds?"]),
        (manifest(recipe="maen.py"), ["exp001.yaml line 2: maen.py: no such file", "did you mean mean.py?"]),
        (manifest(code=["look.csv"]), ["exp001.yaml line 3: look.csv: no such file"]),
        (manifest(args={"shfit": 1}), ["args.shfit: no function of mean.py takes it", "did you mean shift?"]),
        (manifest(args={"shift": "far"}), ['args.shift: found "far"; expected a number']),
        (manifest(folds="mian"), ["folds: no set named mian", "did you mean main?"]),
        (manifest(data=["main", "chexpert"]), ["data: chexpert is not declared in competition.yaml"]),
        (manifest(combine="median"), ["combine: median; expected mean, rank_mean or module:function"]),
        (manifest(submission={"make": "nowhere:labels"}), ["nowhere:labels: no such module"]),
        (swap("mean.py", "def predict", "def predikt"), ["mean.py: no function predict"]),
        (swap("mean.py", "flip=False", "flip"), ["predict: flip has no default"]),
        (swap("mean.py", "return", "return ("), ["mean.py line", "not Python"]),
        (swap("exp001.yaml", "kagkit: 1", "kagkit: 2"), ["kagkit: format 2; expected 1"]),
        (swap("exp001.yaml", "recipe", "recipe: mean.py\nrecipe"), ["recipe: the key stands twice"]),
        (competition(metric={"score": "kagkit.metrics:acuracy", "greater_is_better": True}),
         ["kagkit.metrics:acuracy: no such function", "did you mean accuracy?"]),
        (competition(rows={"key": ["id"], "load": "loads:rows"}), ["loads:rows: no such module"]),
        (swap("competition.yaml", "data/train.csv", "data/trian.csv"), ["did you mean data/train.csv?"]),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_with_its_place_before_anything_runs(
    toy: Path, change: Callable[[Path], object], told: list[str]
) -> None:
    change(toy)
    printed = refused(toy, "run", "exp001", code=2)
    for words in told:
        assert words in printed
    checked = kagkit(toy, "check", code=2).err
    assert [words for words in told if words not in checked] == []


def test_all_problems_are_told_at_once(toy: Path) -> None:
    write_manifest(toy, seeed=1, args={"shfit": 1, "flip": "perhaps"}, folds="mian", code=["look.csv"])
    told = refused(toy, "run", "exp001", code=2)
    assert told.startswith("exp001.yaml: 5 problems\n")
    for word in ("seeed", "shfit", "perhaps", "mian", "look.csv"):
        assert word in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (competition(rows={"key": ["idd"]}), ["no column idd", "did you mean id?"]),
        (swap("data/train.csv", "id_003,", "id_004,"), ["1 key on more than one row: id_004"]),
        (swap("data/train.csv", "id_003,", " ,"), ["blank key"]),
        (swap("data/train.csv", "id_003,", "id_003,1,2,"), ["data/train.csv line 5", "more cells than"]),
        (lambda root: (root / "data/test.csv").write_bytes(b"id,a,b\n\xff,1,2\n"), ["line 2", "not UTF-8"]),
        (lambda root: (root / "data/test.csv").write_text(""), ["data/test.csv: an empty file"]),
        (swap("folds/main.csv", "id_003,", "id_003,x"), ["folds/main.csv line 5", "no fold number"]),
        (swap("folds/main.csv", "id_003,", "id_004,"), ["folds/main.csv line 6", "is there before"]),
    ],
)  # fmt: skip
def test_rows_and_folds_that_break_a_rule_are_told_with_their_line(
    toy: Path, change: Callable[[Path], object], told: list[str]
) -> None:
    change(toy)
    kagkit(toy, "data", "pin")
    printed = refused(toy, "run", "exp001", code=3)
    for words in told:
        assert words in printed


def test_a_loader_that_gives_no_table_is_told(toy: Path) -> None:
    write_recipe(toy, "loads.py", LOADER)
    write_competition(toy, folds=FOLDS, rows={"key": ["id"], "load": "loads:load_rows"})
    assert "returned dict; expected a DataFrame" in refused(toy, "run", "exp001", code=3)
    write_recipe(toy, "loads.py", LOADER.replace("return {}", 'raise KeyError("views")'))
    told = refused(toy, "run", "exp001", code=4)
    assert "loads.py line 2: KeyError: 'views'" in told


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ({"predict": f"{PREDICT}.iloc[1:]"}, ["no prediction for 1 of 20 rows: id_"]),
        ({"predict": "    table = " + PREDICT.strip().removeprefix("return ")
          + "\n    return table.rename(index={rows.index[0]: 'stray'})"},
         ["keys not asked for (1): stray", "no prediction for 1 of 20 rows: id_"]),
        ({"predict": f"{PREDICT}.astype(float).replace(1.0, float('nan'))"}, ["rows with NaN"]),
        ({"predict": '    return rows["a"].to_numpy()'}, ["returned ndarray", "DataFrame by key"]),
        ({"predict": f'{PREDICT}.rename(columns={{"label": "lable"}})'}, ["columns lable; expected label"]),
        ({"predict": '    return task.train_rows'}, ["bad.py line 8 (predict", "only train sees rows"]),
        ({"train": "    pass"}, ["bad.py:train", "wrote no file into task.out"]),
        ({"train": "    raise SystemExit(0)"}, ["train seed 0 fold 0"]),
        ({"train": "    import os\n    os.abort()"}, ["ended by signal 6", "log.txt"]),
        ({"head": "import kagkit_no_such_module"}, ["bad.py line 1: ModuleNotFoundError"]),
        ({"train": '    for name in ("a.pkl", "b.joblib"):\n        (task.out / name).write_bytes(b"")'
          '\n    import pickle\n    (task.out / "c.bin").write_bytes(pickle.dumps([1]))'},
         ["a.pkl", "b.joblib", "c.bin", "a pickle: it can run any code", "safetensors"]),
    ],
)  # fmt: skip
def test_a_recipe_that_does_what_it_may_not_is_told_with_its_place(
    toy: Path, lines: dict[str, str], told: list[str]
) -> None:
    write_bad_recipe(toy, 0, **lines)
    printed = refused(toy, "run", "exp002", code=4)
    for words in told:
        assert words in printed
    assert not (toy / "runs/exp002").exists()


def test_what_torch_saves_by_pickle_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save(torch.nn.Linear(1, 1), tmp_path / "model.pt")
    with pytest.raises(
        RunError, match=r"model.pt: a file of torch that needs(.|\n)*safetensors.torch.save_file"
    ):
        refuse_unkeepable(tmp_path, "train seed 0 fold 0")


def test_a_recipe_that_raises_loses_its_own_task_alone(toy: Path) -> None:
    raising = f'    if task.fold == 1:\n        raise ValueError(f"bad {{task.out}}")\n{TRAIN}'
    write_bad_recipe(toy, 0, 1, train=raising)
    told = refused(toy, "run", "exp002", code=4)
    assert "train seed 0 fold 1 failed; kept: 3 finished tasks" in told
    assert "bad.py line 5: ValueError: bad ./runs/.work/" in told
    log = toy / told.split("read ")[-1].strip()
    words = log.read_text()
    assert 'File "./bad.py", line 5, in train' in words
    assert 'File "kagkit/runs/worker.py"' in words
    assert not re.search(r"(^|[\s\"'(])/", words)
    assert plan(toy, "exp002") == {"train seed 0 fold 1": "failed before"}
    edit(toy / "bad.py", raising, TRAIN)
    assert run(toy, "exp002")["complete"]


def test_a_full_disk_is_told_as_one_and_costs_one_task(toy: Path) -> None:
    full = (
        '    if task.fold == 1:\n        with open("/dev/full", "w") as disk:\n            disk.write("x")\n'
    )
    write_bad_recipe(toy, 0, 1, train=full + TRAIN)
    told = refused(toy, "run", "exp002", code=4)
    assert "train seed 0 fold 1 could not be written: the disk is full; kept: 3 finished tasks" in told
    assert "free some space and run the same command again" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "def score(truth, answer):\n    return 1.0\n",
            "host:score(truth, answer); expected score(solution,",
        ),
        (METRIC.replace("_name)", "_name, weights)"), "host:score needs weights"),
        (f"import no_such_package\n{METRIC}", "host.py line 1: ModuleNotFoundError"),
        (f"{METRIC}\n1 / 0\n", "host.py line 4: ZeroDivisionError"),
        (METRIC[:-4], "host.py line 2"),
    ],
)
def test_a_metric_that_cannot_work_is_told_before_anything_is_trained(
    tmp_path: Path, text: str, told: str
) -> None:
    root = make_workspace(tmp_path, folds=FOLDS, metric={"score": "host:score", "greater_is_better": True})
    (root / "host.py").write_text(text)
    assert told in refused(root, "run", "exp001", code=2)
    assert not (root / "runs/.tasks").exists()


def test_a_metric_that_raises_is_told_and_no_task_is_lost(toy: Path) -> None:
    write_recipe(toy, "host.py", METRIC)
    write_competition(toy, folds=FOLDS, metric={"score": "host:score", "greater_is_better": True})
    told = refused(toy, "run", "exp001", code=4)
    assert "the metric did not accept the predictions" in told
    assert "host:score: ValueError: no such luck" in told
    edit(toy / "host.py", "raise ValueError('no such luck')", "return 1.0")
    assert run(toy)["cv"] == 1.0


def test_a_fold_of_one_class_has_no_score_of_its_own_and_the_cv_stands(toy: Path) -> None:
    rows = [line.split(",") for line in (toy / "data/train.csv").read_text().split()[1:]]
    table = "".join(f"{row[0]},{row[-1]}\n" for row in rows)
    (toy / "own.csv").write_text(f"id,fold\n{table}")
    metric = {"score": "kagkit.metrics:auc", "greater_is_better": True}
    write_competition(toy, folds=FOLDS | {"own": {"file": "own.csv"}}, metric=metric)
    write_manifest(toy, "exp002", folds="own")
    told = run(toy, "exp002")
    assert 0 <= told["cv"] <= 1
    assert [fold["score"] for fold in told["folds"]] == [None, None]
    assert "every row is 0" in told["folds"][0]["note"]


def test_a_fold_that_cannot_be_scored_stops_a_cv_that_is_the_mean_of_folds(toy: Path) -> None:
    rows = [line.split(",") for line in (toy / "data/train.csv").read_text().split()[1:]]
    (toy / "own.csv").write_text("id,fold\n" + "".join(f"{row[0]},{row[-1]}\n" for row in rows))
    metric = {"score": "kagkit.metrics:auc", "greater_is_better": True, "cv": "fold_mean"}
    write_competition(toy, folds=FOLDS | {"own": {"file": "own.csv"}}, metric=metric)
    write_manifest(toy, "exp002", folds="own")
    told = refused(toy, "run", "exp002", code=5)
    assert told.splitlines()[-2:] == [
        "seed 0, fold 0: the submission cannot be scored",
        "  solution, column label: every row is 0; expected rows of 0 and rows of 1",
    ]


def test_a_sample_submission_of_other_rows_is_told(toy: Path) -> None:
    edit(toy / "data/sample_submission.csv", "id_050", "id_999")
    told = refused(toy, "run", "exp001", code=5)
    assert "1 of 20 ids have no prediction: id_999" in told
    assert "1 ids are not in the sample submission: id_050" in told


def test_any_folder_name_and_windows_line_ends_are_fine(finished: Path, tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "コンペ 2019 ü", folds=FOLDS)
    for table in (root / "data").iterdir():
        table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n"))
    facts = run(root)
    assert kagkit(root, "package", "exp001").out.startswith("submissions/exp001-001/submission.csv")
    assert facts["oof"] == run(finished)["oof"]
    assert b"\r" not in (root / "submissions/exp001-001/submission.csv").read_bytes()
