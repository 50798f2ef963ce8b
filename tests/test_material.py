from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kagkit.data import contents
from kagkit.data.parts import data_paths
from kagkit.foundation.errors import DataError
from kagkit.foundation.files import read_json, write_json
from kagkit.runs.material import (
    Material,
    cached_material,
    fold_members,
    make_material,
    material_file,
    rows_folder,
    rows_key,
    scheme_of,
    take_stock,
)
from kagkit.workspace.layout import Workspace
from kagkit.workspace.schemes import Scheme
from tests.toy import make_workspace, write_competition

PARTS = {"train": "a", "test": "b"}


def key_of(workspace: Workspace, **parts: str) -> str:
    return rows_key(workspace, 1, {"stage1": PARTS | parts})


LOADER = '''"""Rows as they come."""
import pandas as pd

def load_rows(part, data):
    path = data.train if part.split == "train" else data.test
    return pd.read_csv(path, dtype={"id": str}).set_index("id")
'''
ROWS = {"key": ["id"], "load": "loading:load_rows"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace of three folds with a loader of its own."""
    (tmp_path / "loading.py").write_text(LOADER)
    return make_workspace(tmp_path, rows=ROWS, folds={"main": {"n": 3}})


def _make(root: Path) -> Material:
    return make_material(Workspace(root), 1, "key", "main")


def _frame(root: Path, split: str = "train") -> pd.DataFrame:
    return contents.read(rows_folder(Workspace(root), "key") / f"{split}.arrow")


def _relabel(root: Path) -> None:
    """Give the first row another label."""
    path = root / "data/train.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[0, "label"] = str(1 - int(str(table.loc[0, "label"])))
    table.to_csv(path, index=False, lineterminator="\n")


def test_rows_have_another_key_where_code_rules_or_data_differ(root: Path) -> None:
    workspace, keys = Workspace(root), []
    keys.append(key_of(workspace))
    keys.append(key_of(workspace, train="c"))
    keys.append(key_of(workspace, files="d"))
    keys.append(key_of(workspace.for_smoke(True)))
    (root / "loading.py").write_text(LOADER.replace("str", "object"))
    keys.append(key_of(Workspace(root)))
    write_competition(root, rows=ROWS | {"group": "group"})
    keys.append(key_of(Workspace(root)))
    assert len(set(keys)) == len(keys)


def test_rows_keep_their_key_where_only_words_differ(root: Path) -> None:
    key = key_of(Workspace(root))
    (root / "loading.py").write_text(
        LOADER.replace("import", "# as text\nimport").replace("as they", "as they do")
    )
    write_competition(root, rows=ROWS, folds={"main": {"n": 3}}, host="none")
    assert key_of(Workspace(root)) == key


def test_what_was_made_is_read_from_the_cache(root: Path) -> None:
    assert cached_material(Workspace(root), "key", "main") is None
    made = _make(root)
    assert cached_material(Workspace(root), "key", "main") == made
    assert cached_material(Workspace(root), "another", "main") is None
    assert cached_material(Workspace(root), "key", "other") is None


def test_material_says_what_the_rows_are(root: Path) -> None:
    made = _make(root)
    assert (made.targets, made.train_rows, made.test_rows, made.dropped) == (("label",), 40, 20, 0)
    assert made.folds.keys() == {"full", "0", "1", "2"}
    assert sum(digests.valid_rows for digests in made.folds.values()) == 40
    assert made.folds["full"].train == contents.digest(_frame(root))
    assert made.parts["test"] == contents.digest(_frame(root, "test"))
    assert len({digest for fold in made.folds.values() for digest in (fold.train, fold.valid)}) == 8


@pytest.mark.parametrize("gone", ["train.arrow", "test.arrow"])
def test_rows_that_are_gone_are_not_cached(gone: str, root: Path) -> None:
    _make(root)
    (rows_folder(Workspace(root), "key") / gone).unlink()
    assert cached_material(Workspace(root), "key", "main") is None


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", {"folds": {"0": {}}}, {"targets": None}, {"folds": []}, {"surplus": 1}]
)
def test_a_damaged_cache_is_none_at_all(damage: Any, root: Path) -> None:
    made = _make(root)
    path = material_file(Workspace(root), "key", "main")
    assert path is not None
    if isinstance(damage, str):
        path.write_text(damage)
    else:
        write_json(path, read_json(path) | damage)
    assert cached_material(Workspace(root), "key", "main") is None
    assert _make(root) == made == cached_material(Workspace(root), "key", "main")


def test_another_fold_table_is_other_material(root: Path) -> None:
    _make(root)
    table = root / "folds/main.csv"
    table.write_text(
        table.read_text().replace(",0\n", ",9\n").replace(",1\n", ",0\n").replace(",9\n", ",1\n")
    )
    assert cached_material(Workspace(root), "key", "main") is None


def test_a_label_is_part_of_what_is_trained_on_and_not_of_what_is_predicted(root: Path) -> None:
    before = _make(root)
    fold_of = pd.read_csv(root / "folds/main.csv", index_col="id")["fold"]
    _relabel(root)
    after = _make(root)
    assert before.parts == after.parts
    held_out = str(fold_of["id_000"])
    for name, digests in after.folds.items():
        assert (digests.train == before.folds[name].train) == (name == held_out)
        assert name == "full" or (digests.valid == before.folds[name].valid) == (name != held_out)


def test_a_fold_is_what_the_others_are_not_in_the_order_of_the_rows(root: Path) -> None:
    _make(root)
    frame = _frame(root)
    fold_of = pd.read_csv(root / "folds/main.csv", index_col="id")["fold"].sample(frac=1, random_state=0)
    held_out: list[str] = []
    for fold in range(3):
        train, valid = fold_members(frame, fold_of, fold, Scheme(n=3))
        assert sorted([*train, *valid]) == sorted(frame.index)
        assert all(list(part) == [key for key in frame.index if key in set(part)] for part in (train, valid))
        held_out += list(valid)
    assert sorted(held_out) == sorted(frame.index)


def test_a_loader_gets_the_training_table_for_training_rows_alone(root: Path) -> None:
    stage = Workspace(root).competition.stages["1"]
    assert data_paths(root, stage, "train").train == root / "data/train.csv"
    assert data_paths(root, stage, "test").train is None
    assert data_paths(root, stage, "test").test == root / "data/test.csv"


def test_a_fold_set_that_nobody_declared_is_made_by_default(root: Path) -> None:
    assert scheme_of(Workspace(root).competition, "other") == Scheme()
    assert make_material(Workspace(root), 1, "key", "other").folds.keys() == {"full", *"01234"}


def test_a_fold_without_rows_to_train_on_is_told(root: Path) -> None:
    keys = [f"id_{number:03d}" for number in range(40)]
    (root / "own.csv").write_text("id,fold\n" + "".join(f"{key},0\n" for key in keys))
    write_competition(root, rows=ROWS, folds={"main": {"file": "own.csv"}})
    with pytest.raises(DataError, match="fold 0: 0 rows to train on, 40 to validate on"):
        _make(root)


def test_smoke_material_is_small_and_lives_apart(root: Path) -> None:
    whole, smoke = Workspace(root), Workspace(root, smoke=True)
    assert key_of(whole) != key_of(smoke)
    made = make_material(smoke, 1, "smoke", "main")
    assert made.train_rows <= 40
    assert len(contents.read(rows_folder(smoke, "smoke") / "train.arrow")) == made.train_rows


def _take_stock(root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(root)
    spec = root / "runs/.work/rows-key/spec.json"
    write_json(spec, {"stage": 1, "key": "key", "fold_set": "main", "smoke": False})
    return take_stock(spec.relative_to(root).as_posix())


def test_a_job_that_finds_the_rows_cached_reads_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _take_stock(root, monkeypatch) == 0
    (root / "data/train.csv").write_text("no table any more")
    assert _take_stock(root, monkeypatch) == 0


def test_a_job_that_cannot_use_the_rows_leaves_the_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (root / "data/train.csv").open("a") as table:
        table.write("id_000,0,0,0,g0,1\n")
    assert _take_stock(root, monkeypatch) == 1
    told = read_json(root / "runs/.work/rows-key/error.json")
    assert told["error"] == "DataError"
    assert "id_000" in json.dumps(told)
    assert not (root / "folds").exists()
