from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pydicom
import pytest

from kagkit.data.predictions import Predictions, write
from kagkit.data.rows import DataPaths, Part, RowRules, load
from kagkit.data.stages import load_stage
from kagkit.formats.dialects import detect, mask_problems
from kagkit.foundation.component import import_function
from kagkit.foundation.files import file_sha256
from kagkit.host.accounts import owner_of
from kagkit.host.shelf import offers
from kagkit.host.terms import read_terms
from kagkit.judgement.inspection import inspect_workspace
from kagkit.metrics import mean_dice
from kagkit.workspace.layout import find_workspace
from tests.examples import copy_example
from tests.terminal import edit

KAGKIT = Path(sys.executable).with_name("kagkit")
SHAPE = (48, 48)


@pytest.fixture(scope="module")
def xrays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The workspace; its modules are forgotten afterwards, for other tests have some of the same name."""
    before = list(sys.path)
    yield copy_example("pneumothorax", tmp_path_factory.mktemp("pneumothorax"))
    sys.path[:] = before
    for name in ("xray", "masks"):
        sys.modules.pop(name, None)


def load_rows(root: Path, split: Literal["train", "test"]) -> pd.DataFrame:
    data = root / "data"
    folders = (data / "dicom-images-train", data / "dicom-images-test")
    paths = DataPaths(data / "train-rle.csv", data / "sample_submission.csv", folders)
    loader = import_function(root, "xray:load_rows")
    return load(Part("stage1", split), paths, RowRules(("ImageId",)), loader).frame


def digests(root: Path) -> dict[str, str]:
    files = [path for path in (root / "data").rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): file_sha256(path) for path in files}


def test_the_data_are_the_same_bytes_each_time(xrays: Path, tmp_path: Path) -> None:
    made = digests(xrays)
    assert len(made) == 160 + 160 + 3
    assert made == digests(copy_example("pneumothorax", tmp_path))


def test_the_table_of_masks_is_written_as_the_host_wrote_it(xrays: Path) -> None:
    header, *lines = (xrays / "data/train-rle.csv").read_text().splitlines()
    assert header == "ImageId, EncodedPixels"
    cells = [tuple(line.split(",")) for line in lines]
    masks = pd.Series([cell[1:] for _, cell in cells if cell != " -1"])
    assert all(cell.startswith(" ") for _, cell in cells)
    assert mask_problems(masks, SHAPE, "relative") == []
    assert detect(masks, SHAPE) == ("relative",)
    images = Counter(image for image, _ in cells)
    assert len(images) == 160
    assert set(images.values()) == {1, 2}
    assert not [image for image, cell in cells if cell == " -1" and images[image] > 1]


def test_the_images_are_dicom_files_in_folders_of_study_and_series(xrays: Path) -> None:
    patients: dict[str, set[str]] = {}
    for split in ("train", "test"):
        folder = xrays / "data" / f"dicom-images-{split}"
        for file in folder.rglob("*.dcm"):
            image = pydicom.dcmread(file)
            uids = (image.StudyInstanceUID, image.SeriesInstanceUID, f"{image.SOPInstanceUID}.dcm")
            assert file.relative_to(folder).parts == uids
            assert image.pixel_array.shape == SHAPE
            assert (image.PatientSex, image.ViewPosition) in {(s, v) for s in "MF" for v in ("AP", "PA")}
            assert 16 <= int(image.PatientAge[:3]) < 90
            patients.setdefault(split, set()).add(image.PatientID)
    assert not patients["train"] & patients["test"]
    assert len(patients["train"]) < 160 / 2


def test_a_row_is_an_image_with_its_patient_and_its_masks(xrays: Path) -> None:
    rows = load_rows(xrays, "train")
    assert len(rows) == 160
    assert rows["has_mask"].equals(rows["EncodedPixels"].map(len) > 0)
    assert 0.25 < rows["has_mask"].mean() < 0.36
    assert rows["EncodedPixels"].map(len).max() == 2
    test = load_rows(xrays, "test")
    assert list(test.columns) == ["PatientID", "PatientAge", "PatientSex", "ViewPosition"]
    assert rows.columns[:4].equals(test.columns)


def test_the_solution_joins_the_masks_of_an_image(xrays: Path) -> None:
    rows = load_rows(xrays, "train")
    solution = import_function(xrays, "xray:make_solution")(rows)
    assert list(solution.columns) == ["ImageId", "EncodedPixels"]
    assert solution["ImageId"].tolist() == list(rows.index)
    empty = solution.assign(EncodedPixels="-1")
    score = mean_dice(solution, empty, "ImageId", shape=SHAPE, dialect="relative")
    assert score == pytest.approx(1 - rows["has_mask"].mean())
    truth = pd.read_csv(xrays / "data/solution.csv").drop(columns="Usage")
    assert mean_dice(truth, truth, "ImageId", shape=SHAPE, dialect="relative") == 1


def test_a_mask_is_made_where_the_image_and_enough_pixels_are_sure(xrays: Path, tmp_path: Path) -> None:
    chances = np.zeros((4, *SHAPE), "float32")
    chances[:, 5:9, 5:9] = 0.6
    chances[:3, 6:8, 5:9] = 0.9
    chances[1, 6:8, 6:9] = 0.6  # few sure pixels
    keys = pd.Index(["sure", "few", "absent", "faint"], name="ImageId")
    chunk = {"mask": chances, "has_mask": np.array([0.9, 0.9, 0.1, 0.9])}
    write(tmp_path / "oof.arrow", iter([(keys, chunk)]), keys, key_names=["ImageId"])
    make = import_function(xrays, "masks:make_submission")
    table = make(Predictions.open(tmp_path / "oof.arrow"), None, present=0.5, top=0.7, area=4, bottom=0.5)
    made = dict(zip(table["ImageId"], table["EncodedPixels"], strict=True))
    assert made == {"sure": "245 4 44 4 44 4 44 4", "few": "-1", "absent": "-1", "faint": "-1"}


def test_a_second_stage_brings_flat_files_new_ids_and_masks_of_the_first_test(
    xrays: Path, tmp_path: Path
) -> None:
    root = copy_example("pneumothorax", tmp_path)
    subprocess.run([sys.executable, "make_data.py", "--stage2"], cwd=root, check=True, capture_output=True)
    first = digests(xrays)
    assert first.items() <= digests(root).items()
    files = list((root / "data/stage_2_images").iterdir())
    assert len(files) == 120
    assert all(re.fullmatch(r"ID_[0-9a-f]{9}\.dcm", file.name) for file in files)
    second = load_stage(find_workspace(root), 2)
    told = second.ingestion
    assert told is not None
    assert (told.old, told.released, len(told.vanished), told.renamed) == (158, 160, 2, 318)
    assert not told.relabelled
    assert second.boards is not None
    assert 0.4 < second.boards.eq("public").mean() < 0.6
    lying = second.train.loc[second.boards.index, "ViewPosition"] == "AP"
    ill = second.train.loc[second.boards.index, "has_mask"]
    assert ill[lying].mean() < 0.05 < 0.2 < ill[~lying].mean()  # nobody read the images of lying patients
    truth = pd.read_csv(root / "data/stage_2_solution.csv", index_col="ImageId")
    ill = truth.loc[second.test.index, "EncodedPixels"] != "-1"
    assert ill[second.test["ViewPosition"] == "AP"].mean() > 0.2


def test_a_host_has_both_stages_and_a_key_for_its_participant(tmp_path: Path) -> None:
    root, host = copy_example("pneumothorax", tmp_path / "xrays"), tmp_path / "host"
    command = [sys.executable, "make_data.py", "--host", str(host)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    terms = read_terms(host)
    key = (host / "participant.env").read_text().strip().partition("=")[2]
    assert owner_of(terms, key) == "participant"
    assert "stage_2_train.csv" not in offers(host, terms, "1")
    assert {"train-rle.csv", "stage_2_train.csv", "stage_2_ids.csv"} <= set(offers(host, terms, "2"))


def test_the_workspace_has_no_problems(xrays: Path) -> None:
    workspace = find_workspace(xrays)
    assert [path.name for path in workspace.manifests()] == [
        "FINAL.yaml",
        "classifier.yaml",
        "gate.yaml",
        "unet.yaml",
    ]
    assert inspect_workspace(workspace) == []


def test_the_recipe_runs_on_a_few_rows(xrays: Path) -> None:
    done = subprocess.run(
        [KAGKIT, "run", "unet", "--smoke", "--json"], cwd=xrays, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["experiment"] == "unet"
    assert not (xrays / "runs" / "unet").exists()


def test_a_blend_runs_all_that_feeds_it_and_the_gate_empties_masks(tmp_path: Path) -> None:
    root = copy_example("pneumothorax", tmp_path)
    edit(root / "unet.yaml", "epochs: 16", "batch: 60, epochs: 1")
    edit(root / "classifier.yaml", "epochs: 20", "batch: 60, epochs: 1")
    edit(root / "competition.yaml", "n: 3", "n: 2")
    done = subprocess.run([KAGKIT, "run", "FINAL"], cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    gate, blend = (next((root / "runs" / name).glob("*/record.json")) for name in ("gate", "FINAL"))
    assert {parent["input"] for parent in json.loads(blend.read_text())["parents"]} == {"unet", "gate"}
    told = json.loads(gate.read_text())["submissions"][0]
    assert set(told["fit"]["fold_args"]) == {"0", "1"}
    made = pd.read_csv(gate.with_name("submission.csv"))
    chances = Predictions.open(gate.with_name("test.arrow")).array("has_mask", made["ImageId"])
    assert set(made["EncodedPixels"][chances < told["args"]["present"]]) <= {"-1"}
