from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kagkit.data.versions import pin
from kagkit.foundation.files import write_json
from kagkit.judgement.inspection import inspect_manifest, inspect_run, inspect_workspace
from kagkit.workspace.layout import Workspace
from tests.terminal import edit, kagkit, swap
from tests.toy import make_workspace, write_competition, write_manifest, write_run


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


def inspect(root: Path) -> list[str]:
    return [str(problem) for problem in inspect_workspace(Workspace(root))]


def competition(**changes: Any) -> Callable[[Path], object]:
    return lambda root: write_competition(root, **changes)


def test_a_good_workspace_has_no_problems_and_looking_changes_nothing(toy: Path) -> None:
    before = sorted(path.relative_to(toy) for path in toy.rglob("*"))
    assert inspect(toy) == []
    assert sorted(path.relative_to(toy) for path in toy.rglob("*")) == before


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (competition(rows={"key": ["idd"]}), ["data/train.csv: no column idd\n  hint: did you mean id?"]),
        (competition(rows={"key": ["id"], "group": "grup"}), ["data/train.csv: no column grup", "group?"]),
        (competition(rows={"key": ["id"], "targets": ["lable"]}), ["data/train.csv: no column lable"]),
        (competition(submission={"target": ["lable"]}), ["data/sample_submission.csv: no column lable"]),
        (swap("data/test.csv", "id,a", "ID,a"), ["data/test.csv: no column id\n  hint: did you mean ID?"]),
        (competition(stages=None), ["stages: missing"]),
        (competition(metrc={}), ["metrc: no such key\n  hint: did you mean metric?"]),
        (lambda root: write_manifest(root, "exp002", seeed=1), ["exp002.yaml line 3: seeed: no such key"]),
        (lambda root: (root / "data/train.csv").write_text(""), ["data/train.csv: no column id"]),
        (lambda root: (root / "data/test.csv").unlink(), ["data/test.csv: no such file"]),
    ],
)  # fmt: skip
def test_each_fault_is_found_where_it_was_planted(
    toy: Path, plant: Callable[[Path], object], told: list[str]
) -> None:
    plant(toy)
    printed = "\n".join(inspect(toy))
    for words in told:
        assert words in printed


def test_every_manifest_is_inspected_and_faults_are_told_together(toy: Path) -> None:
    write_manifest(toy, "exp002", recipe="maen.py")
    write_manifest(toy, "exp003", args={"shfit": 1})
    write_competition(toy, rows={"key": ["id"], "group": "grup"})
    printed = inspect(toy)
    assert [problem.partition(":")[0] for problem in printed] == [
        "data/train.csv",
        "exp002.yaml line 2",
        "exp003.yaml line 4",
    ]
    assert [problem.found for problem in inspect_manifest(Workspace(toy), toy / "exp003.yaml")] == [
        "args.shfit: no function of mean.py takes it"
    ]


def test_a_loader_of_the_users_own_may_make_the_columns(toy: Path) -> None:
    (toy / "loads.py").write_text("def load_rows(part, data):\n    ...\n")
    write_competition(toy, rows={"key": ["study"], "group": "patient", "load": "loads:load_rows"},
                      submission={"key": ["id"], "target": ["label"]})  # fmt: skip
    assert inspect(toy) == []


def test_data_that_changed_since_they_were_pinned_are_told(toy: Path) -> None:
    pin(toy, "stage1", Workspace(toy).competition.sources["stage1"])
    edit(toy / "data/train.csv", "id_003,", "id_xxx,")
    (told,) = inspect_workspace(Workspace(toy))
    assert (told.where, told.check) == ("data/train.csv", "data")
    assert told.found.startswith("changed since it was pinned")
    assert told.hint == "bring the old file back, or accept the new data: kagkit data pin"


def test_a_run_is_inspected_byte_by_byte(toy: Path) -> None:
    run = write_run(toy)
    assert inspect_run(Workspace(toy), run) == []
    (run / "submission.csv").write_bytes((run / "submission.csv").read_bytes()[:-2] + b"1\n")
    (run / "record.json.bak").write_text("")
    assert [problem.where.rpartition("/")[2] for problem in inspect_run(Workspace(toy), run)] == [
        "submission.csv",
        "record.json.bak",
    ]
    (run / "record.json").write_text("[]")
    (told,) = inspect_run(Workspace(toy), run)
    assert told.where == f"runs/exp001/{run.name}/record.json"


def test_what_rests_on_a_damaged_run_is_named(toy: Path) -> None:
    first = write_run(toy, "exp001")
    write_run(toy, "blend", parents=[{"input": "clf", "run": "exp001/1"}])
    write_run(toy, "stack", parents=[{"input": "all", "run": "blend/1"}])
    write_run(toy, "other")
    for name, run in {"exp001-001": "exp001/1", "stack-001": "stack/1", "other-001": "other/1"}.items():
        (toy / f"submissions/{name}").mkdir(parents=True)
        write_json(toy / f"submissions/{name}/provenance.json", {"run": run})
    assert inspect_run(Workspace(toy), first) == []
    (first / "submission.csv").write_text("id,label\n")
    told = inspect_run(Workspace(toy), first)[-1]
    assert told.where == "exp001/1"
    assert told.found == "blend/1, stack/1, submissions/exp001-001, submissions/stack-001 rest on it"
    ended = kagkit(toy, "check", first.relative_to(toy).as_posix(), code=7)
    assert "exp001/1: blend/1, stack/1, submissions/exp001-001" in ended.err


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"run": ["exp001/1"]}', '{"run": null}'])
def test_a_package_that_does_not_say_its_run_is_named_beside_the_damaged_run(toy: Path, content: str) -> None:
    run = write_run(toy, "exp001")
    (run / "submission.csv").write_text("id,label\n")
    (toy / "submissions/exp001-001").mkdir(parents=True)
    (toy / "submissions/exp001-001/provenance.json").write_text(content)
    damaged, told = inspect_run(Workspace(toy), run)
    assert damaged.where.endswith("submission.csv")
    assert told.where == "submissions/exp001-001/provenance.json"
