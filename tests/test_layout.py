from __future__ import annotations

from pathlib import Path

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.workspace.layout import Workspace, find_workspace
from tests.toy import make_workspace, write_manifest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "コンペ 2026" / "toy")


@pytest.mark.parametrize(
    "start", [".", "exp001.yaml", "data", "data/train.csv", "runs/exp001/not-yet", "data/../exp001.yaml"]
)
def test_a_workspace_is_found_from_any_place_in_it(start: str, root: Path) -> None:
    assert find_workspace(root / start).root == root


def test_the_nearest_workspace_upward_is_found(root: Path) -> None:
    make_workspace(root / "inner")
    assert find_workspace(root / "inner" / "data").root == root / "inner"


def test_a_relative_place_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "data")
    assert find_workspace(Path()).root == root
    assert find_workspace(Path("../exp001.yaml")).root == root


def test_outside_of_any_workspace_it_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "competition.yaml").mkdir()
    with pytest.raises(ManifestError, match="not in a workspace") as caught:
        find_workspace(tmp_path)
    assert "no competition.yaml here or above" in str(caught.value)
    assert "hint: cd into a workspace" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_every_place_lies_inside_the_workspace(root: Path) -> None:
    workspace = Workspace(root)
    places = {
        "tasks": workspace.tasks,
        "work": workspace.work,
        "cache": workspace.cache,
        "submissions": workspace.submissions,
        "leaderboard": workspace.leaderboard,
        "folds": workspace.fold_file("main"),
        "lock": workspace.lock_file("exp001"),
    }
    assert {name: place.relative_to(root).as_posix() for name, place in places.items()} == {
        "tasks": "runs/.tasks",
        "work": "runs/.work",
        "cache": ".kagkit",
        "submissions": "submissions",
        "leaderboard": "leaderboard.jsonl",
        "folds": "folds/main.csv",
        "lock": "locks/exp001.lock.yaml",
    }


def test_smoke_runs_live_apart(root: Path) -> None:
    smoke = Workspace(root, smoke=True)
    assert smoke.tasks == root / "runs" / ".smoke" / ".tasks"
    assert smoke.runs.parent == Workspace(root).runs


def test_manifests_are_the_yaml_files_beside_competition_yaml(root: Path) -> None:
    write_manifest(root, "exp000")
    names = [
        "data.lock.yaml",
        "stage1.lock.yaml",
        "stage2.decisions.yaml",
        ".pre-commit-config.yaml",
        "a.yml",
    ]
    for name in [*names, "data/other.yaml"]:
        (root / name).write_text("a: 1\n")
    assert [path.name for path in Workspace(root).manifests()] == ["exp000.yaml", "exp001.yaml"]


@pytest.mark.parametrize("name", ["exp001", "exp001.yaml", "./exp001.yaml"])
def test_an_experiment_is_named_by_its_name_or_its_file(name: str, root: Path) -> None:
    assert Workspace(root).manifest_path(name) == root / "exp001.yaml"
    assert Workspace(root).manifest_path(str(root / name)) == root / "exp001.yaml"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("exp01", "did you mean exp001?"),
        ("exp001.yml", "did you mean exp001?"),
        ("competition", "one of: exp001"),
        ("data.lock.yaml", "one of: exp001"),
    ],
)
def test_an_experiment_that_is_not_there_is_told_with_the_nearest(name: str, hint: str, root: Path) -> None:
    (root / "data.lock.yaml").touch()
    with pytest.raises(ManifestError, match="no such experiment") as caught:
        Workspace(root).manifest_path(name)
    assert caught.value.problems[0].hint == hint


def test_without_any_manifest_it_is_told_to_write_one(root: Path) -> None:
    (root / "exp001.yaml").unlink()
    with pytest.raises(ManifestError, match="hint: write one"):
        Workspace(root).manifest_path("exp001")


def test_a_file_of_the_same_name_elsewhere_is_not_taken_for_the_manifest(root: Path) -> None:
    write_manifest(root / "old")
    with pytest.raises(ManifestError, match=r"exp001: not a manifest of this workspace") as caught:
        Workspace(root).manifest_path(str(root / "old" / "exp001.yaml"))
    assert "move it beside competition.yaml" in str(caught.value)


def test_an_experiment_is_read_with_the_competition(root: Path) -> None:
    workspace = Workspace(root)
    assert workspace.experiment("exp001").manifest.recipe == "mean.py"
    assert workspace.competition is workspace.competition


def test_yaml_files_of_other_tools_are_no_manifests(root: Path) -> None:
    (root / "environment.yaml").write_text("name: toy\ndependencies:\n  - kagkit: 1\n  kagkit: 1\n")
    (root / "docker-compose.yaml").write_text("# kagkit: 1\nservices: {}\n")
    (root / "folder.yaml").mkdir()
    (root / "marked.yaml").write_bytes(b"\xef\xbb\xbfkagkit: 1\n")
    (root / "noted.yaml").write_text('note: the mark may come late\n"kagkit": 1\n')
    names = [path.name for path in Workspace(root).manifests()]
    assert names == ["exp001.yaml", "marked.yaml", "noted.yaml"]


def test_a_file_that_lacks_the_mark_is_told_so_where_it_is_named(root: Path) -> None:
    (root / "environment.yaml").write_text("name: toy\n")
    with pytest.raises(ManifestError, match=r"environment\.yaml: not a kagkit file"):
        Workspace(root).experiment("environment.yaml")
