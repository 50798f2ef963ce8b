"""Boards for tests of judgement: rows with scores, and noise as if it had been measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kagkit.judgement.board import Board, Row
from kagkit.judgement.comparison import Comparison, judge_board
from kagkit.judgement.noise import Noise

DRAWS = 200


def board(
    cv: Sequence[float | None],
    public: Sequence[float | None],
    private: Sequence[float | None] | None = None,
    *,
    greater_is_better: bool = True,
    noise: dict[str, Noise] | None = None,
) -> Board:
    """Rows `a/1`, `b/1`, … with these scores, the best CV first."""
    rows = [
        Row(
            run=f"{chr(ord('a') + place)}/1",
            experiment=chr(ord("a") + place),
            stage=1,
            cv=cv[place],
            lb_public=public[place],
            lb_private=private[place] if private else None,
            gap=None if None in (cv[place], public[place]) else public[place] - cv[place],  # type: ignore[operator]
            comparable=None if cv[place] is None else "A",
        )
        for place in range(len(cv))
    ]
    sign = 1 if greater_is_better else -1
    rows.sort(key=lambda row: -sign * (row.cv or 0.0))
    return Board(greater_is_better, tuple(rows), noise or {})


def noises(count: int, cv_sd: float, public_sd: float, **facts: Any) -> dict[str, Noise]:
    """Noise for the first runs: of a part common to all, and a tenth of it their own."""
    chance = np.random.default_rng(0)
    common = chance.normal(size=(2, DRAWS))
    found = {}
    for place in range(count):
        own = common + 0.1 * chance.normal(size=(2, DRAWS))
        told: dict[str, Any] = {
            "cv": tuple(cv_sd * own[0]),
            "public": tuple(public_sd * own[1]),
            "interval": (0.0, 1.0),
            "rows": 1000,
            "public_rows": 100,
            "private_rows": 900,
            "shuffled": None,
            "units": "all",
            "method": "per row",
        }
        found[f"{chr(ord('a') + place)}/1"] = Noise(**(told | facts))
    return found


def judged(*columns: Any, **facts: Any) -> Comparison:
    """What is said of such a board."""
    return judge_board(board(*columns, **facts), "toy")


def kinds(comparison: Comparison) -> set[str]:
    """The kinds of its alarms."""
    return {alarm.kind for alarm in comparison.alarms}
