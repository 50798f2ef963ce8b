from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.foundation.strictyaml import dump_yaml, read_yaml
from kagkit.runs.record import Run, read_run
from kagkit.stages.budget import order_by_priority, read_until
from kagkit.stages.lineup import Lineup, Member, line_up
from kagkit.stages.manifests import write_combined, write_frozen, write_retrained
from kagkit.workspace.layout import Workspace
from tests.toy import make_workspace, write_manifest, write_run

BLEND = "kagkit.recipes.blend"
FOUND = [{"name": "", "file": "submission.csv", "args": {"top": 0.7}, "sha256": "", "cv": 0.5, "cv_std": 0.1}]
FOLDS = [{"seed": 0, "fold": fold, "score": 0.5, "rows": 20} for fold in (0, 1)]


def keep_run(root: Path, name: str, manifest: dict[str, Any], number: int = 1, **facts: Any) -> Run:
    """A run that keeps weights and the manifest it was run by."""
    usual = {"keeps": "weights", "folds": FOLDS}
    folder = write_run(root, name, number, **(usual | facts))
    (folder / "manifest.yaml").write_text(dump_yaml({"kagkit": 1} | manifest))
    return read_run(folder)


def fed(**inputs: str) -> list[dict[str, str]]:
    return [{"input": name, "run": run, "folds": "same"} for name, run in inputs.items()]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path / "toy"))


def told(workspace: Workspace, name: str) -> dict[str, Any]:
    return dict(read_yaml(workspace.root / f"{name}.yaml", name).plain)


def by_base(names: dict[str, str]) -> Callable[[Member], str]:
    return lambda member: names[member.base]


def three(workspace: Workspace, **second: Any) -> Lineup:
    """A model, one that learns from its predictions, and their blend."""
    root = workspace.root
    making = {"make": "cut:cut", "args": {"top": 0.5}, "fit_args": ["top"]}
    rules = {"exclude": {"run": "exp001", "above": 0.9}}
    one = keep_run(root, "exp001", {"recipe": "mean.py", "submission": making}, submissions=FOUND)
    manifest = {"recipe": "mean.py", "inputs": {"clf": "exp001"}, "rows": rules, "stage2": second}
    two = keep_run(root, "exp002", manifest, parents=fed(clf="exp001/1", **{"rows.exp001": "exp001/1"}))
    blend = {"recipe": BLEND, "inputs": {"a": "exp001", "b": "exp002"}}
    return line_up(root, [one, two, keep_run(root, "FINAL", blend, parents=fed(a="exp001/1", b="exp002/1"))])


def test_what_combines_alone_is_no_model(workspace: Workspace) -> None:
    lineup = three(workspace)
    assert [each.base for each in lineup.models] == ["exp001", "exp002"]
    assert [each.base for each in lineup.combinations] == ["FINAL"]


def test_a_blend_that_feeds_a_model_is_a_model(workspace: Workspace) -> None:
    root = workspace.root
    one = keep_run(root, "exp001", {"recipe": "mean.py"})
    blend = keep_run(root, "both", {"recipe": BLEND, "inputs": {"a": "exp001"}}, parents=fed(a="exp001/1"))
    last = keep_run(root, "last", {"recipe": "mean.py", "inputs": {"b": "both"}}, parents=fed(b="both/1"))
    assert not line_up(root, [one, blend, last]).combinations


def test_two_runs_of_one_experiment_have_names_of_their_own(workspace: Workspace) -> None:
    runs = [keep_run(workspace.root, "exp001", {"recipe": "mean.py"}, number) for number in (1, 2)]
    assert [each.frozen for each in line_up(workspace.root, runs).members] == ["exp001-1-s1", "exp001-2-s1"]


def test_a_frozen_model_keeps_what_was_fitted_and_its_own_inputs_frozen(workspace: Workspace) -> None:
    lineup = three(workspace)
    for member in lineup.models:
        write_frozen(workspace, lineup, member)
    assert told(workspace, "exp001-s1")["submission"] == {"make": "cut:cut", "args": {"top": 0.7}}
    second = told(workspace, "exp002-s1")
    assert (second["start"], second["frozen"], second["inputs"]) == ("exp002/1", "all", {"clf": "exp001-s1"})
    assert "rows" not in second


def test_a_retrained_model_follows_its_stage2_and_is_fed_by_stage_2(workspace: Workspace) -> None:
    lineup = three(workspace, start="weights", args={"shift": 0.1}, folds=[1])
    write_retrained(workspace, lineup, lineup.models[1], lambda member: member.retrained)
    second = told(workspace, "exp002-s2")
    assert (second["stage"], second["start"], second["frozen"]) == (2, "exp002/1", [0])
    assert "scratch" not in second
    assert (second["args"], second["inputs"]) == ({"shift": 0.1}, {"clf": "exp001-s2"})
    assert second["rows"] == {"exclude": {"run": "exp001-s2", "above": 0.9}}
    assert "stage2" not in second


def test_what_the_present_manifest_says_of_stage_2_counts(workspace: Workspace) -> None:
    lineup = three(workspace, retrain="never")
    write_manifest(workspace.root, "exp002", args={"shift": 9}, stage2={"args": {"shift": 0.2}})
    write_retrained(workspace, lineup, lineup.models[1], lambda member: member.retrained)
    assert told(workspace, "exp002-s2")["args"] == {"shift": 0.2}
    assert lineup.models[1].second.retrain == "auto"


def test_from_scratch_nothing_is_started_from(workspace: Workspace) -> None:
    lineup = three(workspace)
    write_retrained(workspace, lineup, lineup.models[0], lambda member: member.retrained)
    first = told(workspace, "exp001-s2")
    assert not {"start", "frozen"} & set(first)
    assert first["submission"]["fit_args"] == ["top"]


def test_only_an_unedited_manifest_is_written_again(workspace: Workspace) -> None:
    lineup = three(workspace)
    for name in ("exp001-s1", "exp001-s2"):
        names = {"exp001": name, "exp002": "exp002-s1"}
        assert not write_combined(workspace, lineup, lineup.final, by_base(names)).kept
        assert told(workspace, "FINAL-s2")["inputs"]["a"] == name
    path = workspace.root / "FINAL-s2.yaml"
    path.write_text(path.read_text() + "args: {method: mean}\n")
    assert write_combined(workspace, lineup, lineup.final, lambda each: each.frozen).kept
    assert told(workspace, "FINAL-s2")["inputs"]["a"] == "exp001-s2"


def test_a_run_made_elsewhere_goes_into_no_stage_2(workspace: Workspace) -> None:
    run = keep_run(workspace.root, "mate", {"recipe": "mean.py"}, imported={"author": "Bo"})
    with pytest.raises(ManifestError, match="cannot be taken to stage 2"):
        line_up(workspace.root, [run])


def test_a_model_comes_after_what_feeds_it_whatever_its_priority(workspace: Workspace) -> None:
    lineup = three(workspace, priority=9)
    ordered = order_by_priority(lineup.models, {"exp001": 5.0, "exp002": 1.0})
    assert [each.base for each in ordered] == ["exp001", "exp002"]


@pytest.mark.parametrize("text", ["soon", "25:00", "2019-01-01T00:00Z"])
def test_a_time_that_is_none_or_over_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        read_until(text, datetime(2019, 8, 26, tzinfo=UTC))
