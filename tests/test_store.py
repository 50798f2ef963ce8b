from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ReproductionError
from kagkit.foundation.files import append_json_line, file_sha256
from kagkit.runs.store import (
    Kept,
    Stored,
    TaskRecord,
    commit_task,
    find_task,
    is_damaged,
    key_of,
    list_kept,
    lock_of,
    read_task,
    set_aside,
    verify_files,
    verify_task,
)

KEY = "0" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


def _work(root: Path, weights: str = "bytes", **more: str) -> Path:
    """An unfinished task that has all it needs to be finished."""
    work = root / ".work" / KEY
    (work / "out" / "model").mkdir(parents=True)
    (work / "checkpoint").mkdir()
    files = {"out/model/weights.npy": weights, "spec.json": "{}", "log.txt": "said", **more}
    for name, text in files.items():
        (work / name).write_text(text)
    return work


def _commit(root: Path, weights: str = "bytes", **more: str) -> Stored:
    work = _work(root, weights, **more)
    return commit_task(work, root / ".tasks", _record(work))


def _record(work: Path) -> TaskRecord:
    return TaskRecord(KEY, "train", {"seed": 0}, list_kept(work / "out"))


def test_a_finished_task_is_found_with_all_it_left(tmp_path: Path) -> None:
    stored = _commit(tmp_path)
    assert stored.folder == tmp_path / ".tasks" / KEY
    assert find_task(tmp_path / ".tasks", KEY) == stored
    weights = stored.out / "model/weights.npy"
    assert stored.record.files == (Kept("model/weights.npy", file_sha256(weights), 5),)
    assert verify_task(stored) == []


def test_nothing_is_found_where_nothing_was_finished(tmp_path: Path) -> None:
    _work(tmp_path)
    assert find_task(tmp_path / ".tasks", KEY) is None
    assert not is_damaged(tmp_path / ".tasks", KEY)


def test_a_finished_task_keeps_neither_checkpoint_nor_what_a_crash_left(tmp_path: Path) -> None:
    stored = _commit(tmp_path, **{"error.json": "{}", "holder.json": "{}", ".holder.json.1f.tmp": "{"})
    assert {path.name for path in stored.folder.iterdir()} == {"out", "spec.json", "task.json", "log.txt"}


def test_the_lock_of_a_task_outlives_its_folder(tmp_path: Path) -> None:
    work = _work(tmp_path)
    lock_of(work).touch()
    commit_task(work, tmp_path / ".tasks", _record(work))
    assert not work.exists()
    assert lock_of(work).exists()


def test_the_same_bytes_again_leave_the_first_task_alone(tmp_path: Path) -> None:
    first = _commit(tmp_path, **{"log.txt": "the first"})
    again = _commit(tmp_path, **{"log.txt": "the second"})
    assert again.folder == first.folder
    assert (first.folder / "log.txt").read_text() == "the first"
    assert not (tmp_path / ".work" / KEY).exists()


def test_other_bytes_stay_beside_the_first_ones_and_are_found(tmp_path: Path) -> None:
    for weights in ("a", "b", "c", "c", "b"):
        _commit(tmp_path, weights)
    folders = sorted(path.name for path in (tmp_path / ".tasks").iterdir())
    assert folders == [KEY, f"{KEY}.2", f"{KEY}.3", f"{KEY}.4"]  # what came out last is the newest
    found = find_task(tmp_path / ".tasks", KEY)
    assert found is not None
    assert (found.out / "model/weights.npy").read_text() == "b"


@pytest.mark.parametrize("damage", ["a file gone", "a file cut", "no record", "half a record", "a list"])
def test_a_damaged_task_is_not_found_and_can_be_done_again(damage: str, tmp_path: Path) -> None:
    tasks, stored = tmp_path / ".tasks", _commit(tmp_path)
    record = stored.folder / "task.json"
    match damage:
        case "a file gone":
            (stored.out / "model/weights.npy").unlink()
        case "a file cut":
            (stored.out / "model/weights.npy").write_text("byte")
        case "no record":
            record.unlink()
        case "half a record":
            record.write_text(record.read_text()[:40])
        case "a list":
            record.write_text("[]")
    assert find_task(tasks, KEY) is None
    assert is_damaged(tasks, KEY)
    set_aside(tasks, KEY)
    assert not is_damaged(tasks, KEY)
    assert [path.name.partition("-")[0] for path in tasks.iterdir()] == [f"{KEY}.damaged"]
    assert _commit(tmp_path).folder == stored.folder


def test_every_flipped_bit_missing_file_and_stranger_is_named(tmp_path: Path) -> None:
    stored = _commit(tmp_path, "some bytes of weights")
    path = stored.out / "model/weights.npy"
    whole = path.read_bytes()
    chance = random.Random(0)
    for _ in range(20):
        bit = chance.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        (problem,) = verify_task(stored)
        assert (problem.where, problem.found) == (
            f"runs/.tasks/{KEY}/model/weights.npy",
            "its bytes changed",
        )
    path.write_bytes(whole)
    (stored.out / "model/stranger").touch()
    path.rename(path.with_name("moved"))
    found = {problem.where.partition(f"{KEY}/")[2]: problem.found for problem in verify_task(stored)}
    assert found == {
        "model/weights.npy": "missing",
        "model/moved": "not in the record",
        "model/stranger": "not in the record",
    }


def test_an_unreadable_record_says_what_to_do(tmp_path: Path) -> None:
    stored = _commit(tmp_path)
    (stored.folder / "task.json").write_text("{")
    with pytest.raises(ReproductionError, match=r"runs/\.tasks/0{32}/task\.json: damaged(.|\n)*hint: remove"):
        read_task(stored.folder)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    work = _work(tmp_path)
    record = TaskRecord(
        KEY, "predict", {"a": [1, None]}, list_kept(work / "out"), {"x": "y"}, ("data/x.csv",)
    )
    stored = commit_task(work, tmp_path / ".tasks", record)
    assert read_task(stored.folder) == record


def test_the_time_a_task_took_is_its_last_one(tmp_path: Path) -> None:
    work = _work(tmp_path)
    for seconds in (1.5, 2.5):
        append_json_line(work / "events.jsonl", {"event": "finished", "seconds": seconds})
        append_json_line(work / "events.jsonl", {"event": "started"})
    assert commit_task(work, tmp_path / ".tasks", _record(work)).seconds == 2.5
    assert Stored(tmp_path, _record(tmp_path)).seconds == 0.0


def test_the_content_of_predictions_is_not_how_they_were_written() -> None:
    def content(sha256: str, told: str) -> str:
        return TaskRecord(KEY, "predict", {}, (Kept("test.arrow", sha256, 9),), {"test.arrow": told}).content

    assert content("one file", "same rows") == content("another file", "same rows")
    assert content("one file", "same rows") != content("one file", "other rows")


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=5), st.randoms())
def test_a_key_depends_on_what_it_is_made_of_and_not_on_its_order(
    ingredients: dict[str, object], chance: random.Random
) -> None:
    shuffled = list(ingredients.items())
    chance.shuffle(shuffled)
    key = key_of(ingredients)
    assert key_of(dict(shuffled)) == key == key_of(json.loads(json.dumps(ingredients)))
    name = shuffled[0][0]
    assert key_of({**ingredients, name: [ingredients[name]]}) != key
    assert key_of({**ingredients, f"{name}'": None}) != key or f"{name}'" in ingredients


def test_files_are_listed_by_name_and_folders_are_none(tmp_path: Path) -> None:
    for name in ("b/z", "b/a", "c", "a b", "ü"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    kept = list_kept(tmp_path)
    assert [file.name for file in kept] == ["a b", "b/a", "b/z", "c", "ü"]
    assert verify_files(tmp_path, "here", kept) == []
