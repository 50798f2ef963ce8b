from __future__ import annotations

import os
from pathlib import Path

from kagkit.runs.sizes import freed_bytes, used_bytes


def test_a_file_of_two_names_counts_once_and_is_free_once_both_are_gone(tmp_path: Path) -> None:
    for name in ("run", "task/out"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "task/out/weights").write_bytes(b"w" * 100)
    os.link(tmp_path / "task/out/weights", tmp_path / "run/weights")
    (tmp_path / "task/log.txt").write_bytes(b"l" * 7)
    run, task = tmp_path / "run", tmp_path / "task"
    assert used_bytes([run, task]) == 107
    assert (freed_bytes([run]), freed_bytes([task]), freed_bytes([run, task])) == (0, 7, 107)
    assert freed_bytes([task / "log.txt", tmp_path / "gone"]) == 7


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/file").write_bytes(b"f" * 1000)
    (tmp_path / "near").mkdir()
    (tmp_path / "near/link").symlink_to(tmp_path / "far")
    assert used_bytes([tmp_path / "near"]) < 1000
