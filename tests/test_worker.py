from __future__ import annotations

from pathlib import Path

import pytest

from kagkit.runs.worker import _holds_files


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("fit/.3f2a1b4c.tmp/tensors.safetensors", False),
        ("fit/.begun.json.3f2a1b4c.tmp", False),
        ("fit/begun.json", True),
        ("fit/step-00000012/state.json", True),
        ("state.npy", True),
    ],
)
def test_what_a_kill_cut_off_while_it_was_written_is_no_checkpoint(
    name: str, holds: bool, tmp_path: Path
) -> None:
    assert not _holds_files(tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / name
    path.parent.mkdir(parents=True)
    path.touch()
    assert _holds_files(tmp_path / "checkpoint") == holds
