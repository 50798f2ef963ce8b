from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kagkit.data.rows import DataPaths
from kagkit.foundation.errors import RunError
from kagkit.runs.scripts import Script
from kagkit.runs.task import Task
from kagkit.workspace.commandlines import Command
from kagkit.workspace.commands import CommandRecipe

ROWS = pd.DataFrame(
    {"a": [0.1, 2.5, 1e-17], "text": ["x, y", "", None], "label": [0, 1, 1]},
    index=pd.Index(["007", "8", "é"], name="id"),
)
TRAIN = "python train.py {train_rows} {valid_rows} {out}"
PREDICT = "python predict.py {weights} {rows} {out}"
STRANGE = """{out} of predict: keys that {rows} has not (2): 7, 9; expected keys of {rows}: 007, 8, é
  hint: keys are text: pd.read_csv(…, dtype={"id": str}) keeps 007 as it is"""
CAUGHT = """import traceback
try:
    raise ValueError("seen to")
except ValueError:
    traceback.print_exc()
print("going on")
print("no disk")
exit(4)
"""
GOOD = "id,label\n007,1\n8,0\né,0.5\n"


@contextmanager
def logged(root: Path) -> Iterator[Path]:
    """Programs write to this process's own output, which is a job's log; gives the task's folder."""
    work = root / "runs/.work/key"
    (work / "out").mkdir(parents=True, exist_ok=True)
    log = os.open(work / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ours = os.dup(1), os.dup(2)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        yield work
    finally:
        os.dup2(ours[0], 1)
        os.dup2(ours[1], 2)
        for number in (log, *ours):
            os.close(number)


def script(root: Path, train: str = TRAIN, predict: str = PREDICT, **more: Any) -> Script:
    return Script(CommandRecipe(root, Command(train, predict), **more), "train seed 0 fold 1")


def task(root: Path, **facts: Any) -> Task:
    work = root / "runs/.work/key"
    given: dict[str, Any] = {"seed": 3, "fold": 1, "stage": 1, "threads": 2, "device": "cpu"}
    given |= {"data": {"main": DataPaths(None, root / "test.csv", ())}}
    given |= {"out": work / "out", "checkpoint": work / "checkpoint"}
    rows = {"train": ROWS, "valid": ROWS.iloc[:0]}
    return Task(work / "events.jsonl", rows.__getitem__, **given | facts)


def train(root: Path, text: str, line: str = TRAIN, args: dict[str, Any] | None = None, **more: Any) -> Path:
    """Train with a script; the folder it left."""
    (root / "train.py").write_text(text)
    with logged(root) as work:
        script(root, line, **more).train(task(root), **args or {})
    return work / "out"


def predict(root: Path, answer: str | None, rows: pd.DataFrame = ROWS) -> pd.DataFrame:
    """Predict with a script that writes `answer` to the file it is told."""
    written = f"open(sys.argv[3], 'w', encoding='utf-8').write({answer!r})" if answer is not None else ""
    (root / "predict.py").write_text(f"import sys\n{written}\n")
    with logged(root):
        return script(root).predict(task(root), root / "runs/.tasks/key/out", rows.drop(columns="label"))


def refusal(root: Path, answer: str | None) -> str:
    with pytest.raises(RunError, match="predictions cannot be read") as caught:
        predict(root, answer)
    return "\n".join(str(problem) for problem in caught.value.problems)


def test_row_files_have_the_key_first_and_read_back_as_they_are(tmp_path: Path) -> None:
    copy = (
        "import shutil, sys\nshutil.copy(sys.argv[1], sys.argv[3])\nshutil.copy(sys.argv[2], sys.argv[3])\n"
    )
    out = train(tmp_path, copy)
    read = pd.read_csv(out / "train_rows.csv", dtype={"id": str})
    assert list(read.columns) == ["id", "a", "text", "label"]
    pd.testing.assert_series_equal(read.set_index("id")["a"], ROWS["a"], check_exact=True)
    assert (out / "valid_rows.csv").read_text() == "id,a,text,label\n"


def test_every_placeholder_is_filled_and_paths_start_at_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/train.py").write_text("import sys\nopen(sys.argv[1], 'w').write(str(sys.argv[2:]))\n")
    line = "python train.py {out}/told.txt {seed} {fold} {stage} {threads} {device} {checkpoint} {files}"
    line += " {note} {flag} {many}"
    files = {"data": {"main": DataPaths(None, tmp_path / "t.csv", (tmp_path / "images", tmp_path / "x"))}}
    for fold in (1, None):
        args = {"note": "a b; $HOME", "flag": True, "many": [1, "x"]}
        with logged(tmp_path):
            script(tmp_path, line, workdir="src").train(task(tmp_path, fold=fold, **files), **args)
        number = "1" if fold else "-1"
        words = ["3", number, "1", "2", "cpu", "../runs/.work/key/checkpoint", "../images"]
        told = (tmp_path / "runs/.work/key/out/told.txt").read_text()
        assert told == str([*words, "a b; $HOME", "true", '[1,"x"]'])


def test_python_is_the_one_that_kagkit_runs_in_and_prints_live(tmp_path: Path) -> None:
    text = "import os, sys\nfrom pathlib import Path\n"
    text += "Path(sys.argv[3], 'told').write_text(f'{sys.executable} {os.environ[\"PYTHONUNBUFFERED\"]}')\n"
    assert (train(tmp_path, text) / "told").read_text() == f"{sys.executable} 1"
    assert not list(tmp_path.glob("__pycache__"))


def test_a_python_that_fails_is_told_by_its_exception_and_line(tmp_path: Path) -> None:
    text = "import json\n\n\ndef parse():\n    print('one')\n    json.loads('{')\n\n\nparse()\n"
    with pytest.raises(RunError, match="train seed 0 fold 1 failed") as caught:
        train(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.where == "train.py line 6"
    assert problem.found.startswith("json.decoder.JSONDecodeError: Expecting property name")
    assert "`python train.py runs/.work/key/train_rows.csv" in problem.hint
    assert problem.hint.endswith("failed; read runs/.work/key/log.txt")


@pytest.mark.parametrize(
    ("text", "where", "told"),
    [
        ("x = (\n", "train.py line 1", "SyntaxError: '(' was never closed"),
        ("class Odd(Exception): ...\n\nraise Odd\n", "train.py line 3", "Odd"),
        ("print('a\\nb\\nc\\nd\\n')\nexit(3)\n", "command.train", "exit code 3; it said: b / c / d"),
        ("import sys\nsys.exit('no such column')\n", "command.train", "exit code 1; it said: no such column"),
        ("import os\nos._exit(7)\n", "command.train", "exit code 7"),
        (CAUGHT, "command.train", "exit code 4; it said: ValueError: seen to / going on / no disk"),
        ("import os\nos.kill(os.getpid(), 9)\n", "command.train", "ended by SIGKILL, out of memory perhaps"),
        ("import os\nos.kill(os.getpid(), 11)\n", "command.train", "ended by SIGSEGV"),
    ],
)  # fmt: skip
def test_a_script_that_ends_badly_is_told(text: str, where: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        train(tmp_path, text)
    (problem,) = caught.value.problems
    assert (problem.where, problem.found) == (where, told)


def test_the_last_words_of_an_earlier_attempt_are_not_told_again(tmp_path: Path) -> None:
    with logged(tmp_path) as work:
        (work / "log.txt").write_text("Traceback\n  File 'train.py', line 1\nold\n")
    with pytest.raises(RunError) as caught:
        train(tmp_path, "import os\nos._exit(7)\n")
    assert caught.value.problems[0].found == "exit code 7"


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    (tmp_path / "fit").write_text("")
    with pytest.raises(RunError, match=r"command.train: ./fit cannot be started: .* denied"):
        train(tmp_path, "", line="./fit {out}")


def test_a_script_that_writes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"wrote no file into \{out\}"):
        train(tmp_path, "")


WRITES = """import sys
from pathlib import Path
out = Path(sys.argv[3])
for name in ("a.txt", "deep/b.txt", "deep/c.bin", "d.ckpt"):
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text(name)
"""


@pytest.mark.parametrize(
    ("outputs", "kept"),
    [
        ((), ["a.txt", "d.ckpt", "deep/b.txt", "deep/c.bin"]),
        (("*.txt",), ["a.txt"]),
        (("**/*.txt",), ["a.txt", "deep/b.txt"]),
        (("deep",), ["deep/b.txt", "deep/c.bin"]),
        (("a.txt", "deep/*.bin"), ["a.txt", "deep/c.bin"]),
    ],
)
def test_outputs_say_what_is_kept(outputs: tuple[str, ...], kept: list[str], tmp_path: Path) -> None:
    out = train(tmp_path, WRITES, outputs=outputs)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == kept


def test_outputs_that_match_nothing_are_told_and_nothing_is_lost(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        train(tmp_path, WRITES, outputs=("*.txt", "*.safetensors", "nothing"))
    assert [str(problem) for problem in caught.value.problems] == [
        f"outputs: {glob}: no such file below {{out}}\n  hint: written were a.txt, d.ckpt, {deep}"
        for deep in ("deep/b.txt, deep/c.bin",)
        for glob in ("*.safetensors", "nothing")
    ]
    assert (tmp_path / "runs/.work/key/out/d.ckpt").exists()


def test_predictions_are_joined_by_key_whatever_their_order(tmp_path: Path) -> None:
    table = predict(tmp_path, "label,id\n0,8\n0.5,é\n1,007\n")
    assert table["label"].to_dict() == {"8": 0, "é": 0.5, "007": 1}
    given = (tmp_path / "runs/.work/key/rows.csv").read_text()
    assert given.startswith("id,a,text\n007,")


def test_keys_of_several_columns_are_joined_too(tmp_path: Path) -> None:
    rows = ROWS.assign(eye=["left", "right", "left"]).set_index("eye", append=True)
    table = predict(tmp_path, "eye,p,id\nleft,1,007\nleft,0,é\nright,0,8\n", rows)
    assert table["p"].to_dict() == {("007", "left"): 1, ("é", "left"): 0, ("8", "right"): 0}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "{out} of predict: not written; expected a CSV\n  hint: write the predictions to the file"),
        ("", "{out} of predict: an empty file; expected a header and rows"),
        ("<html>\nno\n", "{out} of predict: no column id\n  hint: one of: <html>"),
        ("ID,label\n007,1\n", "{out} of predict: no column id\n  hint: did you mean ID?"),
        ("id,label\n007,1,2\n", "{out} of predict line 2: more cells than the 2 of the header"),
        (",id,label\n0,007,1\n", "{out} of predict: a column without a name\n  hint: pandas: to_csv(…, ind"),
        ("id,label\n7,1\n8,1\n9,0\n", STRANGE),
    ],
)  # fmt: skip
def test_predictions_that_cannot_be_read_are_told(answer: str | None, told: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, answer).startswith(told)


def test_predictions_that_are_no_text_are_told(tmp_path: Path) -> None:
    text = "import sys\nopen(sys.argv[3], 'wb').write(b'id,label\\n\\xff\\xfe,1\\n')\n"
    (tmp_path / "predict.py").write_text(text)
    with logged(tmp_path), pytest.raises(RunError, match=r"\{out\} of predict line 2: not UTF-8"):
        script(tmp_path).predict(task(tmp_path), tmp_path, ROWS)


def test_predictions_of_an_attempt_that_was_killed_are_not_taken(tmp_path: Path) -> None:
    with logged(tmp_path) as work:
        (work / "predictions.csv").write_text(GOOD)
    assert refusal(tmp_path, None).startswith("{out} of predict: not written")
