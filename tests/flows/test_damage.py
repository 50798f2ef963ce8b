from __future__ import annotations

import random
from pathlib import Path

import pytest

from kagkit.runs.store import read_task
from tests.terminal import kagkit, kept, newest_run, plan, run
from tests.toy import write_manifest


def tasks_of(root: Path, kind: str) -> list[Path]:
    """The folders of finished tasks of a kind."""
    folders = sorted(path for path in (root / "runs/.tasks").iterdir() if ".damaged" not in path.name)
    return [folder for folder in folders if read_task(folder).kind == kind]


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "words", [("run", "exp001"), ("compare",), ("package", "exp001"), ("lb", "add", "exp001")]
)
def test_a_damaged_record_is_told_and_nothing_is_done(toy: Path, words: tuple[str, ...]) -> None:
    record = newest_run(toy) / "record.json"
    record.write_text(record.read_text()[:200])
    before = kept(toy)
    scores = ("--public", "0.5") if words[0] == "lb" else ()
    ended = kagkit(toy, *words, *scores, code=7)
    assert "a run's record is damaged" in ended.err
    assert f"runs/exp001/{record.parent.name}/record.json: damaged" in ended.err
    assert kept(toy) == before


@pytest.mark.parametrize("harm", ["task.json", "out"])
@pytest.mark.parametrize("kind", ["train", "predict"])
def test_a_damaged_task_is_set_aside_and_done_again(toy: Path, kind: str, harm: str) -> None:
    folder = tasks_of(toy, kind)[0]
    label = read_task(folder)
    victim = folder / harm if harm == "task.json" else next(path for path in (folder / harm).iterdir())
    victim.unlink()
    victim.write_text("{")
    (todo,) = plan(toy).items()
    assert todo[0].startswith(kind)
    assert todo[1] == "damaged"
    assert "nothing to do: exp001/1" in kagkit(toy, "run", "exp001").err
    assert read_task(folder) == label
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(f"{folder.name}.damaged-")]
    assert plan(toy) == {}


def test_a_flipped_bit_in_weights_is_found_before_they_predict(toy: Path) -> None:
    folder = tasks_of(toy, "train")[0]
    flip_a_bit(folder / "out/mean.json")
    write_manifest(toy, args={"flip": True})
    ended = kagkit(toy, "run", "exp001", code=7)
    assert f"runs/.tasks/{folder.name}/mean.json" in ended.err
    assert "its bytes changed" in ended.err
    assert f"remove runs/.tasks/{folder.name}; the next run does the task again" in ended.err
    assert "kept: 4 finished tasks" in ended.err
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    assert run(toy)["run"] == "exp001/2"


@pytest.mark.parametrize(
    "name", ["oof.arrow", "submission.csv", "manifest.yaml", "weights/seed0-fold0/mean.json"]
)
def test_a_flipped_bit_in_a_run_is_found_by_check_and_never_packaged(toy: Path, name: str) -> None:
    flip_a_bit(newest_run(toy) / name)
    run_folder = f"runs/exp001/{newest_run(toy).name}"
    assert f"{run_folder}/{name}: its bytes changed" in kagkit(toy, "check", run_folder, code=7).err
    assert "exp001/1 is damaged" in kagkit(toy, "package", "exp001", code=7).err
    assert not (toy / "submissions").exists()


def test_a_run_that_lost_a_file_is_made_again_beside_it(toy: Path) -> None:
    (newest_run(toy) / "oof.arrow").unlink()
    facts = run(toy)
    assert (facts["run"], facts["tasks"]["done"]) == ("exp001/2", 0)


def test_a_lost_cache_is_made_again_and_nothing_else(toy: Path) -> None:
    for path in sorted((toy / ".kagkit").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert "nothing to do: exp001/1" in kagkit(toy, "run", "exp001").err
    flip_a_bit(next((toy / ".kagkit/rows").glob("*/folds-main-*.json")))
    kagkit(toy, "run", "exp001")


def test_a_damaged_ledger_is_told_with_its_line(toy: Path) -> None:
    kagkit(toy, "lb", "add", "exp001", "--public", "0.5")
    with (toy / "leaderboard.jsonl").open("a") as ledger:
        ledger.write("a note of mine\n")
    ended = kagkit(toy, "compare", code=3)
    assert "leaderboard.jsonl line 2: not JSON" in ended.err


@pytest.mark.parametrize("name", ["exp001", "exp001/1", "exp001/001"])
def test_a_run_is_checked_by_its_name(toy: Path, name: str) -> None:
    assert kagkit(toy, "check", name).out == "no problems\n"
    flip_a_bit(newest_run(toy) / "oof.arrow")
    assert "oof.arrow: its bytes changed" in kagkit(toy, "check", name, code=7).err


def test_one_bit_flipped_anywhere_in_a_run_is_found(toy: Path) -> None:
    rng, folder = random.Random(5), newest_run(toy)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for turn in range(50):  # benchmarks/integrity.py does five hundred
        victim = files[turn % len(files)]
        whole = victim.read_bytes()
        at = rng.randrange(len(whole))
        victim.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        ended = kagkit(toy, "check", str(folder), code=7)
        assert victim.name in ended.err, (victim, at)
        victim.write_bytes(whole)
    kagkit(toy, "check", str(folder))


def test_the_same_number_in_other_bytes_is_a_change_of_a_record(toy: Path) -> None:
    record = newest_run(toy) / "record.json"
    text = record.read_text()
    record.write_text(text.replace("\n", "\n ", 1))
    assert "record.json: its bytes changed" in kagkit(toy, "check", str(record.parent), code=7).err
