from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError
from kagkit.metrics import map_at_k
from tests.metric_examples import table

BOUNDED = settings(max_examples=20, deadline=None)


def score_one(true: object, ranked: object, k: int) -> float:
    return map_at_k(table(y=[true]), table(y=[ranked]), "id", k=k)


@pytest.mark.parametrize(
    ("true", "ranked", "k", "expected"),
    [
        ("a", "a", 5, 1),
        ("a", "b a", 5, 1 / 2),
        ("a", "b c a", 2, 0),
        ("a", "a a a", 5, 1),
        ("a", "b b a", 5, 1 / 3),
        ("a b", "a x b", 5, (1 + 2 / 3) / 2),
        ("a b c", "a b", 2, 1),
        ("a b c", "a", 5, 1 / 3),
        ("a a b", "a b", 5, 1),
        ("a", "", 5, 0),
        ("a", None, 5, 0),
        (None, "a", 5, 0),
        ("", None, 5, 0),
        (7, "7", 5, 1),
        (7.0, "1 7", 5, 1 / 2),
    ],
)
def test_average_precision_at_k_by_hand(true: object, ranked: object, k: int, expected: float) -> None:
    assert score_one(true, ranked, k) == pytest.approx(expected)


@BOUNDED
@given(st.sets(st.integers(0, 6), min_size=1), st.permutations(range(7)), st.integers(1, 8))
def test_average_precision_at_k_is_the_mean_precision_at_the_hits(true: Any, ranked: Any, k: int) -> None:
    hits = [label in true for label in ranked[:k]]
    precisions = [sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits) if hit]
    one, other = (" ".join(map(str, labels)) for labels in (true, ranked))
    assert score_one(one, other, k) == pytest.approx(sum(precisions) / min(len(true), k))


def test_rows_and_columns_are_averaged() -> None:
    solution, submission = table(p=["a", "a"], q=["b", "b"]), table(p=["a", "x"], q=["x b", "b"])
    assert map_at_k(solution, submission, "id") == pytest.approx((1 + 0 + 1 / 2 + 1) / 4)


@pytest.mark.parametrize("k", [0, -1, 2.5])
def test_k_is_a_whole_number_above_zero(k: Any) -> None:
    with pytest.raises(ManifestError, match=f"metric.args.k: {k}; expected a whole number above 0"):
        score_one("a", "a", k)
