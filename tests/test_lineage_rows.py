from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ReproductionError
from kagkit.foundation.files import file_sha256
from kagkit.runs.lineage_rows import Touched, inherited, read_touched, seen_keys, write_touched
from kagkit.runs.record import Run
from kagkit.workspace.layout import Workspace
from tests.toy import make_workspace

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
ADDED = Touched(("t1",), "stage1/test", "extra[0]", ("0", "1"))
LEFT_OUT = Touched(("a",), "stage1/train", "exclude[0]", ("1",))


def run_with(root: Path, *rows: Touched, name: str = "exp001") -> Run:
    """A run with a list of rows and a fold table."""
    table = root / "folds/main.csv"
    table.parent.mkdir(exist_ok=True)
    table.write_text('id,fold\na,0\n"b,c",1\n')
    folder = root / f"runs/{name}/001-00000000"
    folder.mkdir(parents=True, exist_ok=True)
    write_touched(folder / "rows.csv", ["id"], rows)
    fold_set = {"name": "main", "sha256": file_sha256(table), "bytes": table.stat().st_size}
    files = [{"name": "rows.csv", "sha256": "", "bytes": 0}]
    return Run(folder, name, 1, {"fold_set": fold_set, "files": files})


@settings(max_examples=30, deadline=None)
@given(rows=st.sets(st.tuples(TEXTS, TEXTS), max_size=5))
def test_any_key_comes_back_as_it_was(
    rows: set[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("rows")
    touched = [Touched(key, "stage1/test", "extra[0]", ("0",)) for key in sorted(rows)]
    run = run_with(root, *touched)
    write_touched(run.folder / "rows.csv", ["patient", "eye"], touched)
    assert read_touched(run) == touched


def test_a_run_has_seen_its_training_rows_and_what_was_added(tmp_path: Path) -> None:
    workspace = Workspace(make_workspace(tmp_path))
    run = run_with(tmp_path, LEFT_OUT, ADDED)
    assert seen_keys(workspace, run) == {"stage1/train": {"a", "b,c"}, "stage1/test": {"t1"}}


def test_what_was_added_is_inherited_with_its_run_however_far_down(tmp_path: Path) -> None:
    mother = run_with(tmp_path, LEFT_OUT, ADDED)
    (line,) = inherited([mother, mother])
    assert line == ADDED._replace(rule="exp001/1 extra[0]")
    child = run_with(tmp_path, line, name="exp002")
    assert list(inherited([child])) == [line]


def test_what_cannot_be_known_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(make_workspace(tmp_path))
    run = run_with(tmp_path, ADDED)
    (run.folder / "rows.csv").unlink()
    with pytest.raises(ReproductionError, match=r"rows\.csv: missing"):
        seen_keys(workspace, run)
    run = run_with(tmp_path, ADDED)
    (tmp_path / "folds/main.csv").write_text("id,fold\na,1\n")
    with pytest.raises(ReproductionError, match="nobody knows what exp001/1 has seen"):
        seen_keys(workspace, run)
