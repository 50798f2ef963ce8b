from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
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
from kagkit.foundation.files import CHUNK
from kagkit.runs.leavings import find_private, is_pickle, refuse_unkeepable
from kagkit.runs.torchfiles import SAFE_KINDS, SAFE_NAMES

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


def _torch_saved(value: Any = None, **options: Any) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save({"w": torch.zeros(2)} if value is None else value, stream, **options)
    return stream.getvalue()


def _weights() -> dict[str, Any]:
    """All kinds of things that checkpoints hold and that torch loads without trust."""
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters())
    plain = {"epoch": 3, "lr": 1e-3, "big": 2**70, "best": None, "names": ("a", ["b"]), "done": {True}}
    kinds = [torch.zeros(1, dtype=kind) for kind in (torch.bfloat16, torch.int64, torch.bool, torch.float64)]
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "kinds": kinds}
    return state | plain | {"parameter": model[0].weight, "device": torch.device("cpu")}


def _module() -> Any:
    import torch

    return torch.nn.Linear(2, 3)


def _safetensors() -> bytes:
    from safetensors.numpy import save

    return bytes(save({"w": np.zeros((2, 2), np.float32)}))


def _lightgbm() -> bytes:
    import lightgbm

    data = lightgbm.Dataset(np.arange(40.0).reshape(20, 2), np.arange(20) % 2)
    model = lightgbm.train({"verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}, data, 2)
    return str(model.model_to_string()).encode()


def _torch_script() -> bytes:
    return _zipped(**{"m/data.pkl": pickle.dumps(1, 2), "m/constants.pkl": b"", "m/code/model.py": b""})


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
    "module.pt": lambda: _torch_saved(_module()),
    "array.ckpt": lambda: _torch_saved({"mean": np.zeros(2)}),
    "path.bin": lambda: _torch_saved({"folder": Path("x")}),
    "protocol4.pth": lambda: _torch_saved({"folder": Path("x")}, pickle_protocol=4),
    "script.pt": _torch_script,
    "cut.pt": lambda: _zipped(**{"m/data.pkl": b"\x80\x02X"}),
    "old.pt": lambda: _torch_saved(_use_new_zipfile_serialization=False),
}
KEPT: dict[str, Callable[[], bytes]] = {
    "weights.pt": _torch_saved,
    "best.ckpt": lambda: _torch_saved(_weights()),
    "last.pth": lambda: _torch_saved({}),
    "pytorch_model.bin": lambda: _torch_saved(_weights()["model"]),
    "model.safetensors": lambda: _safetensors(),
    "forest.txt": lambda: _lightgbm(),
    "weights.npy": lambda: _saved(np.zeros(3)),
    "names.npy": lambda: _saved(np.array(["|O", "pickle"])),
    "arrays.npz": lambda: _zipped(a=_saved(np.zeros(3)), b=b""),
    "model.txt": lambda: b"tree\nversion=v4\n",
    "empty": lambda: b"",
    "log.txt.gz": lambda: gzip.compress(b"epoch 1\n" * 1000),
    "weights.npy.xz": lambda: lzma.compress(_saved(np.zeros(3))),
    "cut.gz": lambda: b"\x1f\x8b and no gzip",
    "powers.txt": lambda: b"x^2 + x^3",
    "model.ubj": lambda: b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{L",  # how XGBoost's files begin
    "model.cbm": lambda: b"CBM1" + bytes(64) + b"q\x00",  # and CatBoost's: as opcodes, a text with a memo
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


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("module.pt", "torch.nn.modules.linear.Linear"),
        ("array.ckpt", "numpy"),
        ("path.bin", "pathlib"),
        ("protocol4.pth", "the opcode STACK_GLOBAL"),
        ("script.pt", "code/model.py of TorchScript"),
        ("cut.pt", "a damaged pickle"),
    ],
)
def test_what_a_file_of_torch_needs_is_named(name: str, needs: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PICKLES[name]())
    with pytest.raises(RunError, match=rf"{name}: a file of torch that needs .*{needs}") as caught:
        refuse_unkeepable(tmp_path, "train seed 0 fold 0")
    assert "outputs: ['*.safetensors']" in caught.value.problems[0].hint


@pytest.mark.parametrize(
    "name", [name for name in [*PICKLES, *KEPT] if name.endswith((".pt", ".ckpt", ".pth"))]
)
def test_torch_takes_what_is_kept_and_refuses_what_is_refused(name: str, tmp_path: Path) -> None:
    import torch

    (tmp_path / name).write_bytes({**PICKLES, **KEPT}[name]())
    if name in KEPT:
        torch.load(tmp_path / name, weights_only=True)
    elif name not in ("old.pt", "script.pt"):  # torch takes the old format; TorchScript is read otherwise
        with pytest.raises(Exception, match=r"."):
            torch.load(tmp_path / name, weights_only=True)


def test_a_path_of_this_machine_is_found_wherever_it_stands_in_a_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "last.ckpt").write_bytes(_torch_saved({"dirpath": str(tmp_path / "checkpoints")}))
    place = os.fsencode(tmp_path)
    (out / "across.bin").write_bytes(bytes(CHUNK - len(place) + 1) + place)
    (out / "home.txt").write_text(f"pretrained: {Path.home()}/nets/r18")
    (out / "model.txt").write_text("tree\nobjective=binary\ndata: train.csv")
    assert find_private(out, tmp_path) == ["across.bin", "home.txt", "last.ckpt"]


def test_the_safe_names_are_among_those_of_torch() -> None:
    from torch._weights_only_unpickler import _get_allowed_globals

    allowed = set(_get_allowed_globals())
    assert allowed >= SAFE_NAMES
    kinds = {name for name in allowed - SAFE_NAMES if SAFE_KINDS.fullmatch(name)}
    assert {"torch.FloatStorage", "torch.cuda.HalfStorage", "torch.bfloat16", "torch.uint16"} <= kinds
    assert not SAFE_KINDS.fullmatch("torch.load")
    assert not SAFE_KINDS.fullmatch("torch._utils._rebuild_anything")
