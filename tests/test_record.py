from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import ManifestError, ReproductionError
from kagkit.foundation.files import append_json_line, read_json, write_json
from kagkit.runs.record import (
    FORMAT,
    Run,
    events_seal,
    experiments_with_runs,
    find_run,
    is_intact,
    latest_run,
    read_run,
    run_folders,
    run_of_plan,
    seal_record,
    verify_run,
)
from kagkit.runs.store import list_kept
from kagkit.workspace.layout import Workspace

FILES = {
    "oof.arrow": b"arrow and more arrow",
    "submission.csv": b"id,label\n",
    "weights/seed0-fold0/record.json": b"{}",
    "weights/seed0-fold0/events.jsonl": b"[]\n",
}


def _make_run(root: Path, name: str, number: int, **facts: Any) -> Run:
    """A run directory with a record of its files."""
    folder = root / "runs" / name / f"{number:03d}-0123abcd"
    for file, content in FILES.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    told = {"kagkit": FORMAT, "experiment": name, "number": number, "complete": True, "cv": 0.5}
    told |= {"tasks": [], "plan_key": "0123abcd", "files": [asdict(kept) for kept in list_kept(folder)]}
    write_json(folder / "record.json", seal_record(told | facts))
    append_json_line(folder / "events.jsonl", events_seal(b""))
    return read_run(folder)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two runs of exp001, of which the newest is partial, and ten of exp002."""
    _make_run(tmp_path, "exp001", 1)
    _make_run(tmp_path, "exp001", 2, complete=False)
    for number in (1, 2, 10, 1000):
        _make_run(tmp_path, "exp002", number)
    (tmp_path / "runs/.tasks").mkdir()
    (tmp_path / "runs/exp001/notes").mkdir()
    (tmp_path / "runs/empty").mkdir()
    return Workspace(tmp_path)


def test_runs_are_listed_by_number_and_experiments_by_name(workspace: Workspace) -> None:
    numbers = [read_run(folder).number for folder in run_folders(workspace, "exp002")]
    assert numbers == [1, 2, 10, 1000]
    assert experiments_with_runs(workspace) == ["exp001", "exp002"]
    assert run_folders(workspace, "exp003") == []
    assert experiments_with_runs(Workspace(workspace.root / "nowhere")) == []


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("exp001", "exp001/1"),
        ("exp001.yaml", "exp001/1"),
        ("exp001/2", "exp001/2"),
        ("exp002", "exp002/1000"),
        ("exp002/010", "exp002/10"),
        ("runs/exp002/002-0123abcd", "exp002/2"),
    ],
)
def test_a_run_is_found_by_what_people_write(reference: str, name: str, workspace: Workspace) -> None:
    assert find_run(workspace, reference).name == name


def test_a_run_is_found_by_a_path_from_anywhere(workspace: Workspace) -> None:
    run = find_run(workspace, str(workspace.root / "runs/exp001/001-0123abcd"))
    assert (run.name, run.complete) == ("exp001/1", True)


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("exp001/3", "exp001 has runs 1, 2; a partial run is named with its number"),
        ("exp001/x", "exp001 has runs 1, 2"),
        ("exp01", "did you mean exp001?"),
        ("empty", "one of: exp001, exp002"),
        ("new", "kagkit run new"),
    ],
)
def test_a_run_that_is_not_there_is_told_with_those_that_are(
    reference: str, hint: str, workspace: Workspace
) -> None:
    (workspace.root / "new.yaml").touch()
    with pytest.raises(ManifestError, match=f"{reference}: no such run") as caught:
        find_run(workspace, reference)
    assert hint in caught.value.problems[0].hint


@pytest.mark.parametrize(
    "reference", ["exp001/009-01234567", "nowhere/001-01234567", "runs/exp001/001-ffffffff"]
)
def test_a_path_that_is_not_there_is_no_run(reference: str, workspace: Workspace) -> None:
    with pytest.raises(ManifestError, match=f"{reference}: no such run"):
        find_run(workspace, reference)


def test_a_path_of_another_workspace_or_another_place_is_no_run_of_this_one(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _make_run(tmp_path / "other", "exp001", 1)
    smoke = _make_run(tmp_path, ".smoke/exp001", 1)
    monkeypatch.chdir(workspace.root)
    for path in (other.folder, Path("other/runs/exp001/001-0123abcd"), smoke.folder):
        with pytest.raises(ManifestError, match="no such run"):
            find_run(workspace, str(path))
    assert find_run(workspace.for_smoke(True), str(smoke.folder)).folder == smoke.folder
    with pytest.raises(ManifestError, match="no such run"):
        find_run(workspace.for_smoke(True), "runs/exp001/001-0123abcd")


def test_only_partial_runs_are_no_run_of_that_name(workspace: Workspace) -> None:
    _make_run(workspace.root, "exp003", 1, complete=False)
    with pytest.raises(ManifestError, match="exp003 has runs 1"):
        find_run(workspace, "exp003")
    newest = latest_run(workspace, "exp003")
    assert newest is not None
    assert newest.name == "exp003/1"


def test_the_run_of_a_plan_is_the_newest_one_that_it_made(workspace: Workspace) -> None:
    _make_run(workspace.root, "exp001", 3, plan_key="0123abcd and more")
    made = [run_of_plan(workspace, "exp001", key) for key in ("0123abcd and more", "0123abcd", "fedcba98")]
    assert [run and run.name for run in made] == ["exp001/3", "exp001/2", None]


def test_a_whole_run_is_intact_and_verified(workspace: Workspace) -> None:
    run = find_run(workspace, "exp001")
    assert is_intact(run)
    assert verify_run(run) == []


def test_one_flipped_bit_anywhere_is_found(workspace: Workspace) -> None:
    run, chance = find_run(workspace, "exp001"), random.Random(0)
    for _ in range(20):
        name = chance.choice(list(FILES))
        data = bytearray(FILES[name])
        bit = chance.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        (run.folder / name).write_bytes(data)
        (problem,) = verify_run(run)
        assert problem.where == f"runs/exp001/001-0123abcd/{name}"
        assert problem.found == "its bytes changed"
        assert is_intact(run)  # which looks at sizes alone
        (run.folder / name).write_bytes(FILES[name])
    assert verify_run(run) == []


def test_a_missing_file_and_a_stranger_are_found(workspace: Workspace) -> None:
    run = find_run(workspace, "exp001")
    (run.folder / "weights/seed0-fold0/record.json").unlink()
    (run.folder / "weights/events.jsonl").touch()
    found = {problem.where.partition("0123abcd/")[2]: problem.found for problem in verify_run(run)}
    assert found == {
        "weights/seed0-fold0/record.json": "missing",
        "weights/events.jsonl": "not in the record",
    }
    assert not is_intact(run)


def test_a_file_cut_short_is_not_intact(workspace: Workspace) -> None:
    run = find_run(workspace, "exp001")
    (run.folder / "oof.arrow").write_bytes(FILES["oof.arrow"][:-1])
    assert not is_intact(run)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"kagkit": 1}', b"\xff".decode("latin-1")])
def test_a_damaged_record_is_told_with_its_place(text: str, workspace: Workspace) -> None:
    folder = find_run(workspace, "exp002/2").folder
    (folder / "record.json").write_text(text, encoding="latin-1")
    where = "runs/exp002/002-0123abcd/record.json: damaged: "
    with pytest.raises(ReproductionError, match=f"a run's record is damaged\n  {where}"):
        find_run(workspace, "exp002/2")
    assert find_run(workspace, "exp002").name == "exp002/1000"


@pytest.mark.parametrize("key", ["experiment", "complete", "cv", "tasks", "plan_key", "files"])
def test_a_record_that_lacks_what_all_need_is_damaged(key: str, workspace: Workspace) -> None:
    path = find_run(workspace, "exp001").folder / "record.json"
    write_json(path, seal_record({name: value for name, value in read_json(path).items() if name != key}))
    with pytest.raises(ReproductionError, match="damaged: KeyError"):
        read_run(path.parent)


def test_no_digit_of_a_record_changes_unseen(workspace: Workspace) -> None:
    path = find_run(workspace, "exp001").folder / "record.json"
    write_json(path, read_json(path) | {"cv": 0.9})
    with pytest.raises(ReproductionError, match=r"a record was changed(.|\n)*not as it was written"):
        read_run(path.parent)


def test_a_folder_without_a_record_and_one_of_another_format_are_told(workspace: Workspace) -> None:
    path = find_run(workspace, "exp001").folder / "record.json"
    write_json(path, read_json(path) | {"kagkit": 2})
    with pytest.raises(ReproductionError, match=r"format 2; expected 1(.|\n)*a newer kagkit"):
        read_run(path.parent)
    path.unlink()
    with pytest.raises(ReproductionError, match=r"not a run(.|\n)*record\.json: missing"):
        read_run(path.parent)


def test_smoke_runs_are_another_place(workspace: Workspace) -> None:
    assert experiments_with_runs(workspace.for_smoke(True)) == []
    assert latest_run(workspace.for_smoke(True), "exp001") is None
