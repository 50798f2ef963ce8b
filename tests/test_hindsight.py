from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kagkit.judgement.board import Board
from kagkit.judgement.comparison import judge_board
from kagkit.judgement.descent import Descent
from kagkit.judgement.hindsight import judge_choices, judge_decisions
from tests.boards import board, noises


def child(shown: Board, **descents: str) -> Board:
    """The board, some runs made from others."""
    rows = tuple(
        replace(row, descent=Descent(f"{descents[row.experiment]}/1", {"args.lr": (0.1, 0.2)}, ()))
        if row.experiment in descents
        else row
        for row in shown.rows
    )
    return replace(shown, rows=rows)


@pytest.mark.parametrize(
    ("cv", "private", "outcome"),
    [
        (0.9, 0.8, "paid off"),
        (0.9, 0.6, "cost, though CV said better"),
        (0.5, 0.8, "gained, though CV said worse"),
        (0.5, 0.6, "cost, as CV said"),
        (0.7001, 0.8, "gained; CV said nothing"),
        (0.7, 0.6, "cost; CV said nothing"),
        (0.9, 0.7, "made no difference"),
        (0.9, None, ""),
        (None, 0.9, ""),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_decision_is_judged_by_what_cv_said_and_what_came(
    cv: float | None, private: float | None, outcome: str, sign: int
) -> None:
    def signed(value: float | None) -> float | None:
        return None if value is None else sign * value

    columns: Any = [signed(0.7), signed(cv)], [signed(0.7), signed(0.8)], [signed(0.7), signed(private)]
    shown = board(*columns, greater_is_better=sign > 0, noise=noises(2, 0.01, 0.02))
    (told,) = judge_decisions(child(shown, b="a"))
    assert (told.run, told.parent, told.changes) == ("b/1", "a/1", "args.lr 0.1 → 0.2")
    assert told.outcome == outcome
    assert told.public == pytest.approx(0.1)
    if cv is not None:
        assert told.cv == pytest.approx(cv - 0.7)
        assert told.cv_sd is not None


def test_cvs_of_other_rows_are_not_held_against_each_other() -> None:
    shown = child(board([0.7, 0.9], [0.7, 0.8], [0.7, 0.8]), b="a")
    apart = replace(shown, rows=tuple(replace(row, comparable=row.experiment.upper()) for row in shown.rows))
    (told,) = judge_decisions(apart)
    assert (told.cv, told.cv_sd, told.outcome) == (None, None, "")
    assert told.private == pytest.approx(0.1)


def test_a_parent_that_is_not_shown_makes_no_decision() -> None:
    assert judge_decisions(child(board([0.7], [0.7]), a="z")) == []
    assert judge_decisions(child(board([0.7], [0.7]), a="a")) == []


def test_each_way_to_choose_is_told_by_its_better_private_score() -> None:
    columns = [0.9, 0.8, 0.7, 0.6], [0.5, 0.6, 0.9, 0.8], [0.7, 0.9, 0.6, 0.5]
    told = {choice.how: choice for choice in judge_choices(judge_board(board(*columns), "toy"), set())}
    assert told["the best CV"].runs == ("a/1",)
    assert told["the best CV"].lost == pytest.approx(0.2)
    assert told["the best two CVs"].private == 0.9
    assert told["the best two public scores, the host's own choice"].runs == ("c/1", "d/1")
    assert told["in hindsight"].runs == ("b/1",)
    assert told["in hindsight"].lost == 0


def test_lower_is_better_is_turned_round() -> None:
    shown = board([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.3, 0.2, 0.1], greater_is_better=False)
    told = {choice.how: choice for choice in judge_choices(judge_board(shown, "toy"), set())}
    assert told["the best CV"].private == 0.3
    assert told["the best CV"].lost == pytest.approx(0.2)
    assert told["the best two CVs"].private == 0.2


def test_finals_do_not_know_private_scores() -> None:
    columns = [0.9, 0.8, 0.7], [0.9, 0.8, 0.7]
    chosen = []
    for private in ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.9, 0.1]):
        shown = board(*columns, private, noise=noises(3, 0.01, 0.02))
        told = {choice.how: choice for choice in judge_choices(judge_board(shown, "toy"), set())}
        chosen.append(told["the two of kagkit finals"].runs)
    assert len(set(chosen)) == 1


def test_what_was_sent_late_could_not_be_chosen() -> None:
    columns = [0.9, 0.8, 0.7], [0.9, 0.8, 0.7], [0.9, 0.8, 0.7]
    told = judge_choices(judge_board(board(*columns), "toy"), {"a/1"})
    assert told[-1].runs == ("b/1",)
    assert judge_choices(judge_board(board(*columns), "toy"), {"a/1", "b/1"}) == []
