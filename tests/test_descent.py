from __future__ import annotations

import json
from pathlib import Path

import pytest

from kagkit.judgement.descent import Descent, trace_descent
from kagkit.runs.record import Run, find_run
from kagkit.workspace.layout import Workspace
from tests.terminal import kagkit
from tests.toy import make_workspace, write_run


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


def run_of(root: Path, name: str, manifest: str, code: str = "a") -> Run:
    files = [{"name": "code/mean.py", "sha256": code, "bytes": 1}]
    folder = write_run(root, name, files=files)
    (folder / "manifest.yaml").write_text(f"kagkit: 1\nrecipe: mean.py\n{manifest}")
    return find_run(Workspace(root), name)


def test_what_differs_from_the_parent_is_told_by_key(toy: Path) -> None:
    run_of(toy, "exp001", "args: {shift: 0.5}\nnote: first")
    child = run_of(toy, "exp002", "parent: exp001\nargs: {shift: 0.25}\nseeds: [0, 1]")
    changes = {"args.shift": (0.5, 0.25), "seeds": ((0,), (0, 1))}
    assert trace_descent(Workspace(toy), child) == Descent("exp001/1", changes, ())


def test_other_code_is_named_by_its_file(toy: Path) -> None:
    run_of(toy, "exp001", "")
    child = run_of(toy, "exp002", "parent: exp001", code="b")
    assert trace_descent(Workspace(toy), child) == Descent("exp001/1", {}, ("mean.py",))


@pytest.mark.parametrize("parent", ["", "parent: gone"])
def test_without_a_run_of_a_parent_nothing_is_told(toy: Path, parent: str) -> None:
    assert trace_descent(Workspace(toy), run_of(toy, "exp002", parent)) is None


@pytest.mark.parametrize("text", ["", "parent: exp001\nlater_key: 1", "parent: [exp"])
def test_a_manifest_that_cannot_be_read_hides_no_run(toy: Path, text: str) -> None:
    run_of(toy, "exp001", "")
    child = run_of(toy, "exp002", text)
    assert trace_descent(Workspace(toy), child) is None


def test_compare_tells_a_run_from_its_parent(toy: Path) -> None:
    run_of(toy, "exp001", "args: {shift: 0.5}")
    run_of(toy, "exp002", "parent: exp001\nargs: {shift: 0.25}", code="b")
    run_of(toy, "exp003", "parent: exp001\nargs: {shift: 0.5}")
    told = kagkit(toy, "compare").out.splitlines()
    assert "exp002/1 from exp001/1: args.shift 0.5 → 0.25, code mean.py" in told
    assert "exp003/1 from exp001/1: the same manifest and code" in told
    rows = json.loads(kagkit(toy, "compare", "--json").out)["rows"]
    descents = {row["run"]: row["descent"] for row in rows}
    assert descents["exp001/1"] is None
    expected = {"parent": "exp001/1", "changes": {"args.shift": [0.5, 0.25]}, "code": ["mean.py"]}
    assert descents["exp002/1"] == expected
