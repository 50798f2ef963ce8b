from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError
from kagkit.foundation.strictyaml import dump_yaml, parse_yaml
from kagkit.foundation.yamltext import set_value

FULL = """\
# the first line
kagkit: 1
note: small  # what is tried
args:
  # how wide
  width: 8   # eight
  aug: {flip: true, crop: [1, 2]}

seeds:
- 0
# and one more
- 1
text: |
  several
  lines
empty:
last: x"""


def changed(text: str, key: str, value: str) -> list[tuple[str, str]]:
    """The lines that differ, old beside new, where none is added."""
    lines = zip(text.splitlines(), set_value(text, key, value, "e.yaml").splitlines(), strict=True)
    return [(old, new) for old, new in lines if old != new]


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("note", "large", "note: small  # what is tried", "note: large  # what is tried"),
        ("args.width", "1e-3", "  width: 8   # eight", "  width: 1e-3   # eight"),
        ("args.aug.flip", "false", "  aug: {flip: true, crop: [1, 2]}", "  aug: {flip: false, crop: [1, 2]}"),
        ("args.aug.crop", "[3]", "  aug: {flip: true, crop: [1, 2]}", "  aug: {flip: true, crop: [3]}"),
        ("empty", "[1]", "empty:", "empty: [1]"),
        ("empty.a.b", "1", "empty:", "empty: {a: {b: 1}}"),
        ("last", "'007'", "last: x", "last: '007'"),
        ("note", "a: b # c", "note: small  # what is tried", "note: 'a: b # c'  # what is tried"),
        ("note", "it's: so", "note: small  # what is tried", "note: 'it''s: so'  # what is tried"),
        ("args.aug.flip", "a, b", "  aug: {flip: true, crop: [1, 2]}", "  aug: {flip: 'a, b', crop: [1, 2]}"),
    ],
)
def test_one_value_changes_and_every_comment_stays(key: str, value: str, old: str, new: str) -> None:
    assert changed(FULL, key, value) == [(old, new)]


@pytest.mark.parametrize(
    ("key", "after", "line"),
    [
        ("args.lr", "  aug: {flip: true, crop: [1, 2]}", "  lr: 0.1"),
        ("more", "last: x", "more: 0.1"),
        ("more.deep", "last: x", "more: {deep: 0.1}"),
    ],
)
def test_a_new_key_stands_below_the_last_one_of_its_mapping(key: str, after: str, line: str) -> None:
    lines = set_value(FULL, key, "0.1", "e.yaml").splitlines()
    assert lines[lines.index(after) + 1] == line
    assert [other for other in lines if other != line] == FULL.splitlines()


def test_a_new_key_in_braces_stands_before_the_closing_one() -> None:
    assert set_value("args: {}\n", "args.lr", "1", "e.yaml") == "args: {lr: 1}\n"
    assert (
        set_value("args: {a: 1,  # one\n  }\n", "args.b", "2", "e.yaml") == "args: {a: 1, b: 2,  # one\n  }\n"
    )


def test_what_is_written_on_several_lines_is_replaced_whole() -> None:
    assert set_value(FULL, "seeds", "[7]", "e.yaml") == FULL.replace("\n- 0\n# and one more\n- 1", " [7]")
    assert set_value(FULL, "text", "short", "e.yaml") == FULL.replace("|\n  several\n  lines", "short")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("note.x", "1", r"note: small, and note.x asks for a mapping\n.*write it whole: note=\{x: …\}"),
        ("note", "two\nlines", "cannot be set to"),
        ("a key: odd", "1", "edit the file by hand"),
    ],
)
def test_what_cannot_be_written_is_refused(key: str, value: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        set_value(FULL, key, value, "e.yaml")


def test_text_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"e.yaml line 2: did not find"):
        set_value("a: [1", "b", "1", "e.yaml")


WORDS = st.text("abcxyz", min_size=1, max_size=4)
SCALARS = st.one_of(
    st.integers(), st.booleans(), st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
)
TREES = st.dictionaries(WORDS, st.recursive(SCALARS, lambda inner: st.dictionaries(WORDS, inner, max_size=3)))


@settings(max_examples=50, deadline=None)
@given(TREES.filter(bool), WORDS, st.one_of(st.integers(-99, 99), st.text("ab #:,[]{}'\"-", min_size=1)))
def test_any_value_reads_back_and_nothing_else_changes(tree: dict[str, Any], key: str, value: object) -> None:
    spelled = str(value)
    text = dump_yaml(tree)
    try:
        after = set_value(text, key, spelled, "e.yaml")
    except ManifestError:
        assert isinstance(value, str)  # brackets and quotes that YAML reads as such may be refused
        return
    assert {**parse_yaml(after, "e.yaml").plain, key: None} == {**parse_yaml(text, "e.yaml").plain, key: None}
    if isinstance(value, int):
        assert parse_yaml(after, "e.yaml").plain[key] == value
