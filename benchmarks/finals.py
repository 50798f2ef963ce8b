"""Which two submissions to select: the private score lost by each rule, in simulated competitions.

Sixteen candidates in four families have row losses with a part common to all, one of the family, and one of
their own. 3,000 rows are behind CV and 2,000 behind the test, so that small public shares are small. A shift
turns the test rows' skills a little from those of CV; a part of the candidates was tuned on CV, whose scores
are then too good. The loss of a pair is the best private score there was, less the better of the two.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kagkit.judgement.board import Board, Row
from kagkit.judgement.comparison import judge_board
from kagkit.judgement.finals import propose_finals
from kagkit.judgement.noise import Noise

FAMILIES, MEMBERS = 4, 4
CV_ROWS, TEST_ROWS, DRAWS = 3000, 2000, 200
SHARES = (0.01, 0.05, 0.2, 0.5)
SHIFTS = {"no shift": 0.0, "shift": 0.006}
SPREAD, ROUNDS = 0.008, 120
Pair = tuple[int, int]


def simulate(
    chance: np.random.Generator, share: float, shift: float, tuned: bool
) -> tuple[Board, np.ndarray]:
    """A competition: its board, and the private scores by run, greater being better."""
    many = FAMILIES * MEMBERS
    family = np.repeat(np.arange(FAMILIES), MEMBERS)
    skill = SPREAD * (0.7 * chance.normal(size=FAMILIES)[family] + 0.7 * chance.normal(size=many))
    turned = shift * (0.7 * chance.normal(size=FAMILIES)[family] + 0.7 * chance.normal(size=many))

    def rows(count: int, means: np.ndarray) -> np.ndarray:
        common = chance.normal(size=(count, 1))
        of_family = chance.normal(size=(count, FAMILIES))[:, family]
        own = chance.normal(size=(count, many))
        return means + 0.35 * common + 0.15 * of_family + 0.15 * own

    cv_rows, test = rows(CV_ROWS, skill), rows(TEST_ROWS, skill + turned - 0.01)
    public = int(share * TEST_ROWS)
    cv = cv_rows.mean(axis=0)
    if tuned:
        cv += np.abs(chance.normal(size=many)) * 0.004 * (chance.random(many) < 0.3)
    board = test[:public].mean(axis=0)
    draws = chance.multivariate_normal(np.zeros(many), np.cov(cv_rows.T) / CV_ROWS, DRAWS)
    some = chance.multivariate_normal(np.zeros(many), np.cov(cv_rows.T) / public, DRAWS)
    table, noise = [], {}
    for place in range(many):
        name = f"run{place:02d}/1"
        table.append(Row(name, name, 1, float(cv[place]), lb_public=float(board[place]), comparable="A"))
        noise[name] = Noise(
            tuple(draws[:, place] - draws[:, place].mean()),
            tuple(some[:, place] - some[:, place].mean()),
            (0.0, 1.0),
            CV_ROWS,
            public,
            TEST_ROWS - public,
            None,
            "rows",
            "per row",
        )
    return Board(True, tuple(table), noise), test[public:].mean(axis=0)


def proposed(board: Board) -> Pair:
    """What `kagkit finals` proposes."""
    names = [row.run for row in board.rows]
    first, second = (names.index(pick.run) for pick in propose_finals(judge_board(board, "simulated")).picks)
    return first, second


def column(board: Board, name: str) -> np.ndarray:
    """The places of the rows, the best by a column first."""
    return np.argsort([-getattr(row, name) for row in board.rows], kind="stable")


def one_of_each(board: Board) -> Pair:
    """Best CV and best public score; the next best where they are the same."""
    first, (second, third) = column(board, "cv")[0], column(board, "lb_public")[:2]
    return int(first), int(third if second == first else second)


RULES: dict[str, Callable[[Board], Pair]] = {
    "finals": proposed,
    "finals, table": lambda board: proposed(replace(board, noise={})),
    "best CV twice": lambda board: tuple(map(int, column(board, "cv")[:2])),
    "best public twice": lambda board: tuple(map(int, column(board, "lb_public")[:2])),
    "one of each": one_of_each,
}


def main() -> None:
    """Print the losses, and leave with 1 where another rule loses less on average."""
    began = time.perf_counter()
    chance = np.random.default_rng(7)
    worlds = [(share, name, tuned) for share in SHARES for name in SHIFTS for tuned in (False, True)]
    losses = {rule: {world: [] for world in worlds} for rule in RULES}
    for share, name, tuned in worlds:
        for _ in range(ROUNDS):
            board, private = simulate(chance, share, SHIFTS[name], tuned)
            for rule, choose in RULES.items():
                loss = private.max() - private[list(choose(board))].max()
                losses[rule][share, name, tuned].append(1000 * loss)
    seconds = time.perf_counter() - began
    print(f"private score lost x 1000, mean of {ROUNDS} competitions a cell, {seconds:.0f} s\n")
    print(f"{'':34}" + "".join(f"{rule:>19}" for rule in RULES))
    for world in worlds:
        told = f"public {world[0]:.0%}, {world[1]}{', some tuned on CV' if world[2] else ''}"
        print(f"{told:34}" + "".join(f"{np.mean(losses[rule][world]):19.2f}" for rule in RULES))
    every = {rule: np.concatenate(list(found.values())) for rule, found in losses.items()}
    print(f"{'all':34}" + "".join(f"{values.mean():19.2f}" for values in every.values()))
    ours = every["finals"]
    missed = False
    for rule, values in every.items():
        if rule.startswith("finals"):
            continue
        more = values - ours
        print(f"{rule}: {more.mean():+.2f} ± {more.std() / len(more) ** 0.5:.2f} on finals")
        missed |= more.mean() <= 0
    sys.exit(missed)


if __name__ == "__main__":
    main()
