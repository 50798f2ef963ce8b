from __future__ import annotations

from pathlib import Path

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Manifest
from kagkit.workspace.parentage import derive, differences
from tests.terminal import kagkit
from tests.toy import make_workspace

COMMENTED = """\
# the first try
kagkit: 1  # the format
note: a mean
recipe: mean.py
args: {shift: 0.5}  # to the right
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    make_workspace(tmp_path / "toy")
    (tmp_path / "toy/exp001.yaml").write_text(COMMENTED)
    return tmp_path / "toy"


def test_a_manifest_is_copied_with_its_comments_and_its_parent_noted(toy: Path) -> None:
    made = derive(Workspace(toy), "exp002", "exp001")
    assert made.manifest.parent == "exp001"
    expected = COMMENTED.replace("  # the format\n", "  # the format\nparent: exp001\n")
    assert (toy / "exp002.yaml").read_text() == expected


def test_the_parent_of_a_child_is_the_one_it_was_made_from(toy: Path) -> None:
    derive(Workspace(toy), "exp002", "exp001")
    derive(Workspace(toy), "exp003.yaml", "exp002.yaml")
    assert (toy / "exp003.yaml").read_text().count("parent: exp002") == 1


def test_settings_change_and_add_values(toy: Path) -> None:
    settings = ["args.shift=-1e-3", "args.flip=true", "seeds=[0, 1]", "resources.cpus=2", "note=a: b # c"]
    made = derive(Workspace(toy), "exp002", "exp001", settings).manifest
    assert (made.args, made.seeds, made.resources.cpus) == ({"shift": -0.001, "flip": True}, (0, 1), 2)
    assert made.note == "a: b # c"
    assert "args: {shift: -1e-3, flip: true}  # to the right\n" in (toy / "exp002.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "parent", "settings", "message"),
    [
        ("exp001", "exp001", [], r"exp001.yaml is not overwritten"),
        ("exp002", "exp01", [], r"did you mean exp001\?"),
        ("competition", "exp001", [], r"not a name for an experiment"),
        ("exp/2", "exp001", [], r"not a name for an experiment"),
        ("x.lock", "exp001", [], r"not a name for an experiment"),
        (".hidden", "exp001", [], r"not a name for an experiment"),
        ("exp002", "exp001", ["args.shift"], r"--set args.shift: no key and value"),
        ("exp002", "exp001", ["args.shift="], r"no key and value; expected key=value"),
        ("exp002", "exp001", ["note.deep=1"], r"note: a mean, and note.deep asks for a mapping"),
        ("exp002", "exp001", ["seeed=1", "args.shft=1"], r"(?s)did you mean seeds.*did you mean shift"),
    ],
)
def test_what_would_not_run_is_refused_and_not_written(
    name: str, parent: str, settings: list[str], message: str, toy: Path
) -> None:
    before = sorted(path.name for path in toy.iterdir())
    with pytest.raises(ManifestError, match=message):
        derive(Workspace(toy), name, parent, settings)
    assert sorted(path.name for path in toy.iterdir()) == before


def test_problems_are_told_under_the_new_name(toy: Path) -> None:
    with pytest.raises(ManifestError, match=r"exp002.yaml line 6: args.shift: found \"far\""):
        derive(Workspace(toy), "exp002", "exp001", ["args.shift=far"])


def test_differences_are_by_key_and_leave_notes_out() -> None:
    parent = Manifest(kagkit=1, recipe="a.py", args={"lr": 0.1, "aug": {"flip": True}}, note="one")
    child = Manifest(kagkit=1, recipe="b.py", args={"aug": {"flip": False}}, note="two", parent="one")
    assert differences(child, parent) == {
        "recipe": ("a.py", "b.py"),
        "args.aug.flip": (True, False),
        "args.lr": (0.1, None),
    }
    assert differences(parent, parent) == {}


def test_new_says_what_is_different_and_in_json(toy: Path) -> None:
    told = kagkit(
        toy, "new", "exp002", "--from", "exp001", "--set", "args.shift=2", "--set", "args.flip=true"
    )
    assert told.out == (
        "exp002.yaml, from exp001\n  args.shift: 0.5 -> 2\n  args.flip: by default -> True\n"
        "  note: still exp001's, 'a mean'\nnext:\n  kagkit run exp002\n"
    )
    facts = kagkit(toy, "new", "exp003", "--from", "exp001", "--set", "seeds=[1]", "--json").json
    assert facts == {
        "manifest": "exp003.yaml",
        "parent": "exp001",
        "differences": {"seeds": {"parent": [0], "now": [1]}},
    }


def test_new_exits_with_2_where_the_result_has_problems(toy: Path) -> None:
    ended = kagkit(toy, "new", "exp002", "--from", "exp001", "--set", "args.shft=1", code=2)
    assert "did you mean shift?" in ended.err
