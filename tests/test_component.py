from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kagkit.foundation.component import (
    check_function,
    code_of,
    find_function,
    import_function,
    local_file,
    read_imports,
    split_reference,
)
from kagkit.foundation.errors import ManifestError

Files = dict[str, str]

RECIPE: Files = {
    "unet.py": '''
"""A small U-Net."""
import numpy as np
from layers import Block, conv
import losses

WIDTH = 8  # channels
CUT = 0.5

class Net(Block):
    """The net."""
    width = WIDTH

def helper(x):
    """Help."""
    return conv(x)

def train(task, *, lr=1e-3):
    """Fit."""
    # one step
    return losses.dice(helper(Net()))

def predict(task, model, rows, *, cut=CUT):
    return postprocess(rows)

def postprocess(rows):
    return rows
''',
    "layers.py": """
from scales import SCALE
class Block: pass
def conv(x): return x * SCALE
def pool(x): return x
""",
    "scales.py": "SCALE = 2\nOFFSET = 1\n",
    "losses.py": "def dice(x): return x\ndef bce(x): return x\n",
}


def write(root: Path, files: Files) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def changes(root: Path, files: Files, name: str, old: str, new: str, function: str = "train") -> list[str]:
    """What in the code of `unet.py:function` changes when `old` becomes `new` in one file."""
    assert old in files[name]
    before = code_of(write(root, files), "unet.py", (function,))
    after = code_of(write(root, files | {name: files[name].replace(old, new)}), "unet.py", (function,))
    return [place for place in sorted(before | after) if before.get(place) != after.get(place)]


# --- what belongs to the code of a function ---


def test_the_code_of_a_function_is_all_it_uses_and_no_more(tmp_path: Path) -> None:
    write(tmp_path, RECIPE)
    assert set(code_of(tmp_path, "unet.py", ("train",))) == {
        *(f"unet.py:{name}" for name in ("train", "helper", "Net", "WIDTH", "Block", "conv", "losses")),
        *("layers.py:Block", "layers.py:conv", "layers.py:SCALE", "scales.py:SCALE"),
        *("losses.py:dice", "losses.py:bce"),
    }
    assert set(code_of(tmp_path, "unet.py", ("predict",))) == {
        "unet.py:predict",
        "unet.py:CUT",
        "unet.py:postprocess",
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # one step", "  # another step"),
        ("  # channels", ""),
        ('"""Fit."""', '"""Fit\n\n    a net."""'),
        ('    """Help."""\n', ""),
        ('"""The net."""', '"""A net."""'),
        ('"""A small U-Net."""', ""),
        ("\ndef helper", "\n\n\n\ndef helper"),
        ("conv(x)", "conv( x )"),
        ("import numpy as np", "import pandas as np"),
    ],
)
def test_comments_docstrings_spacing_and_unused_imports_change_no_code(
    old: str, new: str, tmp_path: Path
) -> None:
    assert changes(tmp_path, RECIPE, "unet.py", old, new) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "place"),
    [
        ("unet.py", "lr=1e-3", "lr=1e-4", "unet.py:train"),
        ("unet.py", "return conv(x)", "return conv(x) + 1", "unet.py:helper"),
        ("unet.py", "WIDTH = 8", "WIDTH = 16", "unet.py:WIDTH"),
        ("unet.py", "width = WIDTH", "width = WIDTH * 2", "unet.py:Net"),
        ("layers.py", "class Block: pass", "class Block: x = 1", "layers.py:Block"),
        ("layers.py", "x * SCALE", "x + SCALE", "layers.py:conv"),
        ("scales.py", "SCALE = 2", "SCALE = 3", "scales.py:SCALE"),
        ("losses.py", "def dice(x): return x", "def dice(x): return -x", "losses.py:dice"),
        # `losses.dice` may be any name of losses
        ("losses.py", "def bce(x): return x", "def bce(x): return -x", "losses.py:bce"),
    ],
)
def test_whatever_train_uses_changes_its_code(
    file: str, old: str, new: str, place: str, tmp_path: Path
) -> None:
    assert changes(tmp_path, RECIPE, file, old, new) == [place]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("unet.py", "return rows", "return rows + 1"),
        ("unet.py", "CUT = 0.5", "CUT = 0.6"),
        ("unet.py", "cut=CUT", "cut=1"),
        ("layers.py", "def pool(x): return x", "def pool(x): return -x"),
        ("scales.py", "OFFSET = 1", "OFFSET = 2"),
    ],
)
def test_what_only_others_use_changes_no_code_of_train(file: str, old: str, new: str, tmp_path: Path) -> None:
    assert changes(tmp_path, RECIPE, file, old, new) == []


@pytest.mark.parametrize(
    "statement",
    [
        "seed(0)",
        "backends.benchmark = 0",
        "_ = seed(0)",
        "CONFIG = {}\nCONFIG['lr'] = 0",
        "for i in range(0):\n    pass",
        "try:\n    seed()\nexcept ValueError:\n    seed(0)",
        "if __name__ != '__main__':\n    seed(0)",
    ],
)
def test_statements_that_run_on_import_count_wherever_they_stand(statement: str, tmp_path: Path) -> None:
    files = {"unet.py": f"def train(task): ...\n{statement}\n"}
    assert "unet.py:(module)" in changes(tmp_path, files, "unet.py", "0", "1")
    files = {"unet.py": "import setting\ndef train(task): ...\n", "setting.py": statement}
    assert "setting.py:(module)" in changes(tmp_path, files, "setting.py", "0", "1")


def test_what_runs_on_import_follows_its_own_needs(tmp_path: Path) -> None:
    files = {
        "unet.py": "from far import f\ndef train(task): ...\n",
        "far.py": "import deep\ndef f(): ...\n",
        "deep.py": "from level import LEVEL\nset_level(LEVEL)\nOTHER = 1\n",
        "level.py": "LEVEL = 1\n",
    }
    assert changes(tmp_path, files, "level.py", "1", "2") == ["level.py:LEVEL"]
    assert changes(tmp_path, files, "deep.py", "OTHER = 1", "OTHER = 2") == []
    assert changes(tmp_path, files, "far.py", "def f(): ...", "def f(): pass") == []


def test_the_main_block_does_not_count(tmp_path: Path) -> None:
    files = {"unet.py": "def train(task): ...\nif __name__ == '__main__':\n    train(0)\n"}
    assert changes(tmp_path, files, "unet.py", "train(0)", "train(1)") == []


def test_every_definition_of_a_name_counts(tmp_path: Path) -> None:
    text = "try:\n    from fast import f\nexcept:\n    def f(): return 1\ndef train(task): return f()\n"
    assert "unet.py:f" in changes(tmp_path, {"unet.py": text}, "unet.py", "return 1", "return 2")
    text = "X = 1\nX = X + 1\ndef train(task): return X\n"
    assert changes(tmp_path, {"unet.py": text}, "unet.py", "X + 1", "X + 2") == ["unet.py:X"]


@pytest.mark.parametrize(
    "imports",
    [
        "import pkg.mod\nuse = pkg.mod.f",
        "import pkg.mod as m\nuse = m.f",
        "from pkg import mod\nuse = mod.f",
        "from pkg.mod import f as use",
        "from pkg import f as use",
        "from pkg import *\nuse = f",
        "import pkg\nuse = pkg.f",
        "def use():\n    from pkg.mod import f\n    return f()",
        "try:\n    from pkg.mod import f as use\nexcept ImportError:\n    raise",
    ],
)
def test_code_in_a_package_is_found_however_it_is_imported(imports: str, tmp_path: Path) -> None:
    files = {
        "unet.py": f"{imports}\ndef train(task): return use\n",
        "pkg/__init__.py": "from .mod import f\n",
        "pkg/mod.py": "from ..top import g\nfrom . import side\ndef f(): return g(side.x)\n",
        "pkg/side.py": "x = 1\n",
        "top.py": "def g(x): return x\n",
    }
    assert changes(tmp_path, files, "pkg/mod.py", "g(side.x)", "g(side.x + 1)") == ["pkg/mod.py:f"]
    assert changes(tmp_path, files, "pkg/side.py", "1", "2") == ["pkg/side.py:x"]


def test_a_package_runs_before_its_modules(tmp_path: Path) -> None:
    files = {
        "unet.py": "def train(task):\n    from pkg.sub.mod import f\n",
        "pkg/__init__.py": "seed(0)\n",
        "pkg/sub/mod.py": "def f(): ...\n",
    }
    assert changes(tmp_path, files, "pkg/__init__.py", "0", "1") == ["pkg/__init__.py:(module)"]


def test_a_name_that_reading_does_not_find_takes_the_whole_file(tmp_path: Path) -> None:
    files = {
        "unet.py": "from lazy import f\ndef train(task): return f()\n",
        "lazy.py": "def __getattr__(name): return table()[name]\ndef table(): return {'f': 0}\n",
    }
    assert changes(tmp_path, files, "lazy.py", "0", "1") == ["lazy.py:table"]


def test_imports_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    files = {
        "unet.py": "from a import f\nimport unet\ndef train(task): return f\n",
        "a.py": "import b\ndef f(): return b.g()\n",
        "b.py": "import a\nfrom a import f\nfrom b import h\ndef g(): return a.f()\n",
    }
    assert changes(tmp_path, files, "b.py", "return a.f()", "return 0") == ["b.py:g"]
    assert read_imports(write(tmp_path, files), ["unet.py"]).local == ("a.py", "b.py", "unet.py")
    assert find_function(tmp_path, "b:h") is None


def test_a_module_that_is_not_python_is_told(tmp_path: Path) -> None:
    write(tmp_path, RECIPE | {"scales.py": "SCALE = (\n"})
    with pytest.raises(ManifestError, match=r"scales\.py line 1: not Python"):
        code_of(tmp_path, "unet.py", ("train",))


def test_reading_code_runs_none_of_it(tmp_path: Path) -> None:
    effect = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    write(tmp_path, {name: effect + text for name, text in RECIPE.items()} | {"pkg/__init__.py": effect})
    write(tmp_path, {"pkg/mod.py": effect + "def f(): ..."})
    loaded = set(sys.modules)
    assert code_of(tmp_path, "unet.py", ("train", "predict"))
    assert read_imports(tmp_path, ["unet.py"]).local
    assert find_function(tmp_path, "unet:train")
    assert find_function(tmp_path, "pkg.mod:f")
    assert find_function(tmp_path, "sklearn.metrics:f1_score")
    assert not (tmp_path / "ran").exists()
    assert not {name for name in set(sys.modules) - loaded if name.startswith(("sklearn", "pkg", "unet"))}


# --- files and modules that are imported ---


def test_imports_are_followed_through_the_workspace(tmp_path: Path) -> None:
    files = {
        "unet.py": "import numpy as np\nfrom pkg.sub import mod\ndef train(task):\n    import torch.nn\n",
        "pkg/__init__.py": "",
        "pkg/sub/mod.py": "from .side import x\nfrom lightgbm import Booster\n",
        "pkg/sub/side.py": "x = 1\n",
        "unused.py": "import pandas\n",
    }
    imports = read_imports(write(tmp_path, files), ["unet.py"])
    assert imports.local == ("pkg/__init__.py", "pkg/sub/mod.py", "pkg/sub/side.py", "unet.py")
    assert imports.installed == ("lightgbm", "numpy", "torch", "torch.nn")


def test_a_package_comes_before_a_module_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path, {"utils.py": "x = 1", "utils/__init__.py": "x = 2"})
    assert local_file(tmp_path, "utils") == "utils/__init__.py"
    assert local_file(tmp_path, "numpy") is None
    assert local_file(tmp_path, "") is None


# --- functions by reference ---


@pytest.mark.parametrize(
    "reference", ["accuracy", "a.b.c", "a:b:c", "a:", ":b", "a..b:c", "a:b.c", "a-b:c", "a/b.py:c"]
)
def test_a_reference_is_a_module_and_a_function(reference: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="not a function's name; expected module:function"):
        split_reference(reference)
    with pytest.raises(ManifestError, match="not a function"):
        find_function(tmp_path, reference)


def test_a_function_of_the_workspace_is_found_through_its_imports(tmp_path: Path) -> None:
    files = {
        "xray.py": "from pkg import score as score\nfrom math import sqrt\nthird = score\n",
        "pkg/__init__.py": "try:\n    from missing import score\nexcept:\n    from .kaggle import score\n",
        "pkg/kaggle.py": "def score(solution, *, cut=0.5): ...\n",
    }
    write(tmp_path, files)
    found = find_function(tmp_path, "xray:score")
    assert found is not None
    assert (found.file, list(found.keywords)) == ("pkg/kaggle.py", ["cut"])
    assert find_function(tmp_path, "xray:sqrt") is None
    assert find_function(tmp_path, "xray:third") is None


def test_a_function_that_an_installed_package_only_hands_on_is_found(tmp_path: Path) -> None:
    accuracy = find_function(tmp_path, "kagkit.metrics:accuracy")
    assert accuracy is not None
    assert accuracy.file == "tabular.py"
    assert accuracy.positional == ("solution", "submission", "row_id_column_name")


@pytest.mark.parametrize("reference", ["math:sqrt", "numpy:sqrt", "json:loads"])
def test_installed_functions_are_found_whether_or_not_they_can_be_read(
    reference: str, tmp_path: Path
) -> None:
    assert check_function(tmp_path, reference, "here") == []


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("unet:trian", "here: unet:trian: no such function\n  hint: did you mean train?"),
        ("unett:train", "here: unett:train: no such module here, nor installed"),
        ("kagkit.nothing:f", "here: kagkit.nothing:f: no such module here, nor installed"),
        ("json.loads:f", "here: json.loads:f: no such module here, nor installed"),
        ("__main__:f", "here: __main__:f: no such module here, nor installed"),
        (
            "kagkit.metrics:acuracy",
            "here: kagkit.metrics:acuracy: no such function\n  hint: did you mean accuracy?",
        ),
        ("unet.train", "here: unet.train: not a function's name; expected module:function"),
        ("broken:f", "here: broken.py line 2: not Python: invalid syntax"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told(reference: str, problem: str, tmp_path: Path) -> None:
    write(tmp_path, RECIPE | {"broken.py": "x = 1\ndef f(:\n"})
    assert [str(found) for found in check_function(tmp_path, reference, "here")] == [problem]


def test_a_name_that_may_be_made_at_run_time_is_not_refused(tmp_path: Path) -> None:
    write(tmp_path, {"lazy.py": "def __getattr__(name): ...", "star.py": "from lazy import *"})
    assert find_function(tmp_path, "lazy:anything") is None
    assert find_function(tmp_path, "star:anything") is None


def test_a_function_is_imported_from_the_workspace_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write(tmp_path, {"kagkit_test_masks.py": "NUMBER = 3\ndef triplet(): return NUMBER\n"})
    assert import_function(tmp_path, "kagkit_test_masks:triplet")() == 3
    with pytest.raises(ManifestError, match="kagkit_test_masks:NUMBER: no such function"):
        import_function(tmp_path, "kagkit_test_masks:NUMBER")
    del sys.modules["kagkit_test_masks"]
