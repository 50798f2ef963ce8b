from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import DataError, RunError
from kagkit.foundation.files import (
    append_json_line,
    canonical_json,
    commit_folder,
    digest_of,
    file_sha256,
    held,
    link_or_copy,
    read_json,
    read_json_lines,
    sync_tree,
    told_when_unwritable,
    write_file,
    write_json,
)

WRITER = """
import sys
from pathlib import Path
from kagkit.foundation.files import write_file

print("ready", flush=True)
while True:
    for letter in "ab":
        write_file(Path(sys.argv[1]), letter * 200_000)
"""
HOLDER = """
import os, sys, time
from pathlib import Path
from kagkit.foundation.files import held

with held(Path(sys.argv[1])):
    child = os.fork() if sys.argv[2:] == ["fork"] else None
    if child == 0:
        time.sleep(60)
    print(child or "held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(code: str, *args: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python process that runs `code`, and the first line it printed."""
    command = [sys.executable, "-c", code, *map(str, args)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


# --- one spelling, one digest ---


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), values, max_size=4))
def test_the_order_of_keys_changes_no_digest(value: dict[str, Any]) -> None:
    backwards = dict(reversed(value.items()))
    assert digest_of(value) == digest_of(backwards)
    assert json.loads(canonical_json(value)) == value


def test_a_digest_is_the_one_written_down() -> None:
    assert canonical_json({"b": [1, None], "a": "猫"}) == '{"a":"猫","b":[1,null]}'
    assert digest_of({"b": [1, None], "a": "猫"}).startswith("efe8feebf4ab428f")


def test_what_is_no_json_has_no_digest() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        digest_of(float("nan"))


def test_a_file_has_the_digest_that_sha256sum_prints(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(3_000_000))
    printed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert file_sha256(path) == printed.split()[0]


# --- a file wholly or not at all ---


def test_a_file_is_written_with_its_folders_as_utf8_and_lf(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "note.txt"
    write_file(path, "猫\nline\n")
    assert path.read_bytes() == "猫\nline\n".encode()
    write_file(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [child.name for child in path.parent.iterdir()] == ["note.txt"]


def test_a_killed_writer_leaves_one_whole_version(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_file(path, "a" * 200_000)
    seen = set()
    for kills in range(6):
        with another_process(WRITER, path) as (process, told):
            assert told == "ready"
            time.sleep(0.005 * kills)
            kill(process)
        text = path.read_text()
        seen.add(text[:1])
        assert text in ("a" * 200_000, "b" * 200_000)
        left = [child.name for child in tmp_path.iterdir() if child != path]
        assert all(name.startswith(".record.json.") and name.endswith(".tmp") for name in left)
    assert seen <= {"a", "b"}


def test_a_reader_beside_a_writer_sees_whole_versions_only(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_file(path, "a" * 200_000)
    with another_process(WRITER, path):
        end = time.monotonic() + 0.3
        seen = set()
        while time.monotonic() < end:
            seen.add(path.read_text())
    assert seen <= {"a" * 200_000, "b" * 200_000}


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.json"
    write_file(path, "old")

    def broken(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(RunError, match=r"^record\.json could not be written: the disk is full\n"):
        write_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_written_sorted_for_git_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, {"b": 1, "a": ["猫"]})
    assert path.read_text(encoding="utf-8") == '{\n  "a": [\n    "猫"\n  ],\n  "b": 1\n}\n'
    assert read_json(path) == {"a": ["猫"], "b": 1}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, float("inf"))
    assert read_json(path) == {"a": ["猫"], "b": 1}


# --- a folder once ---


def test_a_folder_gets_its_final_name_once(tmp_path: Path) -> None:
    final = tmp_path / "tasks" / "key"
    for text in ("first", "second"):
        write_file(tmp_path / text / "task.json", text)
    assert commit_folder(tmp_path / "first", final) is True
    assert commit_folder(tmp_path / "second", final) is False
    assert (final / "task.json").read_text() == "first"
    assert (tmp_path / "second" / "task.json").read_text() == "second"


def test_everything_below_a_folder_is_flushed_before_its_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "b" / "weights", "x")
    (tmp_path / "empty").mkdir()
    flushed = set()
    monkeypatch.setattr(os, "fsync", lambda number: flushed.add(Path(f"/proc/self/fd/{number}").readlink()))
    sync_tree(tmp_path)
    assert flushed == {tmp_path, *tmp_path.rglob("*")}


def test_a_folder_that_is_not_there_cannot_be_committed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        commit_folder(tmp_path / "missing", tmp_path / "final")


# --- JSON lines ---


LINE = {"event": "score", "values": {"a": [1, {"猫": None}]}, "text": 'a "b" \\'}


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "events" / "e.jsonl"
    assert read_json_lines(path) == []
    for number in range(3):
        append_json_line(path, {"n": number})
    assert read_json_lines(path) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert path.read_text() == '{"n":0}\n{"n":1}\n{"n":2}\n'


def test_a_line_cut_anywhere_is_left_out_and_the_next_one_follows_cleanly(tmp_path: Path) -> None:
    whole = canonical_json(LINE).encode()
    for cut in range(len(whole)):
        path = tmp_path / f"{cut}.jsonl"
        path.write_bytes(b'{"n":0}\n' + whole[:cut])
        assert read_json_lines(path) == [{"n": 0}]
        append_json_line(path, {"n": 1})
        assert path.read_bytes() == b'{"n":0}\n{"n":1}\n'


def test_a_last_line_that_lacks_only_its_line_end_counts_and_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'{"n":0}\n' + canonical_json(LINE).encode())
    assert read_json_lines(path) == [{"n": 0}, LINE]
    append_json_line(path, {"n": 1})
    assert read_json_lines(path) == [{"n": 0}, LINE, {"n": 1}]


def test_a_first_line_that_was_cut_leaves_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'{"n":')
    assert read_json_lines(path) == []
    append_json_line(path, {"n": 1})
    assert path.read_bytes() == b'{"n":1}\n'


@pytest.mark.parametrize("damage", [b'{"n":0', b"n: 0", b"\x00\x00\x00", b'{"n":\xff}', b'{"n":0}{"n":1}'])
def test_a_damaged_line_is_told_with_its_number(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'{"n":0}\n\n' + damage + b'\n{"n":2}\n')
    with pytest.raises(DataError, match=r"^e\.jsonl is damaged\n  e\.jsonl line 3: not JSON"):
        read_json_lines(path)


def test_lines_of_two_processes_do_not_mix(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from kagkit.foundation.files import append_json_line, held
for n in range(40):
    with held(Path(sys.argv[1] + ".lock")):
        append_json_line(Path(sys.argv[1]), {"who": sys.argv[2], "n": n})
"""
    path = tmp_path / "e.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", code, path, who]) for who in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    lines = read_json_lines(path)
    assert [line["n"] for line in lines if line["who"] == "a"] == list(range(40))
    assert [line["n"] for line in lines if line["who"] == "b"] == list(range(40))


# --- link or copy ---


def test_a_file_gets_a_second_name(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("w")
    link_or_copy(tmp_path / "weights", tmp_path / "run" / "weights")
    assert (tmp_path / "run" / "weights").samefile(tmp_path / "weights")


def test_a_file_is_copied_where_the_disk_cannot_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_disk(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    (tmp_path / "weights").write_text("w")
    monkeypatch.setattr(os, "link", other_disk)
    link_or_copy(tmp_path / "weights", tmp_path / "run" / "weights")
    assert (tmp_path / "run" / "weights").read_text() == "w"
    assert not (tmp_path / "run" / "weights").samefile(tmp_path / "weights")


def test_a_name_that_is_taken_is_not_given_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "b"


# --- one holder at a time ---


def test_what_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "a.lock"
    with another_process(HOLDER, lock) as (process, told):
        assert told == "held"
        started = time.monotonic()
        with pytest.raises(TimeoutError), held(lock, wait_seconds=0.1):
            pass
        assert time.monotonic() - started < 5
        with pytest.raises(TimeoutError), held(lock, wait_seconds=0):
            pass
        file = lock.stat().st_ino
        kill(process)
        with held(lock, wait_seconds=5):
            assert lock.stat().st_ino == file
    assert lock.exists()


def test_a_child_forked_by_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    with another_process(HOLDER, lock, "fork") as (process, child):
        try:
            with pytest.raises(TimeoutError), held(lock, wait_seconds=0):
                pass
            kill(process)
            os.kill(int(child), 0)  # it lives
            with held(lock, wait_seconds=5):
                pass
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_block_that_fails_frees_its_lock(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    with pytest.raises(ZeroDivisionError), held(lock):
        _ = 1 // 0
    with held(lock, wait_seconds=0):
        pass


# --- disks that cannot be written ---


def test_a_full_disk_is_told_with_what_to_do() -> None:
    message = r"^events could not be written: the disk is full\n.*\n    hint: free some space"
    with pytest.raises(RunError, match=message), told_when_unwritable("events"):
        Path("/dev/full").write_bytes(b"x")


def test_a_line_that_a_full_disk_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"e\.jsonl could not be written: the disk is full"):
        append_json_line(tmp_path / "e.jsonl", {"n": 0})


@pytest.mark.parametrize("number", [1, 13, 30])
def test_a_forbidden_folder_is_told(number: int) -> None:
    message = r"^events could not be written: .*\n  events: may not be written here"
    with pytest.raises(RunError, match=message), told_when_unwritable("events"):
        raise OSError(number, os.strerror(number))


def test_any_other_fault_stays_what_it_is() -> None:
    with pytest.raises(FileNotFoundError), told_when_unwritable("events"):
        raise FileNotFoundError(2, "No such file or directory")
