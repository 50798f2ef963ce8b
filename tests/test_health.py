from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

import pytest

from kagkit.foundation.environment import library_builds
from kagkit.foundation.files import write_json
from kagkit.foundation.findings import Finding
from kagkit.foundation.tested import FILE, package_findings, pinned_versions
from kagkit.runs import builds, health
from kagkit.runs.builds import build_findings
from kagkit.runs.health import clock_finding, disk_findings, leftover_findings, room_finding
from kagkit.tracking.health import store_findings
from kagkit.workspace.layout import Workspace
from tests.floors import ROOT
from tests.terminal import kagkit
from tests.toy import make_workspace

ALL = {
    *("python", "platform", "threads", "memory", "torch", "gpu", "switches", "numpy build", "torch build"),
    *("device", "numeric", "others", "room"),
    *("locks", "hard links", "clock", "jobs", "leftovers", "mlflow", "credentials"),
}


def test_the_tested_set_is_the_one_of_constraints_txt() -> None:
    assert FILE.read_text() == (ROOT / "constraints.txt").read_text(), (
        "cp constraints.txt kagkit/foundation/tested.txt"
    )
    assert (pinned_versions()["torch"], pinned_versions()["pyyaml"]) == ("2.13.0", "6.0.3")


def test_a_healthy_machine_has_nothing_wrong_and_leaves_nothing_behind(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    facts = kagkit(root, "doctor", "--json").json
    assert facts["ok"]
    assert {finding["what"] for finding in facts["findings"]} == ALL
    assert [*(root / ".kagkit").iterdir()] == []
    told = kagkit(root, "doctor").out
    assert "locks: one holder at a time" in told


def test_outside_of_a_workspace_the_machine_is_looked_at(tmp_path: Path) -> None:
    told = kagkit(tmp_path, "doctor").out
    assert "no competition.yaml above it" in told
    assert [*tmp_path.iterdir()] == []


def test_no_name_of_user_home_or_machine_is_told(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    told = kagkit(root, "doctor", "--json").out
    for private in (str(Path.home()), str(tmp_path), socket.gethostname()):
        assert len(private) < 3 or private not in told
    assert f"/{getpass.getuser()}" not in told


def test_packages_that_differ_are_named_those_that_change_numbers_first() -> None:
    tested = pinned_versions()
    installed = {"kagkit": "0.1.0", **tested, "numpy": "2.9.9", "torch": "2.13.0+cpu", "rich": "1.0"}
    numeric, others = package_findings(installed)
    assert (numeric.level, numeric.found) == ("warn", f"numpy 2.9.9 (tested {tested['numpy']})")
    assert f"pip install 'numpy=={tested['numpy']}'" in numeric.hint
    assert (others.level, others.found) == ("warn", f"rich 1.0 (tested {tested['rich']})")
    del installed["pandas"]
    missing = next(package_findings(installed))
    assert (missing.level, missing.hint) == ("wrong", "pip install pandas")


def test_the_builds_of_a_task_are_told_as_a_record_has_them() -> None:
    import numpy as np
    import torch  # noqa: F401 (told of where it is imported)

    told, here = {finding.what: finding.found for finding in build_findings()}, library_builds()
    assert told["numpy build"] == f"version {np.__version__}, blas {here['numpy']['blas']}"
    version, capability, mkl = (here["torch"][name] for name in ("version", "capability", "mkl"))
    assert told["torch build"].startswith(f"version {version}, capability {capability}, threads 1, ")
    for word in ("deterministic true", "cudnn_benchmark false", f"mkl {mkl}", "onednn"):
        assert f", {word}" in told["torch build"]
    assert told["device"] == "cpu" or "driver" in told["device"]


def test_a_library_that_cannot_be_imported_is_wrong_and_told_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(f"raise OSError('{tmp_path}/libblas.so: not found')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        patch.setattr(builds, "_ask_for_builds", builds._ask_for_builds.__wrapped__)
        (finding,) = build_findings()
    assert (finding.level, finding.found) == ("wrong", "numpy or torch cannot be imported: OSError")


@pytest.mark.parametrize(("free", "level"), [(10**8, "wrong"), (5 * 10**9, "warn"), (10**11, "ok")])
def test_little_room_is_told(free: int, level: str) -> None:
    assert room_finding(free).level == level


def test_a_disk_with_another_time_is_told() -> None:
    assert clock_finding(1000.0, 1000.5).level == "ok"
    assert clock_finding(1000.0, 1060.0).found == "the disk's clock is -60 s off"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_wrong(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    root.chmod(0o500)
    (finding,) = disk_findings(Workspace(root))
    root.chmod(0o700)
    assert (finding.what, finding.level) == ("writable", "wrong")


def test_a_probe_that_fails_is_a_finding_and_the_exit_code_says_so(tmp_path: Path) -> None:
    def broken(folder: Path) -> Finding:
        raise OSError(38, "Function not implemented")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(health.PROBES, "locks", broken)
        ended = kagkit(make_workspace(tmp_path), "doctor", code=4)
    assert "wrong locks: does not work: Function not implemented" in ended.out
    assert "local disk" in ended.out


def test_gpus_that_torch_cannot_use_are_told(tmp_path: Path) -> None:
    (tmp_path / "gpus/0000:01").mkdir(parents=True)
    (tmp_path / "gpus/0000:01/information").write_text("Model: \t\t NVIDIA T4\nIRQ: 5\n")
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Fri\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "DRIVER", tmp_path / "gpus")
        patch.setenv("CUDA_VISIBLE_DEVICES", "0")
        _, without = health._gpus("2.13.0+cpu", None)
        _, cuda = health._gpus("2.13.0", "12.6")
    assert without.found == "NVIDIA T4; driver 550.90.07; 1 to be used; torch cannot use them"
    assert (without.level, cuda.level) == ("warn", "ok")


def test_leftovers_are_told(tmp_path: Path) -> None:
    workspace = Workspace(make_workspace(tmp_path))
    write_json(workspace.work / "k1/spec.json", {"label": "train seed 0 fold 0"})
    (workspace.tasks / "k2.damaged-12345678").mkdir(parents=True)
    (finding,) = leftover_findings(workspace)
    assert finding.level == "warn"
    assert "1 unfinished, 1 damaged task" in finding.found


def test_the_store_of_mlflow_is_told_without_mlflow(tmp_path: Path) -> None:
    workspace = Workspace(make_workspace(tmp_path))
    (finding,) = store_findings(workspace)
    assert finding.found == "no store yet; the first run makes one"
    (workspace.cache / "mlflow").mkdir(parents=True)
    (workspace.cache / "mlflow/mlflow.db").touch()
    (workspace.cache / "mlflow/wanted").touch()
    (finding,) = store_findings(workspace)
    assert (finding.level, finding.hint.split(" shows")[0]) == ("warn", "kagkit track sync")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "s3://nowhere")
        (finding,) = store_findings(workspace)
    assert finding.level == "warn"


def test_a_bad_token_beside_a_good_key_is_named_as_what_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kaggle.json").write_text('{"username": "ada", "key": "s3cret-of-ada"}')
    (tmp_path / "kaggle.json").chmod(0o600)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_0123456789abcdef")
    told = kagkit(tmp_path, "doctor").out
    assert "a token from KAGGLE_API_TOKEN; not sent: kaggle.json" in told
    assert "s3cret-of-ada" not in told
    assert "KGAT_0123456789abcdef" not in told
