from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kagkit.judgement.comparison import compare_table, judge_board, with_shakes
from kagkit.judgement.finals import propose_finals
from kagkit.judgement.forecast import Evidence, expected_best, forecast_private
from tests.boards import board, judged, noises
from tests.terminal import kagkit
from tests.test_scoretable import STAGE_ONE, STAGE_TWO


def picks(*columns: object, **facts: object) -> list[str]:
    return [pick.run for pick in propose_finals(judged(*columns, **facts)).picks]


def test_from_scores_alone_the_best_cv_and_the_best_public_score_of_the_better_half() -> None:
    cv, public = [0.86, 0.85, 0.84, 0.80, 0.79, 0.78], [0.80, 0.79, 0.82, 0.77, 0.90, 0.75]
    assert picks(cv, public) == ["a/1", "c/1"]
    assert picks([-value for value in cv], [-value for value in public], greater_is_better=False) == [
        "a/1",
        "c/1",
    ]


def test_where_public_scores_mean_nothing_cv_chooses_both(tmp_path: Path) -> None:
    path = tmp_path / "cvlb.csv"
    path.write_text(STAGE_TWO)
    proposal = propose_finals(compare_table(path, greater_is_better=False))
    assert [pick.run for pick in proposal.picks] == ["retrained", "with stage 1 test, bag"]
    assert proposal.rejected_default is not None
    assert proposal.rejected_default["runs"] == ["with stage 1 test, bag", "without, bag"]


def test_a_lucky_public_score_is_weighed_by_its_noise() -> None:
    cv, public = [0.86, 0.85, 0.80, 0.79], [0.80, 0.79, 0.76, 0.83]
    noisy, sharp = noises(4, 0.002, 0.5), noises(4, 0.3, 0.002)
    assert picks(cv, public, noise=noisy) == ["a/1", "b/1"]
    assert "d/1" in picks(cv, public, noise=sharp)


def test_reasons_and_the_host_s_own_choice_are_in_words() -> None:
    cv, public = [0.86, 0.85, 0.80, 0.79], [0.80, 0.79, 0.76, 0.83]
    proposal = propose_finals(judged(cv, public, noise=noises(4, 0.002, 0.5)), "titanic")
    assert proposal.picks[0].why.startswith("best expected private score, 0.")
    assert "with errors of its own" in proposal.picks[1].why
    assert proposal.rejected_default is not None
    assert proposal.rejected_default["runs"] == ["d/1", "a/1"]
    assert proposal.where == "select both by hand: https://www.kaggle.com/competitions/titanic/submissions"
    assert set(json.loads(json.dumps(proposal.as_json()))) >= {"picks", "rejected_default", "alarms"}


def test_what_was_never_submitted_is_told() -> None:
    proposal = propose_finals(judged([0.86, 0.85], [None, 0.8], noise=noises(2, 0.002, 0.02)))
    (alarm,) = [alarm for alarm in proposal.alarms if alarm.kind == "unsubmitted"]
    assert alarm.text.startswith("a/1 has no public score")


def test_one_submission_is_no_pair() -> None:
    proposal = propose_finals(judged([0.86], [0.8]))
    assert [pick.run for pick in proposal.picks] == ["a/1"]
    assert proposal.how.startswith("no advice")


def test_the_expected_better_one_is_that_of_a_simulation() -> None:
    mean, covariance = np.array([0.3, 0.1]), np.array([[1.0, 0.4], [0.4, 2.0]])
    drawn = np.random.default_rng(0).multivariate_normal(mean, covariance, 200_000)
    assert expected_best(mean, covariance, 0, 1) == pytest.approx(drawn.max(axis=1).mean(), abs=0.01)


def test_forecasts_lie_between_cv_and_public_and_cover_what_comes() -> None:
    chance, inside = np.random.default_rng(1), 0
    for _ in range(60):
        skill = 0.01 * chance.normal(size=8)
        eye = np.eye(8)
        cv = skill + 0.003 * chance.normal(size=8)
        public = skill - 0.1 + 0.01 * chance.normal(size=8)
        private = skill - 0.1 + 0.003 * chance.normal(size=8)
        found = forecast_private(Evidence(cv, public, 9e-6 * eye, 1e-4 * eye, 9e-6 * eye))
        sd = np.sqrt(np.diag(found.covariance))
        inside += int((np.abs(private - found.mean) < 1.645 * sd).sum())
        assert found.weight_cv > found.weight_public
    assert 0.8 < inside / 480 < 0.97


def test_the_private_board_is_simulated_and_compared_with_what_happened() -> None:
    cv, public = [0.86, 0.85, 0.80, 0.70], [0.80, 0.79, 0.74, 0.64]
    before = with_shakes(judge_board(board(cv, public, noise=noises(4, 0.01, 0.03)), "toy"))
    shakes = {row.run: row.shake for row in before.rows}
    assert shakes["a/1"] is not None
    assert shakes["d/1"] is not None
    assert shakes["a/1"].score[0] < 0.80 < shakes["a/1"].score[1]
    assert (shakes["d/1"].rank, shakes["d/1"].ended) == ((4, 4), None)
    assert "move by up to" in before.shake
    private = [0.79, 0.80, 0.74, 0.64]
    after = with_shakes(judge_board(board(cv, public, private, noise=noises(4, 0.01, 0.03)), "toy"))
    assert [row.shake and row.shake.ended for row in after.rows] == [2, 1, 3, 4]
    assert "4 of 4 private scores ended inside their 90 % interval" in after.shake


def test_a_loss_shakes_as_its_negative_does() -> None:
    cv, public = [0.86, 0.85, 0.80], [0.80, 0.79, 0.74]
    noise = noises(3, 0.01, 0.03)
    up = with_shakes(judge_board(board(cv, public, noise=noise), "toy")).rows[0].shake
    lost = [[-value for value in column] for column in (cv, public)]
    down = with_shakes(judge_board(board(*lost, noise=noise, greater_is_better=False), "toy")).rows[0].shake
    assert up is not None
    assert down is not None
    assert down.score == pytest.approx((-up.score[1], -up.score[0]))
    assert down.rank == up.rank


def test_too_little_is_known_for_a_shake_up() -> None:
    assert with_shakes(judged([0.8, 0.7], [0.8, 0.7])).shake.startswith("no shake-up")


def test_the_command_proposes_two_lines_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "cvlb.csv").write_text(STAGE_ONE)
    ended = kagkit(tmp_path, "finals", "--table", "cvlb.csv", "--lower-is-better")
    assert ended.out.startswith("1. two bags: best CV")
    told = kagkit(tmp_path, "finals", "--table", "cvlb.csv", "--lower-is-better", "--json").json
    assert [set(pick) for pick in told["picks"]] == [{"run", "submission", "why"}] * 2
