from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kagkit.engine import slots
from kagkit.engine.slots import GpuSlots, Taken, visible_gpus
from kagkit.foundation.errors import RunError

HOLDER = """
import os, sys, time
from pathlib import Path
from kagkit.engine.slots import GpuSlots

taken = GpuSlots(sys.argv[2].split(","), Path(sys.argv[1])).try_take(int(sys.argv[3]))
print(*taken.ids, flush=True)
if sys.argv[4:] == ["fork"] and os.fork() == 0:
    taken.release()
    print(os.getpid(), flush=True)
time.sleep(60)
"""


@contextmanager
def another_kagkit(folder: Path, ids: str, count: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `count` GPUs by the time the block begins."""
    command = [sys.executable, "-c", HOLDER, str(folder), ids, str(count), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert len(process.stdout.readline().split()) == count
            yield process
        finally:
            process.kill()


def ids_of(taken: Taken | None) -> tuple[str, ...]:
    assert taken is not None
    return taken.ids


# --- which GPUs there are ---


@pytest.mark.parametrize(
    ("variable", "wanted", "expected"),
    [
        ("0,1,2", ["2", "0"], ("2", "0")),
        ("0,1,2", None, ("0", "1", "2")),
        ("0,1", [], ()),
        ("", None, ()),
        ("1, GPU-3f2c", None, ("1", "GPU-3f2c")),
        ("0,0,1", None, ("0", "1")),
        ("1,-1,0", None, ("1",)),
        ("-1", None, ()),
    ],
)
def test_the_user_then_the_variable_names_the_gpus(
    variable: str, wanted: list[str] | None, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus(wanted) == expected


def test_without_a_word_the_driver_counts_its_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(slots, "DRIVER", tmp_path / "gpus")
    assert visible_gpus() == ()
    for address in ("0000:01:00.0", "0000:41:00.0"):
        (tmp_path / "gpus" / address).mkdir(parents=True)
    assert visible_gpus() == ("0", "1")


# --- who holds them ---


def test_gpus_are_taken_in_order_all_or_none_and_given_back(tmp_path: Path) -> None:
    machine = GpuSlots(["0", "1", "2"], tmp_path)
    pair = machine.try_take(2)
    assert ids_of(pair) == ("0", "1")
    assert GpuSlots(["0", "1", "2"], tmp_path).try_take(2) is None
    assert ids_of(machine.try_take(1)) == ("2",)  # dropped at once: nobody holds it any more
    assert ids_of(GpuSlots(["1", "2"], tmp_path).try_take(1)) == ("2",)
    assert pair is not None
    pair.release()
    pair.release()
    assert ids_of(machine.try_take(3)) == ("0", "1", "2")


def test_a_failed_try_holds_nothing(tmp_path: Path) -> None:
    machine = GpuSlots(["0", "1", "2"], tmp_path)
    middle = GpuSlots(["1"], tmp_path).try_take(1)
    last = GpuSlots(["2"], tmp_path).try_take(1)
    assert machine.try_take(2) is None
    assert ids_of(machine.try_take(1)) == ("0",)
    assert ids_of(middle) + ids_of(last) == ("1", "2")


def test_a_job_without_gpus_takes_none(tmp_path: Path) -> None:
    assert ids_of(GpuSlots([], tmp_path).try_take(0)) == ()


def test_more_gpus_than_there_are_is_an_error_not_a_wait_for_ever(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=re.escape("GPUs: 1 to choose from; expected 2")):
        GpuSlots(["0"], tmp_path).try_take(2)


def test_a_name_with_slashes_is_a_slot_too(tmp_path: Path) -> None:
    taken = GpuSlots(["MIG-GPU-3f2c/1/0"], tmp_path).try_take(1)
    assert ids_of(taken) == ("MIG-GPU-3f2c/1/0",)
    assert [path.name for path in tmp_path.iterdir()] == ["gpu-MIG-GPU-3f2c_1_0.lock"]


def test_a_killed_process_frees_its_gpus_and_leaves_the_lock_file(tmp_path: Path) -> None:
    machine = GpuSlots(["0", "1"], tmp_path)
    with another_kagkit(tmp_path, "0,1", 1) as other:
        assert machine.try_take(2) is None
        assert ids_of(machine.try_take(1)) == ("1",)
        locks = {path: path.stat().st_ino for path in tmp_path.iterdir()}
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert ids_of(machine.try_take(2)) == ("0", "1")
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == locks


def test_a_process_forked_by_the_holder_neither_keeps_nor_frees_its_gpus(tmp_path: Path) -> None:
    machine = GpuSlots(["0"], tmp_path)
    with another_kagkit(tmp_path, "0", 1, "fork") as other:
        assert other.stdout is not None
        child = int(other.stdout.readline())  # it has released by now what is not its own
        try:
            assert machine.try_take(1) is None
            os.kill(other.pid, signal.SIGKILL)
            other.wait()
            os.kill(child, 0)
            assert ids_of(machine.try_take(1)) == ("0",)
        finally:
            os.kill(child, signal.SIGKILL)


# --- where the locks are ---


def test_the_locks_are_in_a_folder_of_this_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    taken = GpuSlots(["0"]).try_take(1)
    folder = tmp_path / f"kagkit-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == ["gpu-0.lock"]
    assert ids_of(taken) == ("0",)


@pytest.mark.parametrize("kind", ["a file", "a link", "writable by all", "of another user"])
def test_a_folder_that_others_may_have_a_hand_in_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "locks"
    if kind == "a file":
        folder.touch()
    elif kind == "a link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
    if kind == "writable by all":
        folder.chmod(0o777)
    if kind == "of another user":
        monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(RunError, match="GPUs cannot be shared safely") as caught:
        GpuSlots(["0"], folder)
    assert str(tmp_path) not in str(caught.value)
