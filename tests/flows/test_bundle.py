from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import HostError
from kagkit.foundation.files import file_sha256, read_json
from kagkit.host.door import Door
from kagkit.host.shipping import DATASETS, ship_dataset
from tests.served import Served
from tests.terminal import kagkit, newest_run


def bundle(root: Path, *words: str) -> dict[str, Any]:
    """What `kagkit freeze --bundle` says of the toy's bundle."""
    words = ("freeze", "exp001", "--bundle", "participant/toy-final", "--json", *words)
    told: dict[str, Any] = kagkit(root, *words).json["bundle"]
    return told


def test_a_bundle_predicts_wherever_it_is_unpacked_and_holds_no_data(toy: Path, tmp_path: Path) -> None:
    told = bundle(toy)
    with zipfile.ZipFile(toy / told["path"]) as packed:
        names = packed.namelist()
        packed.extractall(tmp_path / "elsewhere")
    assert not [name for name in names if name.endswith((".csv", ".arrow"))]
    assert {"stage1.lock.yaml", "mean.py", "competition.yaml"} <= set(names)
    facts = read_json(toy / "bundles/exp001/dataset-metadata.json")
    assert (facts["id"], facts["isPrivate"]) == ("participant/toy-final", True)
    (tmp_path / "new").mkdir()
    for name in ("test", "sample_submission"):
        shutil.copy(toy / f"data/{name}.csv", tmp_path / "new")
    kagkit(tmp_path / "elsewhere", "predict", "exp001/1", "--data", "../new", "--out", "../answer.csv")
    assert file_sha256(tmp_path / "answer.csv") == file_sha256(newest_run(toy) / "submission.csv")
    assert (told["uploaded"], bundle(toy)["sha256"]) == (None, told["sha256"])


@pytest.mark.parametrize("words", [["--bundle", "toy"], ["--bundle", "a/B c"], ["--upload"]])
def test_a_bundle_without_a_dataset_s_name_is_refused(words: list[str], toy: Path) -> None:
    assert "OWNER/NAME" in kagkit(toy, "freeze", "exp001", *words, code=2).err


def test_a_bundle_is_uploaded_as_a_private_dataset_and_then_as_a_version_of_it(
    host: Served, toy: Path
) -> None:
    told = bundle(toy, "--upload")
    assert told["uploaded"]["new"]
    assert not bundle(toy, "--upload")["uploaded"]["new"]
    facts = dataset("toy-final")
    assert (facts["isPrivate"], facts["currentVersionNumber"], facts["totalBytes"]) == (
        True,
        2,
        told["bytes"],
    )
    assert host.key.encode() not in (toy / told["path"]).read_bytes()


def dataset(slug: str) -> dict[str, Any]:
    body = {"ownerSlug": "participant", "datasetSlug": slug}
    return Door("").ask("asking", f"{DATASETS}/GetDataset", body, dict)


def test_nothing_is_uploaded_to_a_dataset_that_others_can_see(host: Served, toy: Path) -> None:
    body = {"ownerSlug": "participant", "slug": "seen-by-all", "title": "seen-by-all", "files": []}
    Door("").ask("making", f"{DATASETS}/CreateDataset", body, dict)
    with pytest.raises(HostError, match="nothing was uploaded") as error:
        ship_dataset("kaggle", "participant/seen-by-all", toy / "mean.py", "")
    assert "everybody would see" in error.value.problems[0].found
    assert dataset("seen-by-all")["currentVersionNumber"] == 1
