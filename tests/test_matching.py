from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError, SubmissionError
from kagkit.metrics.matching import THRESHOLDS, Pairing, Rating, count_hits, f2, precision, rate_images

BOUNDED = settings(max_examples=20, deadline=None)
NOTHING = Pairing(np.zeros((0, 0)), np.zeros(0))


def serve_in_turn(pairing: Pairing, threshold: float) -> int:
    """The words of the hosts, one prediction after another."""
    free = set(range(len(pairing.overlap)))
    for guess in np.argsort(-pairing.confidence):
        fitting = [true for true in free if pairing.overlap[true, guess] > threshold]
        if fitting:
            free.remove(max(fitting, key=lambda true: pairing.overlap[true, guess]))
    return len(pairing.overlap) - len(free)


@BOUNDED
@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.5, 0.75]))
def test_predictions_are_served_by_falling_confidence(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    pairing = Pairing(rng.random(rng.integers(0, 5, 2)), np.zeros(0))
    pairing = Pairing(pairing.overlap, rng.permutation(pairing.overlap.shape[1]) / 10)
    assert count_hits(pairing, [threshold]) == serve_in_turn(pairing, threshold)


def test_the_surer_prediction_takes_an_object_from_the_better_one() -> None:
    overlap = np.array([[0.6, 0.9]])
    for confidence in ([0.9, 0.1], [0.1, 0.9], [0.5, 0.5]):
        assert count_hits(Pairing(overlap, np.array(confidence)), [0.5]) == 1
    crossing = np.array([[0.6, 0.9], [0.55, 0.0]])
    assert count_hits(Pairing(crossing, np.array([0.9, 0.1])), [0.5]) == 1
    assert count_hits(Pairing(crossing, np.array([0.1, 0.9])), [0.5]) == 2


def test_an_overlap_of_the_threshold_itself_is_no_hit() -> None:
    pairing = Pairing(np.array([[0.75]]), np.ones(1))
    assert count_hits(pairing, [0.7, 0.75, 0.8]).tolist() == [1, 0, 0]


@BOUNDED
@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_rates_are_what_hosts_write_down(hits: int, missed: int, invented: int) -> None:
    if hits + missed + invented == 0:
        return
    counts = np.array([float(hits)]), hits + missed, hits + invented
    assert f2(*counts)[0] == pytest.approx(5 * hits / (5 * hits + 4 * missed + invented))
    assert precision(*counts)[0] == pytest.approx(hits / (hits + missed + invented))


@pytest.mark.parametrize("rate", [f2, precision])
def test_images_without_objects(rate: object) -> None:
    invented, missed = Pairing(np.zeros((0, 2)), np.ones(2)), Pairing(np.zeros((1, 0)), np.zeros(0))
    images = {"both empty": NOTHING, "invented": invented, "missed": missed}
    rates = rate_images(images, Rating("rate", rate), "id")["rate"]  # type: ignore[arg-type]
    assert rates.to_dict() == {"both empty": 1, "invented": 0, "missed": 0}
    left = rate_images(images, Rating("rate", rate, both_empty=None), "id")  # type: ignore[arg-type]
    assert left.index.tolist() == ["invented", "missed"]


def test_images_that_are_all_left_out_are_refused() -> None:
    with pytest.raises(SubmissionError, match="no image has an object, here or in the submission"):
        rate_images({"a": NOTHING}, Rating("f2", f2, both_empty=None), "id")


def test_the_thresholds_are_those_of_airbus() -> None:
    assert pytest.approx(np.arange(0.5, 1, 0.05)) == THRESHOLDS


@pytest.mark.parametrize("thresholds", [[], [1.0], [0.5, -0.1]])
def test_thresholds_are_below_one(thresholds: list[float]) -> None:
    with pytest.raises(
        ManifestError, match=r"metric.args.thresholds: .*; expected numbers from 0 to below 1"
    ):
        rate_images({"a": NOTHING}, Rating("f2", f2, thresholds), "id")
