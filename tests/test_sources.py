from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.foundation.sources import REQUIRED, Function, Source, read_import, read_source


def source_of(tmp_path: Path, text: str) -> Source:
    (tmp_path / "unet.py").write_text(text, encoding="utf-8")
    return read_source(tmp_path, "unet.py")


def function_of(tmp_path: Path, text: str) -> Function:
    (function,) = source_of(tmp_path, text).functions.values()
    return function


# --- functions ---


def test_a_function_is_described_as_it_is_declared(tmp_path: Path) -> None:
    text = """

def train(task, /, rows, width=8,
          *more, lr: float = 1e-3, seed, sizes=(1, 2), cut=WIDTH, **rest):
    return rows
"""
    train = function_of(tmp_path, text)
    assert (train.file, train.name, train.line) == ("unet.py", "train", 3)
    assert train.positional == ("task", "rows")
    assert {a.name: (a.line, a.annotation, a.default) for a in train.keywords.values()} == {
        "width": (3, "", 8),
        "lr": (4, "float", 0.001),
        "seed": (4, "", REQUIRED),
        "sizes": (4, "", (1, 2)),
        "cut": (4, "", None),
    }
    assert train.takes_any


@pytest.mark.parametrize("default", ["np.float32(1)", "f'{x}'", "{[]: 1}", "-'a'", "lambda: 1"])
def test_a_default_that_is_no_literal_is_not_guessed(default: str, tmp_path: Path) -> None:
    assert function_of(tmp_path, f"def f(*, x={default}): ...").keywords["x"].default is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return model", True),
        ("if x:\n        return\n    return [1]", True),
        ("with a:\n        for b in c:\n            return b", True),
        ("pass", False),
        ("return", False),
        ("return None", False),
        ("def inner():\n        return 1\n    inner()", False),
        ("class Net:\n        def f(self):\n            return 1", False),
        ("f = lambda: (yield)", False),
    ],
)
def test_a_value_returned_is_the_function_s_own(body: str, expected: bool, tmp_path: Path) -> None:
    function = function_of(tmp_path, f"def train(task):\n    {body}\n")
    assert function.returns_value is expected
    assert not function.yields


@pytest.mark.parametrize("body", ["yield 1", "x = yield", "for a in b:\n        yield from a"])
def test_a_generator_is_seen(body: str, tmp_path: Path) -> None:
    assert function_of(tmp_path, f"def predict(task):\n    {body}\n").yields


def test_the_last_definition_of_a_name_counts(tmp_path: Path) -> None:
    text = "def f(): ...\nif FAST:\n    def f(*, fast=1): ...\n"
    assert list(function_of(tmp_path, text).keywords) == ["fast"]


# --- names and statements ---


def test_every_way_to_bind_a_name_is_seen(tmp_path: Path) -> None:
    source = source_of(
        tmp_path,
        """
import a.b, c as d
from e import f as g
h: int = 1
i = j, (k, *l) = 1, (2, 3)
m += 1
class N: ...
async def o(): ...
try:
    import p
except ImportError:
    p = q = None
else:
    r = 1
match s:
    case 1:
        t = 1
with u as v:
    w = [x for x in y]
""",
    )
    assert set(source.bindings) == set("adghijklmNopqrtw")


def test_a_variable_inside_a_comprehension_is_no_name_of_the_file(tmp_path: Path) -> None:
    assert set(source_of(tmp_path, "squares = {i: i * i for i in range(9)}").bindings) == {"squares"}


@pytest.mark.parametrize(
    "statement",
    [
        "print(1)",
        "torch.backends.cudnn.benchmark = True",
        "os.environ['A'] = '1'",
        "CONFIG['lr'] += 1",
        "a, CONFIG.lr = (1, 2)",
        "_ = torch.manual_seed(0)",
        "from utils import *",
        "for x in y:\n    pass",
        "if __name__ != '__main__':\n    print(1)",
        "if __name__ == '__main__':\n    pass\nelse:\n    print(1)",
        "assert x",
        "del x",
    ],
)
def test_a_statement_that_does_something_on_import_is_an_effect(statement: str, tmp_path: Path) -> None:
    (effect, *_) = source_of(tmp_path, statement).effects
    assert ast.unparse(effect) == statement


@pytest.mark.parametrize(
    "statement",
    [
        '"""Text."""',
        "import numpy",
        "X = 1",
        "def f(): print(1)",
        "if __name__ == '__main__':\n    print(1)",
        "...",
    ],
)
def test_a_statement_that_only_names_something_is_none(statement: str, tmp_path: Path) -> None:
    assert source_of(tmp_path, statement).effects == []


@pytest.mark.parametrize(
    ("text", "is_open"), [("from a import *", True), ("def __getattr__(name): ...", True)]
)
def test_a_file_may_have_names_that_reading_does_not_find(text: str, is_open: bool, tmp_path: Path) -> None:
    assert source_of(tmp_path, text).is_open is is_open
    assert not source_of(tmp_path, "from a import b").is_open


@pytest.mark.parametrize(
    ("file", "package"), [("unet.py", ""), ("pkg/__init__.py", "pkg"), ("pkg/sub/mod.py", "pkg.sub")]
)
def test_the_package_of_a_file_is_its_folder(file: str, package: str) -> None:
    assert Source(file).package == package


@pytest.mark.parametrize(
    ("statement", "package", "taken"),
    [
        ("import a", "", [("a", "*")]),
        ("import a.b.c", "", [("a", "*"), ("a.b", "*"), ("a.b.c", "*")]),
        ("import a.b as c, d", "", [("a.b", "*"), ("d", "*")]),
        ("from a.b import c as d, e", "x", [("a.b", "c"), ("a.b", "e")]),
        ("from a import *", "", [("a", "*")]),
        ("from . import a", "pkg", [("pkg", "a")]),
        ("from .a import b", "pkg.sub", [("pkg.sub.a", "b")]),
        ("from ..a import b", "pkg.sub", [("pkg.a", "b")]),
        ("from ... import a", "pkg.sub", [("", "a")]),
        ("from . import a", "", [("", "a")]),
        ("a = 1", "", []),
    ],
)
def test_an_import_says_what_it_takes(statement: str, package: str, taken: list[tuple[str, str]]) -> None:
    assert list(read_import(ast.parse(statement).body[0], package)) == taken


# --- files that cannot be read ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef f(:\n", "unet.py line 2: not Python: invalid syntax"),
        ("def f():\nreturn\n", "unet.py line 2: not Python: expected an indented block"),
        ("x = (1,\n", "unet.py line 1: not Python: '(' was never closed"),
        ("x = 1\0", "unet.py line 1: not Python: source code string cannot contain null bytes"),
        ("x = " + "-" * 5000 + "1", "unet.py line 1: not Python: "),
    ],
)
def test_what_is_not_python_is_told_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        source_of(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_missing_or_in_another_encoding_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"^unet\.py: no such file\n"):
        read_source(tmp_path, "unet.py")
    (tmp_path / "unet.py").write_bytes("# 猫".encode("shift_jis"))
    with pytest.raises(ManifestError, match=r"unet\.py: byte 2 is not UTF-8\n.*save the file as UTF-8"):
        read_source(tmp_path, "unet.py")


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "unet.py").write_bytes(b"\xef\xbb\xbfx = 1\r\n")
    assert set(read_source(tmp_path, "unet.py").bindings) == {"x"}


def test_a_file_that_changes_within_the_same_moment_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "unet.py"
    for name in "abc":
        path.write_text(f"{name} = 1\n")
        path.touch()
        assert set(read_source(tmp_path, "unet.py").bindings) == {name}
