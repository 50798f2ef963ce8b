from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import rules
from tests.conftest import NetworkRefusedError
from tests.floors import FLOORS, ROOT, floor_table, with_floor_table

PACKAGE = ROOT / "kagkit"
HEAVY = {"kaggle", "lightgbm", "mlflow", "numpy", "pandas", "pyarrow"}
HEAVY |= {"ray", "rich", "scipy", "sklearn", "starlette", "torch", "uvicorn", "yaml"}
HELP = "import sys; sys.argv = ['kagkit', '--help']; from kagkit.cli import main; main()"
Rule = Callable[[Path], list[str]]
PACKAGE_RULES = [
    rules.upward_imports,
    rules.circles,
    rules.strayed_libraries,
    rules.unsafe_code,
    rules.prints_below_the_cli,
    rules.missing_docstrings,
    rules.missing_annotations,
    rules.names_of_modules,
    rules.errors_outside_the_tree,
    rules.oversize,
]


def heavy_modules_of(code: str, folder: Path) -> set[str]:
    """The heavy libraries that a fresh Python has loaded when `code` is done or has exited with 0."""
    report = (
        f"import atexit, json, sys; atexit.register(lambda: print(json.dumps(sorted(sys.modules))))\n{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", report],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def plant(folder: Path, files: dict[str, str]) -> Path:
    """A package `kagkit` below `folder` made of `files`, each with a docstring before its text."""
    package = folder / "kagkit"
    places = {"__init__.py", *(f"{place.rpartition('/')[0]}/__init__.py" for place in files if "/" in place)}
    for place, text in {**dict.fromkeys(places, ""), **files}.items():
        path = package / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""Do one thing."""\n{text}\n', encoding="utf-8")
    return package


# --- the house ---


@pytest.mark.parametrize("rule", PACKAGE_RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    assert rule(PACKAGE) == []


def test_the_declared_dependencies_are_the_imported_ones() -> None:
    assert rules.undeclared_dependencies(ROOT) == []


@pytest.mark.parametrize("code", ["import kagkit", HELP], ids=["import kagkit", "kagkit --help"])
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    assert heavy_modules_of(code, ROOT) == set()


def test_the_floor_table_is_current() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert page == with_floor_table(page, floor_table(PACKAGE)), "run: python -m tests.floors --write"


# --- planted faults: each rule must see its own ---


UPWARD, STRAYED, UNSAFE = rules.upward_imports, rules.strayed_libraries, rules.unsafe_code
ERRORS = rules.errors_outside_the_tree
PLANTED: list[tuple[Rule, str, str, str]] = [
    (UPWARD, "data/rows.py", "from kagkit.runs.store import x", "2: data/ imports runs/, not below it"),
    (UPWARD, "data/rows.py", "def f():\n    import kagkit.cli", "3: data/ imports cli/, not below it"),
    (UPWARD, "engine/local.py", "from kagkit import formats", "2: engine/ imports formats/, not below it"),
    (UPWARD, "data/rows.py", "import_module('kagkit.cli')", "2: data/ imports cli/, not below it"),
    (UPWARD, "data/rows.py", "from . import folds", "2: imports by a relative name"),
    (STRAYED, "cli/run.py", "import mlflow", "2: mlflow is not imported here"),
    (STRAYED, "data/rows.py", "def f():\n    from torch import nn", "3: torch.nn is not imported here"),
    (STRAYED, "runs/worker.py", "import torch", "2: torch is imported inside functions only"),
    (UNSAFE, "data/rows.py", "def f():\n    import pickle", "3: imports pickle"),
    (UNSAFE, "data/rows.py", "x = eval('1')", "2: calls eval"),
    (UNSAFE, "data/rows.py", "x = np.load(p, allow_pickle=True)", "2: calls load with allow_pickle"),
    (rules.prints_below_the_cli, "data/rows.py", "print(1)", "2: prints"),
    (rules.missing_docstrings, "data/rows.py", "def read():\n    pass", "2: read has no docstring"),
    (
        rules.missing_docstrings,
        "data/rows.py",
        "class A:\n  'A.'\n  def b(self): ...",
        "4: b has no docstring",
    ),
    (rules.missing_annotations, "data/rows.py", "def f(a, b: int) -> None: ...", "2: f: a has no type"),
    (rules.missing_annotations, "data/rows.py", "class A:\n  def b(self): ...", "3: b: return has no type"),
    (rules.names_of_modules, "data/rows.py", "def rows(): ...", "2: rows is the name of a module"),
    (
        ERRORS,
        "data/rows.py",
        "class OddError(ValueError): ...",
        "2: OddError does not derive from KagkitError",
    ),
    (ERRORS, "data/rows.py", "class OddError(KagkitError): ...", "2: OddError has no exit code of its own"),
    (rules.oversize, "data/rows.py", "def f():\n" + "    pass\n" * 70, "2: f has 71 lines"),
]


@pytest.mark.parametrize(("rule", "place", "text", "fault"), PLANTED)
def test_a_planted_fault_is_found(rule: Rule, place: str, text: str, fault: str, tmp_path: Path) -> None:
    assert rule(plant(tmp_path, {place: text})) == [f"{place}:{fault}"]


def test_a_circle_of_imports_is_found(tmp_path: Path) -> None:
    there, back = "from kagkit.runs.record import read", "from kagkit.runs import store"
    (fault,) = rules.circles(plant(tmp_path, {"runs/store.py": there, "runs/record.py": back}))
    assert fault.startswith("imports in a circle: kagkit.runs.")


def test_a_wing_without_a_floor_is_found(tmp_path: Path) -> None:
    assert rules.upward_imports(plant(tmp_path, {"cellar/wine.py": ""})) == ["cellar/ stands on no floor"]


def test_two_errors_with_one_exit_code_are_found(tmp_path: Path) -> None:
    text = "class A(KagkitError):\n    exit_code = 3\nclass B(KagkitError):\n    exit_code = 3"
    faults = rules.errors_outside_the_tree(plant(tmp_path, {"data/rows.py": text}))
    assert faults == ["data/rows.py:4: B has the exit code 3 of A"]


def test_a_file_too_long_is_found(tmp_path: Path) -> None:
    assert rules.oversize(plant(tmp_path, {"data/rows.py": "\n" * 350})) == ["data/rows.py: 352 lines"]


ERROR_TREE = """
class KagkitError(Exception):
    'The base.'
    exit_code: ClassVar[int] = 1

class DataError(KagkitError):
    'A branch.'
    exit_code = 3

class FoldError(DataError):
    'A twig keeps the exit code of its branch.'
"""
WORKER = """
def work(model: Any) -> None:
    'Do a task.'
    import torch
    from kagkit.runs import task
    model.eval()
"""
COMMAND = """
import rich
from kagkit import runs

def rows() -> None:
    'Show rows.'
    print(1)
"""


def test_what_the_rules_allow_is_no_fault(tmp_path: Path) -> None:
    allowed = {
        "foundation/errors.py": ERROR_TREE,
        "data/rows.py": "def _hidden(x):\n    pass",
        "runs/store.py": "from kagkit.data.rows import read",
        "runs/worker.py": WORKER,
        "runs/task.py": "from kagkit.runs import worker",
        "cli/rows.py": COMMAND,
    }
    package = plant(tmp_path, allowed)
    assert [fault for rule in PACKAGE_RULES for fault in rule(package)] == []


def test_a_file_without_its_sentence_is_found(tmp_path: Path) -> None:
    package = plant(tmp_path, {"data/rows.py": ""})
    (package / "data/rows.py").write_text('"""Rows. And more."""\n', encoding="utf-8")
    (package / "data/__init__.py").unlink()
    assert rules.missing_docstrings(package) == [
        "data/rows.py: the docstring does not start with one sentence and an empty line",
        "data/: no __init__.py",
    ]


def test_dependencies_must_match_both_ways(tmp_path: Path) -> None:
    plant(tmp_path, {"data/rows.py": "import yaml, json, optuna, requests"})
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/features.py").write_text("import numpy.linalg")
    (tmp_path / "experiments/unet.py").write_text("def f():\n    import features, kagkit, sklearn")
    (tmp_path / "pyproject.toml").write_text(
        "[project]\ndependencies = ['pyyaml>=6', 'numpy', 'scikit-learn>=1.6', 'torch']\n"
        "optional-dependencies.tune = ['optuna>=4.0']\n"
    )
    assert rules.undeclared_dependencies(tmp_path) == [
        "requests is imported and not declared",
        "torch is declared and never imported",
    ]


def test_a_heavy_import_in_the_command_line_is_found(tmp_path: Path) -> None:
    plant(tmp_path, {"cli/__init__.py": "import yaml\ndef main():\n    raise SystemExit(0)"})
    assert heavy_modules_of("import kagkit", tmp_path) == set()
    assert heavy_modules_of(HELP, tmp_path) == {"yaml"}


def test_the_floor_table_lists_wings_from_the_top_and_keeps_the_page_around_it(tmp_path: Path) -> None:
    package = plant(tmp_path, {"data/rows.py": "", "cli/run.py": ""})
    (package / "cli/run.py").write_text('"""Run a | b,\nthen stop.\n\nMore.\n"""\n', encoding="utf-8")
    page = with_floor_table("# A\n<!-- floors -->\nold\n<!-- /floors -->\nend\n", floor_table(package))
    assert page == (
        "# A\n<!-- floors -->\n"
        "| floor | room | what it does |\n"
        "|---|---|---|\n"
        "| 9 | **`cli/`** | Do one thing. |\n"
        "| | `cli/run` | Run a \\| b, then stop. |\n"
        "| 3 | **`data/`** | Do one thing. |\n"
        "| | `data/rows` | Do one thing. |\n"
        "<!-- /floors -->\nend\n"
    )
    with pytest.raises(ValueError, match="needs the markers"):
        with_floor_table("# A\n", "")


def test_the_house_has_nine_floors_and_sixteen_wings() -> None:
    assert set(FLOORS.values()) == set(range(1, 10))
    assert len(FLOORS) == 16


# --- the tests themselves ---


def test_no_test_leaves_this_machine() -> None:
    with socket.socket() as outward, pytest.raises(NetworkRefusedError, match=r"192\.0\.2\.1"):
        outward.connect(("192.0.2.1", 80))
    with socket.socket() as outward, pytest.raises(NetworkRefusedError):
        outward.connect_ex(("192.0.2.1", 80))


def test_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
