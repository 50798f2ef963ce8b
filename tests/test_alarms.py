from __future__ import annotations

import numpy as np
import pytest

from kagkit.judgement.agreement import find_unlike, is_sure, measure_offset, student_quantile
from tests.boards import judged, kinds, noises

RISING = [0.80, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87]
BELOW = [0.782, 0.789, 0.802, 0.809, 0.821, 0.829, 0.842, 0.849]


def test_scores_in_order_raise_no_alarm() -> None:
    compared = judged(RISING, BELOW)
    assert (kinds(compared), compared.reading) == (set(), "LB tracks CV: Spearman 1.00 over 8 rows")
    assert {row.verdict for row in compared.rows} == {"best CV, LB fits", "LB fits"}


def test_a_gap_unlike_the_others_is_named() -> None:
    compared = judged(RISING, [*BELOW[:3], 0.75, *BELOW[4:]])
    (alarm,) = [alarm for alarm in compared.alarms if alarm.kind == "gap"]
    assert alarm.runs == ("d/1",)
    assert alarm.text.startswith("d/1: public 0.75 where the other 7 rows let expect 0.8")
    assert "its CV is too good" in alarm.text
    assert {row.run: row.verdict for row in compared.rows}["d/1"] == "odd gap"


def test_a_gap_in_our_favour_is_told_as_such() -> None:
    (alarm,) = [a for a in judged(RISING, [*BELOW[:3], 0.95, *BELOW[4:]]).alarms if a.kind == "gap"]
    assert "its CV is too low" in alarm.text


def test_five_rows_are_too_few_for_an_odd_gap() -> None:
    assert "gap" not in kinds(judged(RISING[:5], [*BELOW[:4], 0.5]))


def test_odd_gaps_are_found_in_one_sound_table_of_twenty() -> None:
    chance = np.random.default_rng(0)
    false = 0
    for trial in range(400):
        rows = 6 + trial % 10
        cv = chance.normal(size=rows)
        false += bool(find_unlike(cv.tolist(), (0.9 * cv + 0.3 + 0.2 * chance.normal(size=rows)).tolist()))
    assert false / 400 < 0.08


def test_an_inversion_beyond_noise_is_named_and_one_within_is_not() -> None:
    cv, public = [0.90, 0.85], [0.80, 0.86]
    compared = judged(cv, public, noise=noises(2, 0.02, 0.05))
    (alarm,) = [alarm for alarm in compared.alarms if alarm.kind == "inversion"]
    assert "a/1 is better than b/1 by CV (0.05 = " in alarm.text
    assert "inversion" not in kinds(judged(cv, public, noise=noises(2, 0.02, 0.5)))
    assert "inversion" not in kinds(judged(cv, public, noise=noises(2, 0.5, 0.05)))


def test_a_gain_on_the_leaderboard_within_noise_is_weighed_by_the_paired_sd() -> None:
    cv, public = [0.95, 0.85, 0.93], [0.80, 0.70, 0.805]
    compared = judged(cv, public, noise=noises(3, 0.02, 0.05))
    (alarm,) = [alarm for alarm in compared.alarms if alarm.kind == "lb_gain"]
    assert "LB gain within noise: c/1 over a/1, the best CV, by 0.005 = " in alarm.text
    assert "best of 3: 3 sd needed, 100 public rows" in alarm.text
    assert "lb_gain" not in kinds(judged(cv, public, noise=noises(3, 0.02, 0.005)))


def test_a_leak_is_suspected_where_cv_is_far_above_the_leaderboard() -> None:
    compared = judged([0.99, 0.82], [0.80, 0.81], noise=noises(2, 0.01, 0.02))
    (alarm,) = [alarm for alarm in compared.alarms if alarm.kind == "leak"]
    assert alarm.runs == ("a/1",)
    assert "CV far above LB for a/1 (by " in alarm.text
    assert "leak?" in compared.rows[0].verdict
    assert "leak" not in kinds(judged([0.83, 0.82], [0.80, 0.81], noise=noises(2, 0.01, 0.02)))


def test_for_a_loss_far_above_is_far_below() -> None:
    assert "leak" in kinds(judged([0.1], [0.5], greater_is_better=False, noise=noises(1, 0.01, 0.02)))
    assert "leak" not in kinds(judged([0.5], [0.1], greater_is_better=False, noise=noises(1, 0.01, 0.02)))


def test_private_scores_clear_a_cv_that_only_the_public_board_belied() -> None:
    noise = noises(1, 0.01, 0.02)
    assert "leak" not in kinds(judged([0.85], [0.60], [0.85], noise=noise))


def test_without_predictions_far_is_many_times_what_varies() -> None:
    assert "leak" in kinds(judged(RISING, [value - 0.5 for value in BELOW]))
    assert "leak" not in kinds(judged(RISING, [value - 0.1 for value in BELOW]))


def test_a_board_whose_scores_spread_wildly_means_nothing() -> None:
    compared = judged([0.850, 0.851, 0.852, 0.853], [0.5, 0.9, 0.4, 0.7])
    assert kinds(compared) == {"public_board"}
    assert compared.reading == "the public board means nothing here, trust CV"
    assert {row.verdict for row in compared.rows} == {"best CV, ignore LB", "ignore LB"}


def test_a_board_that_shows_only_what_its_rows_give_by_chance_means_nothing() -> None:
    cv, public = [0.80, 0.84, 0.83, 0.82], [0.812, 0.808, 0.811, 0.809]
    (alarm,) = judged(cv, public, noise=noises(4, 0.001, 0.05)).alarms
    assert alarm.kind == "public_board"
    assert "which its 100 rows alone give equal submissions" in alarm.text
    assert "public_board" not in kinds(judged(cv, public, noise=noises(4, 0.001, 0.001)))


def test_a_direction_that_shuffling_would_improve_is_doubted() -> None:
    noise = noises(2, 0.01, 0.01, shuffled=0.5)
    assert "direction" in kinds(judged([0.8, 0.9], [0.8, 0.9], greater_is_better=False, noise=noise))
    assert "direction" not in kinds(judged([0.8, 0.9], [0.8, 0.9], noise=noise))


def test_cv_and_leaderboard_that_move_against_each_other_are_doubted() -> None:
    compared = judged(RISING, BELOW[::-1])
    assert "direction" in kinds(compared)
    assert compared.reading.startswith("CV and LB move against each other")


def test_scores_of_opposite_signs_are_doubted() -> None:
    alarms = judged([0.8, 0.9], [-0.8, -0.9]).alarms
    assert any("opposite signs" in alarm.text for alarm in alarms)


def test_a_run_is_level_with_the_best_or_behind_by_the_paired_noise() -> None:
    compared = judged([0.85, 0.849, 0.80], [None] * 3, noise=noises(3, 0.02, 0.02))
    assert [row.verdict for row in compared.rows] == ["best CV", "level with the best", "behind"]


# --- the numbers behind ---


@pytest.mark.parametrize(
    ("share", "freedom", "printed"),
    [
        (0.95, 4, 2.132),
        (0.95, 12, 1.782),
        (0.99, 4, 3.747),
        (0.99, 8, 2.896),
        (0.999, 5, 5.893),
        (0.999, 12, 3.930),
        (0.999, 30, 3.385),
    ],
)
def test_the_quantiles_of_student_are_those_of_printed_tables(
    share: float, freedom: int, printed: float
) -> None:
    assert student_quantile(share, freedom) == pytest.approx(printed, rel=0.02)


def test_a_correlation_is_sure_where_chance_rarely_gives_it() -> None:
    assert is_sure(1.0, 5)
    assert is_sure(-0.9, 6)
    assert not is_sure(1.0, 4)
    assert not is_sure(0.5, 8)
    assert not is_sure(None, 8)


def test_the_offset_is_not_moved_by_a_single_odd_row() -> None:
    sound, odd = measure_offset(RISING, BELOW), measure_offset(RISING, [*BELOW[:7], 0.3])
    assert sound is not None
    assert odd is not None
    assert sound.residual is not None
    assert odd.residual is not None
    assert odd.residual < 3 * sound.residual
    assert odd.slope == pytest.approx(sound.slope, abs=0.2)
    assert measure_offset([], []) is None


def test_of_thousands_of_rows_the_slope_is_told_at_once_and_odd_ones_do_not_move_it() -> None:
    cv = [number / 2000 for number in range(2000)]
    public = [0.5 * value + (3.0 if place % 50 == 0 else 0.0) for place, value in enumerate(cv)]
    offset = measure_offset(cv, public)
    assert offset is not None
    assert offset.slope == pytest.approx(0.5)
