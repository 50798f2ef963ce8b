from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kagkit.foundation.errors import RunError
from kagkit.runs.leavings import is_pickle, refuse_unkeepable

OBJECTS = np.array([{"a": 1}, None], dtype=object)


def _saved(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _torch_saved(old_format: bool) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, stream, _use_new_zipfile_serialization=not old_format)
    return stream.getvalue()


PICKLES: dict[str, Callable[[], bytes]] = {
    "model.pkl": lambda: b"",
    "model.joblib": lambda: b"compressed in some way",
    "model.pkl.gz": lambda: b"",
    "protocol0": lambda: pickle.dumps({"a": [1]}, 0),
    "object0.txt": lambda: pickle.dumps(Path("x"), 0),
    "tuple0": lambda: pickle.dumps((1, 2.5, Path), 0),
    "protocol1": lambda: pickle.dumps([1], 1),
    "zlib": lambda: zlib.compress(pickle.dumps([1]), 3),  # what joblib.dump(compress=3) writes
    "gzip": lambda: gzip.compress(pickle.dumps([1])),
    "bzip": lambda: bz2.compress(pickle.dumps(list(range(50_000)))),
    "xz": lambda: lzma.compress(pickle.dumps([1])),
    "lzma": lambda: lzma.compress(pickle.dumps([1]), format=lzma.FORMAT_ALONE),
    "objects.npy.gz": lambda: gzip.compress(_saved(OBJECTS)),
    "protocol2": lambda: pickle.dumps([1], 2),
    "protocol5.bin": lambda: pickle.dumps([1], 5),
    "objects.npy": lambda: _saved(OBJECTS),
    "structured.npy": lambda: _saved(np.array([(1, "x")], dtype=[("n", "i4"), ("o", "O")])),
    "arrays.npz": lambda: _zipped(good=_saved(np.zeros(3)), bad=_saved(OBJECTS)),
    "weights.pt": lambda: _torch_saved(old_format=False),
    "old.pt": lambda: _torch_saved(old_format=True),
}
KEPT: dict[str, Callable[[], bytes]] = {
    "weights.npy": lambda: _saved(np.zeros(3)),
    "names.npy": lambda: _saved(np.array(["|O", "pickle"])),
    "arrays.npz": lambda: _zipped(a=_saved(np.zeros(3)), b=b""),
    "model.txt": lambda: b"tree\nversion=v4\n",
    "empty": lambda: b"",
    "log.txt.gz": lambda: gzip.compress(b"epoch 1\n" * 1000),
    "weights.npy.xz": lambda: lzma.compress(_saved(np.zeros(3))),
    "cut.gz": lambda: b"\x1f\x8b and no gzip",
    "powers.txt": lambda: b"x^2 + x^3",
    "x": lambda: b"x\x9cnothing",
    "patients.csv": lambda: b"p0\np1\n",
    "numbers.csv": lambda: b"0.5\n0.\n",
    "targets.csv": lambda: b"tp0\n0\n",
    "BZh": lambda: b"BZh and no more",
    "PK": lambda: b"PK, and no zip at all",
    "image.png": lambda: b"\x89PNG\r\n",
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_in_any_dress_is_known(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PICKLES[name]())
    assert is_pickle(tmp_path / name)


@pytest.mark.parametrize("name", KEPT)
def test_what_loads_without_unpickling_is_kept(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(KEPT[name]())
    assert not is_pickle(tmp_path / name)
    refuse_unkeepable(tmp_path, "train seed 0 fold 0")


def test_everything_that_cannot_be_kept_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/model.bin").write_bytes(pickle.dumps([1]))
    (tmp_path / "good.npy").write_bytes(_saved(np.zeros(3)))
    (tmp_path / "alias.npy").symlink_to("good.npy")
    (tmp_path / "elsewhere").symlink_to(tmp_path.parent, target_is_directory=True)
    (tmp_path / "nowhere").symlink_to("no such file")
    with pytest.raises(RunError, match="train seed 0 fold 0 left files that are not kept") as caught:
        refuse_unkeepable(tmp_path, "train seed 0 fold 0")
    found = {problem.where: problem.found.partition(":")[0] for problem in caught.value.problems}
    links = dict.fromkeys(("alias.npy", "elsewhere", "nowhere"), "a link")
    assert found == {"deep/model.bin": "a pickle"} | links
    assert all(problem.hint for problem in caught.value.problems)
