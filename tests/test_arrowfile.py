from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kagkit.data.arrowfile import GrowingFile, grow, open_mapped
from kagkit.foundation.errors import RunError
from kagkit.foundation.files import told_when_unwritable


def batch(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"id": [str(row) for row in range(rows)], "p": np.zeros(rows)})


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "p"
    with grow(path, ["id"]) as file:
        file.append(batch(2))
        assert not path.exists()
    table, key_names = open_mapped(path, "p")
    assert (table.num_rows, key_names) == (2, ("id",))
    assert [left.name for left in path.parent.iterdir()] == ["p"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_once() -> None:
    file = GrowingFile(Path("/dev/full"), ["id"])
    with pytest.raises(RunError, match="the disk is full"), told_when_unwritable("p"):
        file.append(batch(100_000))
    file.abandon()
