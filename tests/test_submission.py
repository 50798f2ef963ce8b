from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import ManifestError, ReproductionError, SubmissionError
from kagkit.foundation.files import file_sha256, read_json
from kagkit.packages.submission import Package, package_submission
from kagkit.runs.record import read_run
from kagkit.workspace.layout import Workspace
from tests.toy import make_workspace, write_competition, write_run


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


def package(root: Path, folder: Path) -> Package:
    return package_submission(Workspace(root), read_run(folder))


def test_a_run_is_packaged_with_its_provenance(toy: Path) -> None:
    run = write_run(toy, number=3, cv=0.75)
    packaged = package(toy, run)
    assert (packaged.path, packaged.new) == ("submissions/exp001-003/submission.csv", True)
    assert packaged.sha256 == file_sha256(toy / packaged.path) == file_sha256(run / "submission.csv")
    assert packaged.rehearsal == {
        "integrity": "1 files as recorded",
        "check": "20 rows as in the sample submission",
    }
    told = read_json(toy / "submissions/exp001-003/provenance.json")
    assert (told["run"], told["cv"], told["run_folder"]) == ("exp001/3", 0.75, f"runs/exp001/{run.name}")
    assert told["submission"]["sha256"] == packaged.sha256
    assert str(toy) not in str(told)


def test_packaging_again_changes_nothing(toy: Path) -> None:
    run = write_run(toy)
    package(toy, run)
    folder = toy / "submissions/exp001-001"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert not package(toy, run).new
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert os.listdir(toy / "submissions") == ["exp001-001"]  # noqa: PTH208 (nothing hidden beside it)


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_a_package_that_was_changed_is_told_and_not_mended(toy: Path, harm: str) -> None:
    run = write_run(toy)
    path = toy / package(toy, run).path
    path.write_text("id,label\n") if harm == "change" else path.unlink()
    with pytest.raises(
        ReproductionError, match=r"packaged before with other bytes(.|\n)*move that folder away"
    ):
        package(toy, run)


@pytest.mark.parametrize(
    ("facts", "told"),
    [({"complete": False}, "exp001/1: a partial run"), ({"submission": None}, "it predicted no test rows")],
)
def test_a_run_without_a_whole_submission_is_not_packaged(
    toy: Path, facts: dict[str, Any], told: str
) -> None:
    with pytest.raises(ManifestError, match=rf"{told}\n +hint: kagkit run exp001"):
        package(toy, write_run(toy, **facts))
    assert not (toy / "submissions").exists()


def test_a_run_whose_bytes_changed_is_not_packaged(toy: Path) -> None:
    run = write_run(toy)
    (run / "submission.csv").write_bytes((run / "submission.csv").read_bytes().replace(b",0", b",1"))
    (run / "notes.txt").write_text("mine")
    with pytest.raises(ReproductionError, match="exp001/1 is damaged") as caught:
        package(toy, run)
    assert [problem.found for problem in caught.value.problems] == ["its bytes changed", "not in the record"]
    assert not (toy / "submissions").exists()


def test_a_submission_the_host_would_refuse_is_not_packaged(toy: Path) -> None:
    run = write_run(toy)
    sample = toy / "data/sample_submission.csv"
    sample.write_text(sample.read_text().replace("id_050", "id_999"))
    with pytest.raises(
        SubmissionError, match=r"1 of 20 missing: id_999\n.*1 not in the sample submission: id_050"
    ):
        package(toy, run)
    assert not (toy / "submissions").exists()


def test_without_a_sample_the_check_says_so(toy: Path) -> None:
    write_competition(toy, stages={1: {"train": "data/train.csv", "test": "data/test.csv"}})
    rehearsal = package(toy, write_run(toy)).rehearsal
    assert rehearsal["check"] == "no sample submission to check against"


def test_what_a_crash_left_half_packaged_is_packaged_anew(toy: Path) -> None:
    (toy / "submissions/.exp001-001.tmp").mkdir(parents=True)
    (toy / "submissions/.exp001-001.tmp/submission.csv").write_text("id,la")
    assert package(toy, write_run(toy)).new
    assert not (toy / "submissions/.exp001-001.tmp").exists()
