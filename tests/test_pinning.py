from __future__ import annotations

from pathlib import Path

import pytest

from kagkit.data.versions import read_lock
from kagkit.foundation.errors import DataError
from kagkit.foundation.files import file_sha256, write_json
from kagkit.runs.pinning import refuse_moved_folds, settle_data
from kagkit.runs.record import FORMAT, Run, read_run, seal_record
from kagkit.workspace.layout import Workspace
from tests.toy import make_workspace, write_data


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with a further source, nothing of it pinned."""
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra/more.csv").write_text("id\n1\n")
    further = {"more": {"files": ["extra"], "source": "here", "licence": "any", "allowed": "yes"}}
    return Workspace(make_workspace(tmp_path, data=further))


def _make_run(workspace: Workspace, name: str, **facts: object) -> Run:
    folder = workspace.runs / name / "001-0123abcd"
    told = {"kagkit": FORMAT, "experiment": name, "number": 1, "complete": True, "cv": None}
    record = told | {"tasks": [], "plan_key": "", "files": [], "data": {}} | facts
    write_json(folder / "record.json", seal_record(record))
    return read_run(folder)


def test_what_was_never_pinned_is_pinned_and_told(workspace: Workspace) -> None:
    pins = settle_data(workspace, ["stage1"])
    version = read_lock(workspace.root)["stage1"].version
    assert pins.versions == {"stage1": version}
    assert pins.notes == (f"pinned stage1: 2 files, version {version[:12]}",)
    assert pins.parts["stage1"].keys() == {"train", "test"}
    assert (workspace.root / f"runs/.data/{version}.sha256").exists()


def test_what_is_pinned_stays_so_and_each_source_is_pinned_when_it_is_needed(workspace: Workspace) -> None:
    first = settle_data(workspace, ["stage1"])
    second = settle_data(workspace, ["stage1", "more"])
    assert (second.versions["stage1"], second.parts["stage1"]) == (
        first.versions["stage1"],
        first.parts["stage1"],
    )
    assert [note.partition(":")[0] for note in second.notes] == ["pinned more"]
    assert settle_data(workspace, ["stage1", "more"]).notes == ()


def test_changed_data_stop_and_name_every_file_and_what_rests_on_them(workspace: Workspace) -> None:
    pins = settle_data(workspace, ["stage1", "more"])
    _make_run(workspace, "exp001", data=pins.versions)
    _make_run(workspace, "exp002", data={"stage1": "another"})
    write_data(workspace.root, rows=44)
    (workspace.root / "extra/more.csv").unlink()
    (workspace.root / "extra/most.csv").write_text("id\n2\n")
    with pytest.raises(DataError, match="not the ones that were pinned") as caught:
        settle_data(workspace, ["stage1", "more"])
    told = [str(problem) for problem in caught.value.problems]
    changed = (
        "data/train.csv: changed",
        "data/test.csv: changed",
        "extra/more.csv: removed",
        "extra/most.csv: added",
    )
    for where in changed:
        assert any(line.startswith(where) for line in told), told
    stale = [line for line in told if "would be stale" in line]
    assert [line.partition(" version")[0] for line in stale] == ["stage1", "more"]
    assert all("exp001 would be stale" in line and "exp002" not in line for line in stale)
    assert all("kagkit data pin" in line for line in stale)


def test_changed_data_that_nothing_rests_on_stop_as_well(workspace: Workspace) -> None:
    settle_data(workspace, ["stage1"])
    write_data(workspace.root, rows=44)
    with pytest.raises(DataError, match="no run rests on it"):
        settle_data(workspace, ["stage1"])


def test_old_rows_of_a_fold_table_may_not_move_and_new_ones_may_come(workspace: Workspace) -> None:
    table = workspace.fold_file("main")
    table.parent.mkdir()
    table.write_text("id,fold\na,0\nb,1\n")
    made = {"name": "main", "sha256": file_sha256(table), "bytes": table.stat().st_size}
    run = _make_run(workspace, "exp001", fold_set=made)
    refuse_moved_folds(workspace, run, "main")
    table.write_text("id,fold\na,0\nb,1\nc,0\n")
    refuse_moved_folds(workspace, run, "main")
    table.write_text("id,fold\na,1\nb,0\nc,0\n")
    with pytest.raises(DataError, match=r"folds/main\.csv: old rows changed since exp001/1"):
        refuse_moved_folds(workspace, run, "main")
    refuse_moved_folds(workspace, run, "other")
