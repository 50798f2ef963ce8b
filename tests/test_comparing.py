from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kagkit.data.parts import open_pair
from kagkit.foundation.errors import DataError, ManifestError
from kagkit.workspace.layout import Workspace
from tests.terminal import kagkit
from tests.toy import COMPETITION, make_workspace, write_competition, write_data

LOADER = """import pandas as pd


def load_rows(part, data):
    if part.source == "clinic":
        raise ValueError("no such table")
    return pd.read_csv(data.train if part.split == "train" else data.test)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_workspace(tmp_path, rows={"key": ["id"], "group": "group"})
    write_data(tmp_path, rows=120)
    return tmp_path


def leak(root: Path) -> None:
    """One training row once more under another key, and in another fold."""
    path = root / "data/train.csv"
    table = pd.read_csv(path)
    for column in ("a", "b", "c", "label"):
        table[column] = table[column].where(table["id"] != "id_020", table[column].iloc[2])
    table.to_csv(path, index=False)
    folds = table[["id"]].assign(fold=[0 if place < 20 else 1 for place in range(len(table))])
    (root / "folds").mkdir()
    folds.to_csv(root / "folds/main.csv", index=False)


def test_a_leak_is_told_with_what_to_do(root: Path) -> None:
    leak(root)
    said = kagkit(root, "data", "compare", "stage1").out
    assert "1 across folds of main" in said
    assert "id_002, id_020" in said
    assert "give copies one group" in said


def test_the_json_has_every_group_and_every_column(root: Path) -> None:
    leak(root)
    facts = kagkit(root, "data", "compare", "stage1/train", "stage1/test", "--json").json
    assert set(facts) == {"parts", "common_keys", "drift", "rows", "images", "hints"}
    assert facts["rows"]["list"][0]["members"][1] == {"part": "stage1/train", "key": "id_020", "file": None}
    assert facts["rows"]["columns"] == ["a", "b", "c"]
    assert {each["column"] for each in facts["drift"]["columns"]} == {"a", "b", "c"}
    assert facts["drift"]["only"]["stage1/train"] == ["label"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stage1/train"], "nothing to compare it with"),
        (["stage1/train", "stage1/train"], "the same part twice"),
        (["stage1/tran", "stage2/test"], "did you mean stage1/train?"),
    ],
)
def test_parts_that_are_none_are_refused(root: Path, words: list[str], said: str) -> None:
    assert said in kagkit(root, "data", "compare", *words, code=2).err


def test_data_that_cannot_be_read_end_with_three(root: Path) -> None:
    (root / "data/test.csv").write_text("id,a\n1,2,3\n")
    assert "test.csv" in kagkit(root, "data", "compare", "stage1", code=3).err


def test_a_further_source_has_a_table_or_a_loader(root: Path) -> None:
    (root / "clinic").mkdir()
    (root / "clinic/train.csv").write_text((root / "data/train.csv").read_text())
    write_competition(root, data={"clinic": {"files": ["clinic"]}})
    pair = open_pair(Workspace(root), "clinic/train", "stage1/train")
    assert pair.names == ("clinic/train", "stage1/train")
    assert pair.targets == ("label",)
    with pytest.raises(ManifestError, match="cannot be compared"):
        open_pair(Workspace(root), "clinic/train", None)
    (root / "own_rows.py").write_text(LOADER)
    rows = COMPETITION["rows"] | {"load": "own_rows:load_rows"}
    write_competition(root, rows=rows, data={"clinic": {"files": ["clinic"]}})
    with pytest.raises(DataError, match="no such table"):
        open_pair(Workspace(root), "clinic/train", "stage1/train")
