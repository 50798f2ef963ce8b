from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kagkit.data import duplicates
from kagkit.data.duplicates import duplicate_images, duplicate_rows
from kagkit.data.neighbours import join_pairs, pairs_of_bits
from kagkit.data.parts import Pair
from kagkit.data.repeats import find_repeats
from kagkit.foundation.seeds import stream

NAMES = ("stage1/train", "stage1/test")


def table(start: int, rows: int = 60) -> pd.DataFrame:
    random = stream("duplicates", start)
    index = pd.Index([f"r{start + row:03d}" for row in range(rows)], name="id")
    frame = pd.DataFrame({f"x{place}": random.normal(size=rows) for place in range(6)}, index)
    return frame.assign(label=random.integers(0, 2, rows))


def pair(one: pd.DataFrame, other: pd.DataFrame) -> Pair:
    folds = pd.Series(np.arange(len(one)) % 3, one.index, name="fold")
    return Pair(NAMES, (one, other), ("label",), folds={"main": folds})


def test_nothing_stands_twice_where_nothing_does() -> None:
    found = duplicate_rows(pair(table(0), table(100)))
    assert found.compared == 120
    assert not found.groups


def test_a_row_leaked_between_folds_is_found() -> None:
    train = table(0)
    train.iloc[31] = train.iloc[3]
    train.loc["r031", "label"] = 1 - train["label"].iloc[3]
    found = duplicate_rows(pair(train, table(100)))
    assert [[member.key for member in group.members] for group in found.groups] == [["r003", "r031"]]
    group = found.groups[0]
    assert (group.kind, group.across_folds, group.across_parts) == ("exact", ("main",), False)
    assert group.unlike_labels
    assert found.counts()["across_folds"] == {"main": 1}


def test_copies_in_one_fold_are_no_leak() -> None:
    train = table(0)
    train.iloc[30] = train.iloc[3]
    group = duplicate_rows(pair(train, table(100))).groups[0]
    assert group.across_folds == ()
    assert not group.unlike_labels


def test_a_rounded_copy_with_another_value_in_one_column_is_found_across_parts() -> None:
    train, test = table(0), table(100)
    test.iloc[7] = train.iloc[5].round(4)
    test.iloc[7, 2] = 40.0
    found = duplicate_rows(pair(train, test))
    assert [(group.kind, group.across_parts) for group in found.groups] == [("near", True)]
    assert [member.part for member in found.groups[0].members] == list(NAMES)


def test_a_key_in_both_parts_is_one_row() -> None:
    train = table(0)
    assert not duplicate_rows(pair(train, train.drop(columns="label"))).groups


def test_plain_rows_that_repeat_are_said_to_do_so_by_chance() -> None:
    plain = table(0)[["label"]].assign(sex=np.arange(60) % 2, floor=np.arange(60) % 3)
    found = duplicate_rows(pair(plain, table(100).assign(sex=0, floor=9)[["label", "sex", "floor"]]))
    assert found.groups
    assert all(group.by_chance for group in found.groups)


def test_parts_that_share_nothing_say_so() -> None:
    found = duplicate_rows(pair(table(0)[["label"]], table(100)[["x0"]]))
    assert found.compared == 0
    assert "share no column" in found.why_not


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(40)), st.integers(0, 39), st.integers(0, 39))
def test_order_changes_no_group(order: list[int], copy: int, source: int) -> None:
    rows = table(0, 40).drop(columns="label")
    rows.iloc[copy] = rows.iloc[source]
    there, back = find_repeats(rows), find_repeats(rows.iloc[order])
    same = there.groups[:, None] == there.groups[None, :]
    assert (same[np.ix_(order, order)] == (back.groups[:, None] == back.groups[None, :])).all()
    assert same[copy, source]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 63), st.integers(0, 8))
def test_all_pairs_of_few_bits_are_found(values: list[int], bit: int, most: int) -> None:
    hashes = np.array([*values, *(value ^ (1 << bit) for value in values[:5])], dtype="uint64")
    found = join_pairs(pairs_of_bits(hashes, most), len(hashes))
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= most
    slow = join_pairs(np.argwhere(near), len(hashes))
    assert (found == slow).all()


def test_crowds_of_like_rows_are_counted() -> None:
    rows = table(0, 60).drop(columns="label")
    rows[["x0", "x1", "x2", "x3", "x4"]] = 1.0
    assert find_repeats(rows).crowded == 60


def picture(path: Path, seed: int) -> Image.Image:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = stream("picture", seed).integers(0, 255, (6, 6, 3)).astype("uint8")
    image = Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC)
    image.save(path)
    return image


def test_images_that_look_alike_are_found_across_folds_and_parts(tmp_path: Path) -> None:
    files = [f"images/r{number:03d}.png" for number in (0, 1, 2, 3, 100)]
    images = [picture(tmp_path / file, seed) for seed, file in enumerate(files)]
    images[0].save(tmp_path / "images/r001.png")
    images[2].resize((60, 60)).save(tmp_path / "images/r100.jpg", quality=60)
    (tmp_path / files[4]).unlink()
    (tmp_path / "images/r005.dcm").write_bytes(b"DICM")
    (tmp_path / "images/r006.png").write_bytes(b"no image")
    listed = [*files[:4], "images/r100.jpg", "images/r005.dcm", "images/r006.png"]
    found = duplicate_images(pair(table(0), table(100)), tmp_path, listed)
    assert found.compared == 5
    assert found.others == {".dcm": 1}
    assert found.unreadable == ("images/r006.png",)
    assert [(group.kind, group.across_folds, group.across_parts) for group in found.groups] == [
        ("exact", ("main",), False),
        ("near", (), True),
    ]
    assert [member.file for member in found.groups[1].members] == ["images/r002.png", "images/r100.jpg"]


def test_images_of_one_colour_are_copies_of_the_same_alone(tmp_path: Path) -> None:
    files = ["a.png", "b.png", "c.png"]
    for file, shade in zip(files, (0, 0, 200), strict=True):
        Image.new("RGB", (20, 20), (shade, shade, shade)).save(tmp_path / file)
    found = duplicate_images(pair(table(0), table(100)), tmp_path, files)
    assert [[member.file for member in group.members] for group in found.groups] == [["a.png", "b.png"]]
    assert found.without_row == 3


def test_without_the_libraries_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "can_look", lambda: False)
    found = duplicate_images(pair(table(0), table(100)), tmp_path, ["a.png"])
    assert "pip install 'kagkit[images]'" in found.why_not
