from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError
from kagkit.foundation.strictyaml import Node, dump_yaml, parse_yaml, read_yaml


def value_of(text: str) -> Any:
    return parse_yaml(f"key: {text}", "exp.yaml").plain["key"]


def refusal(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        parse_yaml(text, "exp.yaml")
    return str(caught.value)


# --- scalars as people write them ---


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("1e+5", 1e5),
        (".5", 0.5),
        ("-.5e1", -5.0),
        ("5.", 5.0),
        ("1.10", 1.1),
        ("0", 0),
        ("+3", 3),
        ("-12", -12),
        ("1e-300", 1e-300),
        ("12345678901234567890", 12345678901234567890),
    ],
)
def test_a_number_is_read_as_people_write_it(text: str, number: float) -> None:
    assert value_of(text) == number
    assert type(value_of(text)) is type(number)


NO_NUMBERS = "no on yes off NO TRUE 007 00 -007 01.5 1.2.3 1:30 1_000 0x1F 0o17 1e e5 . + 1e999 .inf .nan"
DATES = ["2019-10-01", "2019-10-01T10:00:00Z", "2019-10-01 10:00:00"]


@pytest.mark.parametrize("text", [*NO_NUMBERS.split(), *DATES, "9" * 200, "\uff11\uff12"])
def test_what_is_no_plain_number_stays_text(text: str) -> None:
    assert value_of(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("false", False),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_only_true_false_and_null_are_words_of_their_own(text: str, value: bool | None) -> None:
    assert value_of(text) is value


@pytest.mark.parametrize("text", ['"1e-3"', "'true'", '"007"', "'~'", '""', "|-\n  12"])
def test_quotes_and_blocks_make_text(text: str) -> None:
    assert isinstance(value_of(text), str)


def test_every_scalar_keeps_its_spelling_and_the_line_of_its_key() -> None:
    tree = parse_yaml("version: 1.10\nargs:\n  lr: 1e-3\n  sizes:\n    - 007\n    - 8", "exp.yaml")
    assert tree.value["version"] == Node(1.1, 1, "1.10")
    args = tree.value["args"]
    assert args.line == 2
    assert args.value["lr"] == Node(0.001, 3, "1e-3")
    assert args.value["sizes"] == Node([Node("007", 5, "007"), Node(8, 6, "8")], 4)


# --- what is refused ---


def test_a_key_that_stands_twice_is_refused_with_both_lines() -> None:
    assert refusal("seeds: [0]\nnote: x\nseeds: [1]\nargs: {lr: 1, lr: 2}") == (
        "exp.yaml: 2 problems\n"
        "  exp.yaml line 3: seeds: the key stands twice (line 1 too); expected once\n"
        "  exp.yaml line 4: lr: the key stands twice (line 4 too); expected once"
    )


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("!!python/object/apply:os.system [touch pwned]", "!!python/object/apply:os.system"),
        ("!!python/name:os.system", "!!python/name:os.system"),
        ("!!float 3", "!!float"),
        ("!!str 3", "!!str"),
        ("!!binary aGk=", "!!binary"),
        ("!!set {a, b}", "!!set"),
        ("!mine {a: 1}", "!mine"),
        ("! 3", "!"),
    ],
)
def test_a_tag_is_refused_and_explained(text: str, tag: str) -> None:
    message = refusal(f"note: x\nkey: {text}")
    assert f"exp.yaml line 2: {tag}: tags can run code and are not read" in message
    assert "hint: write the plain value" in message


def test_a_tag_and_a_doubled_key_are_told_together() -> None:
    message = refusal("a: !!float 1\nb: 1\nb: 2")
    assert "line 1: !!float" in message
    assert "line 3: b: the key stands twice" in message


def test_a_tagged_key_is_refused_too() -> None:
    assert "line 1: !!python/name:os.system: tags" in refusal("? !!python/name:os.system x\n: 1")


def test_aliases_are_refused_before_they_blow_up() -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]
    message = refusal("\n".join(["l0: &l0 [lol]", *levels]))
    assert "exp.yaml line 2: *l0: aliases are not read" in message
    assert "hint: write the value out" in message


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "{a: " * 60, "- " * 60 + "x", "? " * 60])
def test_depth_is_refused(text: str) -> None:
    assert "nested more than 50 levels deep" in refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n\tb: 2", "exp.yaml line 2: "),
        ("a:\n\t- 1", "line 2: found character that cannot start any token"),
        ("a: [1,\nb: 2\n", r"flow sequence, line 1)"),
        ('a: 1\nb: "x\nc: 1\n', "found unexpected end of stream (while scanning a quoted scalar, line 2)"),
        ("a: b: c", "line 1: mapping values are not allowed in this context"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: \x00", "unacceptable character #x0000"),
        ("[a]: 1", "line 1: a key that is a list or mapping; expected a word"),
    ],
)
def test_what_is_not_yaml_is_told_with_its_line(text: str, message: str) -> None:
    assert message in refusal(text)


@pytest.mark.parametrize("text", ["- a\n- b", "just words", "12"])
def test_the_top_of_a_file_is_a_mapping(text: str) -> None:
    assert "line 1: not a mapping; expected `key: value` lines" in refusal(text)


# --- files ---


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_a_file_that_says_nothing_is_an_empty_mapping(text: str) -> None:
    assert parse_yaml(text, "exp.yaml").plain == {}


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "exp.yaml"
    path.write_bytes(b"\xef\xbb\xbfkagkit: 1\r\nnote: x\r\nargs:\r\n  lr: 1e-3\r\n")
    tree = read_yaml(path, "exp.yaml")
    assert tree.plain == {"kagkit": 1, "note": "x", "args": {"lr": 0.001}}
    assert tree.value["args"].value["lr"].line == 4


def test_japanese_keys_and_values_are_read(tmp_path: Path) -> None:
    path = tmp_path / "exp.yaml"
    path.write_text("メモ: 学習率を下げた\n引数: {画像: [猫, 犬]}\n", encoding="utf-8")
    assert read_yaml(path, "exp.yaml").plain == {"メモ": "学習率を下げた", "引数": {"画像": ["猫", "犬"]}}


@pytest.mark.parametrize(("encoding", "byte"), [("shift_jis", 6), ("utf-16", 0)])
def test_another_encoding_is_refused_with_the_byte(encoding: str, byte: int, tmp_path: Path) -> None:
    path = tmp_path / "exp.yaml"
    path.write_bytes("note: 猫\n".encode(encoding))
    with pytest.raises(ManifestError, match=f"byte {byte} is not UTF-8\n.*hint: save the file as UTF-8"):
        read_yaml(path, "exp.yaml")


def test_a_missing_file_or_a_folder_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"^exp\.yaml: no such file$"):
        read_yaml(tmp_path / "exp.yaml", "exp.yaml")
    with pytest.raises(ManifestError, match=r"^exp\.yaml is a folder, not a file$"):
        read_yaml(tmp_path, "exp.yaml")
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match=r"^exp\.yaml cannot be read: Not a directory$"):
        read_yaml(tmp_path / "file" / "exp.yaml", "exp.yaml")


# --- properties ---


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.from_regex(r"[-+]?[0-9.]{1,4}([eE][-+]?[0-9]{1,3})?", fullmatch=True)
    | st.sampled_from(
        ["no", "true", "~", "007", "1e-3", "2019-10-01", "<<", "=", "*a", "&a", "!a", "a: b", "- a"]
    )
)
plain_data = st.dictionaries(
    st.text(max_size=8) | st.sampled_from(["on", "1e5", "~"]),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(plain_data)
def test_plain_data_comes_back_from_yaml_as_it_was(data: dict[str, Any]) -> None:
    text = dump_yaml(data, header="written by a test\nin two lines")
    assert repr(parse_yaml(text, "exp.yaml").plain) == repr(data)


def test_a_list_used_twice_is_written_out_twice() -> None:
    sizes = [1, 2]
    text = dump_yaml({"a": sizes, "b": sizes})
    assert parse_yaml(text, "exp.yaml").plain == {"a": [1, 2], "b": [1, 2]}


def test_what_is_written_keeps_its_order_and_stays_readable() -> None:
    assert dump_yaml({"b": 1, "a": "猫", "c": ["1e-3", "x"]}, "made by kagkit") == (
        "# made by kagkit\nb: 1\na: 猫\nc:\n- '1e-3'\n- x\n"
    )


snippets = st.lists(
    st.sampled_from(
        [*"abc019:-[]{},#&*!|>'\"%@`~?.\n\t ", ": ", "- ", "\n  ", "---", "...", "!!", "<<", "\r"]
    )
    | st.characters(codec="utf-8"),
    max_size=30,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(snippets | st.text(max_size=30))
@example("%YAML 9.9\n--- a")
@example("%TAG ! tag:yaml.org,2002:python/\n---\na: !name:os.system")
@example("a: !<tag:yaml.org,2002:int> x")
@example("\ufeffa: 1")
def test_any_text_gives_a_tree_or_our_error(text: str) -> None:
    try:
        told: Any = parse_yaml(text, "exp.yaml").plain
    except ManifestError as error:
        told = {problem.where.rpartition(" ")[0] for problem in error.problems}
    assert isinstance(told, dict) or told == {"exp.yaml line"}


@settings(max_examples=100, deadline=None)
@given(st.text("012.eE+", min_size=1, max_size=5))
@example("1e+5")
def test_a_number_is_what_python_calls_one_without_a_leading_zero(text: str) -> None:
    whole = text.removeprefix("+")
    try:
        expected: float | str = float(text)
    except ValueError:
        expected = text
    if whole[:1] == "0" and whole[1:2].isdigit():
        expected = text
    assert value_of(text) == expected
