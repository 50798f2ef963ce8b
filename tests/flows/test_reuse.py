from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.files import file_sha256
from tests.terminal import edit, kagkit, kept, plan, record, run, swap
from tests.toy import write_competition, write_data, write_manifest

FOLDS = {"main": {"n": 2}}
TRAINS = {"train seed 0 fold 0", "train seed 0 fold 1"}
PREDICTS = {f"predict seed 0 fold {fold} {rows}" for fold in (0, 1) for rows in ("valid", "test")}
MAKE = "def labels(predictions, rows, *, least=0.5):\n    return (predictions >= least).astype(int)\n"


def test_the_same_manifest_again_does_nothing(toy: Path) -> None:
    before = kept(toy)
    again = kagkit(toy, "run", "exp001")
    assert again.err.startswith("nothing to do: exp001/1, CV 0.")
    assert kept(toy) == before
    facts = run(toy)
    assert facts["tasks"] == {"planned": 6, "done": 0, "reused": 6, "failed": 0}


def test_nothing_to_do_is_found_out_without_pandas(toy: Path) -> None:
    code = (
        "import sys\nfrom kagkit.cli import main\n"
        "try:\n    main(['run', 'exp001'])\n"
        "finally:\n    print(sorted({'pandas', 'numpy'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=toy, capture_output=True, text=True, check=True)
    assert ended.stderr.startswith("nothing to do: exp001/1")
    assert ended.stdout == "[]\n"


def change_cell(table: Path, key: str) -> None:
    """Give a row another number in its first column."""
    lines = table.read_text().splitlines()
    changed = [",".join([key, "0.12345", *line.split(",")[2:]]) if line.startswith(f"{key},") else line
               for line in lines]  # fmt: skip
    assert changed != lines
    table.write_text("\n".join([*changed, ""]))


def _explain(root: Path) -> None:
    edit(root / "mean.py", "mean = float(", "# The mean of what it may see.\n    mean = float(")
    edit(root / "mean.py", "def predict(", "\ndef predict(\n    ")
    edit(root / "mean.py", '"""Guess 1', '"""Guess one')


def manifest(**changes: Any) -> Callable[[Path], Path]:
    return lambda root: write_manifest(root, **changes)


@pytest.mark.parametrize(
    ("change", "tasks", "reason"),
    [
        (_explain, set(), ""),
        (manifest(note="the same again"), set(), ""),
        (manifest(save={"dtype": None}, combine="rank_mean"), set(), ""),
        (manifest(args={"shift": 0.1}), TRAINS, "changed: args.shift"),
        (manifest(args={"flip": True}), PREDICTS, "changed: args.flip"),
        (manifest(save={"dtype": "float32"}), PREDICTS, "changed: save.dtype"),
        (manifest(resources={"cpus": 2}), TRAINS, "changed: threads"),
        (manifest(determinism="seeded"), TRAINS, "changed: determinism"),
        (swap("mean.py", ") + shift", ") + 1 * shift"), TRAINS, "changed: code mean.py:train"),
        (swap("mean.py", "!= flip", "is not flip"), PREDICTS, "changed: code mean.py:predict"),
        (swap("mean.py", "import numpy as np\n", "import numpy as np\n\nprint()\n"),
         TRAINS, "changed: code mean.py:(module)"),
    ],
)  # fmt: skip
def test_exactly_what_depends_on_a_change_is_to_do(
    toy: Path, change: Callable[[Path], object], tasks: set[str], reason: str
) -> None:
    change(toy)
    assert plan(toy) == dict.fromkeys(tasks, reason)


def test_a_deadline_and_the_share_of_the_public_board_change_nothing(toy: Path) -> None:
    edit(toy / "competition.yaml", "    test: data/test.csv\n",
         "    test: data/test.csv\n    public_share: 0.5\n    deadline: 2019-08-26T23:59:00Z\n")  # fmt: skip
    assert kagkit(toy, "run", "exp001").err.startswith("nothing to do: exp001/1")


def test_an_argument_of_predict_predicts_again_from_the_weights_that_are_there(toy: Path) -> None:
    before = record(toy)["cv"]
    write_manifest(toy, args={"flip": True})
    facts = run(toy)
    assert facts["run"] == "exp001/2"
    assert facts["tasks"] == {"planned": 6, "done": 4, "reused": 2, "failed": 0}
    assert facts["cv"] == pytest.approx(1 - before)


def test_a_threshold_makes_a_run_and_its_old_value_another_but_no_task_is_done(toy: Path) -> None:
    (toy / "post.py").write_text(MAKE)
    made = []
    for least in (0.5, 1.5, 0.5):
        write_manifest(toy, submission={"make": "post:labels", "args": {"least": least}})
        made.append(run(toy))
    assert [facts["run"] for facts in made] == ["exp001/2", "exp001/3", "exp001/4"]
    assert [facts["tasks"]["done"] for facts in made] == [0, 0, 0]
    assert made[0]["cv"] == made[2]["cv"] != made[1]["cv"]
    assert plan(toy) == {}


def test_a_changed_cell_stops_the_run_until_it_is_pinned(toy: Path) -> None:
    before = kept(toy)
    change_cell(toy / "data/train.csv", "id_003")
    stopped = kagkit(toy, "run", "exp001", code=3)
    for told in ("data/train.csv: changed", "exp001 would be stale", "kagkit data pin"):
        assert told in stopped.err
    assert kept(toy) == before
    kagkit(toy, "data", "pin")
    reasons = plan(toy)
    assert set(reasons) == TRAINS
    assert set(reasons.values()) == {"changed: rows to train on", "changed: rows to validate on"}


def test_only_the_time_folds_that_a_changed_row_touches_are_to_do(toy: Path) -> None:
    write_competition(toy, folds=FOLDS | {"time": {"scheme": "time", "column": "number", "n": 3}})
    write_manifest(toy, "exp002", folds="time")
    table = (toy / "data/train.csv").read_text().splitlines()
    rows = [f"{line},{number}" for number, line in enumerate(table[1:])]
    (toy / "data/train.csv").write_text("\n".join([f"{table[0]},number", *rows, ""]))
    kagkit(toy, "data", "pin")
    assert run(toy, "exp002")["coverage"] == 0.75
    change_cell(toy / "data/train.csv", "id_022")
    kagkit(toy, "data", "pin")
    assert plan(toy, "exp002") == {
        "train seed 0 fold 1": "changed: rows to validate on",
        "train seed 0 fold 2": "changed: rows to train on",
    }


def test_new_test_rows_train_nothing(toy: Path) -> None:
    change_cell(toy / "data/test.csv", "id_043")
    kagkit(toy, "data", "pin")
    tests = {task for task in PREDICTS if task.endswith("test")}
    assert plan(toy) == dict.fromkeys(tests, "changed: test rows")


def test_a_row_moved_by_hand_to_another_fold_stops_the_run(toy: Path) -> None:
    lines = (toy / "folds/main.csv").read_text().splitlines()
    key, fold = lines[1].split(",")
    lines[1] = f"{key},{1 - int(fold)}"
    (toy / "folds/main.csv").write_text("\n".join([*lines, ""]))
    told = kagkit(toy, "run", "exp001", code=3).err
    assert "folds/main.csv: old rows changed since exp001/1" in told
    assert "take the change back, or make other folds under another name" in told


def test_new_training_rows_join_the_folds_and_no_old_row_moves(toy: Path) -> None:
    old = (toy / "folds/main.csv").read_text()
    with (toy / "data/train.csv").open("a") as table:
        table.write("new_1,0.1,0.2,0.3,g0,0\nnew_2,0.4,0.5,0.6,g1,1\n")
    kagkit(toy, "data", "pin")
    told = kagkit(toy, "run", "exp001", "--dry-run").err
    assert "42 training" in told
    assert "old rows changed" not in told
    new = (toy / "folds/main.csv").read_text()
    assert new.startswith(old)
    assert [line.split(",")[0] for line in new[len(old) :].split()] == ["new_1", "new_2"]


def test_other_data_than_the_run_saw_is_never_scored(toy: Path) -> None:
    write_data(toy, seed=1)
    before = file_sha256(sorted((toy / "runs/exp001").iterdir())[-1] / "record.json")
    assert "data/train.csv" in kagkit(toy, "run", "exp001", code=3).err
    kagkit(toy, "data", "pin")
    assert run(toy)["run"] == "exp001/2"
    assert file_sha256(sorted((toy / "runs/exp001").iterdir())[0] / "record.json") == before
    alarms = kagkit(toy, "compare", "exp001/1", "exp001/2", "--json").json["alarms"]
    assert [alarm["kind"] for alarm in alarms] == ["data"]
