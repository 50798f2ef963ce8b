from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.workspace.layout import Workspace
from kagkit.workspace.lineage import order_upstream
from kagkit.workspace.rowrules import Exclusion, Extra
from tests.toy import make_workspace, write_manifest, write_recipe

CLINIC = {"files": ["data"], "source": "a clinic", "licence": "CC0", "allowed": "rule 7"}


def problems(root: Path, rows: dict[str, Any], **manifest: Any) -> str:
    write_manifest(root, "exp002", rows=rows, **manifest)
    with pytest.raises(ManifestError) as raised:
        Workspace(root).experiment("exp002")
    return str(raised.value)


def test_one_rule_needs_no_list_and_from_is_a_key(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    rows = {"exclude": {"run": "exp001", "above": 1}, "extra": {"from": "test", "labels": "exp001/1"}}
    write_manifest(tmp_path, "exp002", rows=rows)
    choice = Workspace(tmp_path).experiment("exp002").manifest.rows
    assert choice.exclude == (Exclusion(run="exp001", above=1.0),)
    assert choice.extra == (Extra("test", labels="exp001/1"),)
    assert choice.feeds == {"rows.exp001": "exp001", "rows.exp001/1": "exp001/1"}
    assert order_upstream(tmp_path, "exp002") == ("exp001",)
    assert not Workspace(tmp_path).experiment("exp001").manifest.rows


def test_every_problem_of_the_rules_is_told_at_once(tmp_path: Path) -> None:
    make_workspace(tmp_path, data={"clinic": {"files": ["data"]}})
    told = problems(
        tmp_path,
        {
            "exclude": [{"run": "exp01", "above": -1}, {"keys": "bad.txt", "by": "a"}, {}, {"run": "exp001"}],
            "extra": [
                {"from": "clinic", "above": 0.5},
                {"from": "test", "above": 2},
                {"from": "tset", "weight": 0},
            ],
        },
    )
    for words in (
        "rows.exclude[0].run: no experiment exp01",
        "rows.exclude[0].above: -1.0; expected a distance of 0 or more",
        "bad.txt: no such file",
        "rows.exclude[1].by: beside keys",
        "rows.exclude[2]: neither run nor keys",
        "rows.exclude[3].above: None",
        "rows.extra[0].above: of clinic",
        "rows.extra[0]: data does not name clinic",
        "does not tell the source, licence, allowed of clinic",
        "rows.extra[1]: test rows without labels",
        "rows.extra[1].above: 2; expected 0 to 1",
        "rows.extra[2].weight: 0; expected a number above 0",
        "tset is not declared in competition.yaml",
    ):
        assert words in told, words


def test_further_rows_and_inputs_do_not_go_together(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    extra = {"from": "test", "labels": "exp001"}
    told = problems(tmp_path, {"extra": extra}, inputs={"clf": "exp001"})
    assert "rows.extra beside inputs: nobody held these rows out for clf" in told
    told = problems(tmp_path, {"extra": [extra, extra]})
    assert "from test a second time" in told


def test_a_weight_that_nothing_asks_for_is_refused(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    extra = {"from": "test", "labels": "exp001", "weight": 0.5}
    assert "weight 0.5, which mean.py does not ask for" in problems(tmp_path, {"extra": extra})
    (tmp_path / "fit.py").write_text("")
    command = {"train": "python fit.py {train_rows} {out}", "predict": "python fit.py {rows} {out}"}
    told = problems(tmp_path, {"extra": extra}, recipe=None, command=command)
    assert "weight 0.5, which command does not ask for" in told
    write_recipe(tmp_path, text="def train(task): task.row_weights\ndef predict(task, model, rows): ...\n")
    write_manifest(tmp_path, "exp002", rows={"extra": extra})
    assert Workspace(tmp_path).experiment("exp002")


def test_a_list_of_composite_keys_is_a_table(tmp_path: Path) -> None:
    make_workspace(tmp_path, rows={"key": ["id", "group"]})
    (tmp_path / "bad.txt").write_text("id_001\n")
    told = problems(tmp_path, {"exclude": {"keys": "bad.txt"}})
    assert "bad.txt; expected a CSV with the columns id, group" in told


def test_experiments_that_choose_each_others_rows_are_a_circle(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    write_manifest(tmp_path, "exp002", rows={"exclude": {"run": "exp003", "above": 1}})
    write_manifest(tmp_path, "exp003", rows={"extra": [{"from": "test", "labels": "exp002"}]})
    with pytest.raises(ManifestError, match="feed each other"):
        order_upstream(tmp_path, "exp002")
