from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.data.combining import combine, concatenate
from kagkit.data.keys import text_keys
from kagkit.data.predictions import Predictions, write
from kagkit.foundation.errors import DataError, ManifestError, RunError

KEYS = ["a", "b", "c", "d"]


def member(folder: Path, values: Any, keys: list[Any] | None = None, name: str = "") -> Predictions:
    keys = KEYS if keys is None else keys
    names = ["study", "slice"] if keys and isinstance(keys[0], tuple) else ["id"]
    path = folder / f"m{len(list(folder.iterdir()))}"
    write(path, iter([(keys, values)]), text_keys(keys, names), key_names=names)
    return Predictions.open(path, name=name or path.name)


def combined(folder: Path, members: list[Predictions], how: Any = "mean") -> Predictions:
    combine(folder / "out", members, how)
    return Predictions.open(folder / "out")


def test_folds_become_the_out_of_fold_predictions_of_a_seed(tmp_path: Path) -> None:
    masks = np.arange(16, dtype=np.float16).reshape(4, 2, 2)
    folds = [member(tmp_path, masks[:1], ["a"]), member(tmp_path, masks[1:], ["c", "d", "b"])]
    concatenate(tmp_path / "oof", folds)
    oof = Predictions.open(tmp_path / "oof")
    assert oof.keys.tolist() == ["a", "c", "d", "b"]
    np.testing.assert_array_equal(oof.array("prediction"), masks)


def test_a_fold_without_entries_takes_the_type_of_the_others(tmp_path: Path) -> None:
    folds = [
        member(tmp_path, [np.zeros((0, 4))], ["a"]),
        member(tmp_path, [np.ones((1, 4), np.float32)], ["b"]),
    ]
    concatenate(tmp_path / "oof", folds)
    assert [len(boxes) for boxes in Predictions.open(tmp_path / "oof").ragged("prediction", ["b", "a"])] == [
        1,
        0,
    ]


def test_a_key_in_two_folds_is_refused(tmp_path: Path) -> None:
    folds = [member(tmp_path, np.zeros(2), ["a", "b"]), member(tmp_path, np.zeros(2), ["b", "c"])]
    with pytest.raises(DataError, match=r"keys in two members \(1\): b"):
        concatenate(tmp_path / "oof", folds)
    assert not (tmp_path / "oof").exists()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_mean_is_joined_by_key_whatever_the_order_of_the_rows(data: st.DataObject) -> None:
    keys = [("a", "1"), ("a", "01"), ("b", "1"), ("画", "NA")]
    shape = data.draw(st.sampled_from([(), (3,), (2, 2)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = [rng.random((4, *shape), dtype=np.float32) for _ in range(3)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        members = []
        for own in values:
            order = data.draw(st.permutations(range(4)))
            members.append(member(folder, own[order], [keys[place] for place in order]))
        mean = combined(folder, members).array("prediction", keys)
    total = np.zeros((4, *shape))
    for own in values:
        total += own.astype(np.float64)
    np.testing.assert_array_equal(mean, (total / 3).astype(np.float32))
    assert mean.dtype == np.float32


def test_the_mean_is_taken_in_chunks_without_a_difference(tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(60)]
    values = np.random.default_rng(0).random((2, 60, 256, 256), dtype=np.float32)
    members = [member(tmp_path, values[0], keys), member(tmp_path, values[1][::-1], keys[::-1])]
    assert members[0].chunk_rows < 40
    mean = combined(tmp_path, members).array("prediction", keys)
    np.testing.assert_array_equal(mean, values.astype(np.float64).mean(axis=0).astype(np.float32))


@pytest.mark.parametrize(
    ("given_type", "kept"),
    [
        (np.float16, "float16"),
        (np.float64, "float64"),
        (np.uint8, "float32"),
        (np.int64, "float64"),
        (bool, "float32"),
    ],
)
def test_floats_keep_their_type_and_whole_numbers_become_floats(
    tmp_path: Path, given_type: Any, kept: str
) -> None:
    members = [member(tmp_path, np.array(row, given_type)) for row in ([0, 1, 1, 0], [0, 1, 0, 0])]
    mean = combined(tmp_path, members).array("prediction")
    assert (mean.dtype, mean.tolist()) == (np.dtype(kept), [0, 1, 0.5, 0])


def test_rank_mean_shares_tied_ranks_and_is_the_same_for_any_scale(tmp_path: Path) -> None:
    members = [
        member(tmp_path, np.array([0.1, 0.9, 0.4, 0.4])),
        member(tmp_path, np.array([5.0, 70.0, 6.0, 7.0])),
    ]
    assert combined(tmp_path, members, "rank_mean").array("prediction").tolist() == [
        0.25,
        1.0,
        0.5625,
        0.6875,
    ]


def test_ranks_of_half_floats_are_not_rounded_to_half_floats(tmp_path: Path) -> None:
    keys = [str(number) for number in range(5000)]
    values = np.linspace(0, 60_000, 5000).astype(np.float16)
    ranks = combined(tmp_path, [member(tmp_path, values, keys) for _ in range(2)], "rank_mean").array(
        "prediction"
    )
    assert len(np.unique(ranks)) == len(np.unique(values))


def test_members_that_lack_keys_are_named(tmp_path: Path) -> None:
    members = [
        member(tmp_path, np.zeros(3), ["a", "b", "c"], "seed 0"),
        member(tmp_path, np.zeros(2), ["d", "c"], "seed 1"),
    ]
    with pytest.raises(DataError) as caught:
        combine(tmp_path / "out", members, "mean")
    assert [str(problem).split(";")[0] for problem in caught.value.problems] == [
        "member 1 (seed 0): lacks 1 of 4 keys: d",
        "member 2 (seed 1): lacks 2 of 4 keys: a, b",
    ]
    assert not (tmp_path / "out").exists()


def test_members_that_differ_in_columns_types_or_keys_are_named(tmp_path: Path) -> None:
    members = [
        member(tmp_path, np.zeros(1), ["a"]),
        member(tmp_path, np.zeros(1, np.float32), ["a"]),
        member(tmp_path, {"q": np.zeros(1)}, ["a"]),
        member(tmp_path, np.zeros(1), [("a", "1")]),
    ]
    with pytest.raises(DataError) as combining:
        combine(tmp_path / "out", members, "mean")
    with pytest.raises(DataError) as concatenating:
        concatenate(tmp_path / "out", members)
    for caught in (combining, concatenating):
        found = [problem.found for problem in caught.value.problems]
        assert found == ["prediction is float32", "has q", "its key is study, slice"]


@pytest.mark.parametrize(
    ("values", "how", "told", "hint"),
    [
        (["x"] * 4, "mean", "text cannot be combined by mean", "write combine: module:function"),
        (
            [np.ones((1, 4))] * 4,
            "mean",
            r"list<float64\[4\]> cannot be combined by mean",
            "combine: mean, fit: both",
        ),
        (np.zeros((4, 2)), "rank_mean", r"float64\[2\] cannot be combined by rank_mean", "combine: mean"),
    ],
)
def test_what_cannot_be_combined_so_is_told_a_way_that_leads_on(
    tmp_path: Path, values: Any, how: str, told: str, hint: str
) -> None:
    members = [member(tmp_path, values), member(tmp_path, values)]
    with pytest.raises(DataError, match=rf"{told}.*\n.*hint: {hint}"):
        combine(tmp_path / "out", members, how)


def test_a_function_gets_tables_in_one_order(tmp_path: Path) -> None:
    members = [
        member(tmp_path, np.array([1.0, 2, 3, 4])),
        member(tmp_path, np.array([8.0, 7, 6, 5]), KEYS[::-1]),
    ]

    def largest(parts: list[pd.DataFrame]) -> pd.DataFrame:
        assert [part.index.tolist() for part in parts] == [KEYS, KEYS]
        return pd.concat(parts).groupby(level=0).max()[::-1]

    assert combined(tmp_path, members, largest).array("prediction", KEYS).tolist() == [5.0, 6.0, 7.0, 8.0]


def test_a_function_that_drops_rows_is_refused(tmp_path: Path) -> None:
    members = [member(tmp_path, np.zeros(4)), member(tmp_path, np.zeros(4))]
    with pytest.raises(RunError, match="no prediction for 1 of 4 rows: d"):
        combine(tmp_path / "out", members, lambda parts: parts[0].iloc[:3])


def test_a_function_cannot_be_given_arrays(tmp_path: Path) -> None:
    members = [member(tmp_path, np.zeros((4, 2))), member(tmp_path, np.zeros((4, 2)))]
    with pytest.raises(
        DataError, match=r"float64\[2\] cannot be combined by a function; expected one value a row"
    ):
        combine(tmp_path / "out", members, lambda parts: parts[0])


@pytest.mark.parametrize("values", [np.array([3, 1, 2, 2]), ["x"] * 4, [np.zeros((0, 4), np.float16)] * 4])
def test_the_mean_of_a_single_member_is_the_member(tmp_path: Path, values: Any) -> None:
    only = member(tmp_path, values)
    assert combined(tmp_path, [only]).content_sha256() == only.content_sha256()


def test_one_member_is_ranked_and_given_to_a_function_like_several(tmp_path: Path) -> None:
    only, twin = (member(tmp_path, np.array([3.0, 1, 2, 2])) for _ in range(2))
    ranks = combined(tmp_path, [only], "rank_mean").array("prediction").tolist()
    assert ranks == [1.0, 0.25, 0.625, 0.625]
    assert ranks == combined(tmp_path, [only, twin], "rank_mean").array("prediction").tolist()

    def mean_less_one(parts: list[pd.DataFrame]) -> pd.DataFrame:
        mean: pd.DataFrame = sum(parts[1:], parts[0]) / len(parts) - 1
        return mean

    assert combined(tmp_path, [only], mean_less_one).array("prediction").tolist() == [2.0, 0.0, 1.0, 1.0]


def test_combining_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    members = [member(tmp_path, np.random.default_rng(seed).random(4)) for seed in range(3)]
    assert combine(tmp_path / "one", members, "mean") == combine(tmp_path / "two", members, "mean")


@pytest.mark.parametrize(
    ("how", "told"), [("median", "no way median"), ("rank_means", "did you mean rank_mean")]
)
@pytest.mark.parametrize("count", [1, 2])
def test_a_way_that_there_is_not_is_refused(tmp_path: Path, how: str, told: str, count: int) -> None:
    members = [member(tmp_path, np.zeros(4)) for _ in range(count)]
    with pytest.raises(ManifestError, match=told):
        combine(tmp_path / "out", members, how)


def test_no_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="members: none; expected at least one"):
        combine(tmp_path / "out", [], "mean")
