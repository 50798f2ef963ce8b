"""Raise the alarms of a comparison by name, each only where it is more than chance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from statistics import fmean, median, stdev

from kagkit.foundation.errors import counted, samples
from kagkit.judgement.agreement import FEWEST_TO_JUDGE, find_unlike, is_sure
from kagkit.judgement.board import Alarm, Board, Row, describe_sd, name_rows

BEYOND_NOISE, BEYOND_NOISE_OF_MANY, LEAK, LEAK_WITHOUT_NOISE = 2.0, 3.0, 4.0, 8.0
WIDER = 3.0
MOST_PAIRED = 200
NOTHING = "the public board means nothing here, trust CV"


def raise_alarms(board: Board) -> list[Alarm]:
    """Every alarm about scores, the weightiest first."""
    checks = (
        _doubt_direction,
        _doubt_public_board,
        _suspect_leak,
        _find_inversions,
        _find_odd_gaps,
        _weigh_public_gain,
    )
    return [alarm for check in checks for alarm in check(board)]


def read_board(board: Board) -> str:
    """Whether the leaderboard tracks CV, in a sentence."""
    count = len(board.scored)
    if why_nothing(board):
        return NOTHING
    if count < 3:
        return f"{counted(count, 'row')} with CV and public score: too few to see whether LB tracks CV"
    rho = board.correlation("cv", "lb_public")
    told = f"Spearman {'undefined' if rho is None else f'{rho:.2f}'} over {count} rows"
    if rho is not None and rho > 0 and is_sure(rho, count):
        return f"LB tracks CV: {told}"
    if is_sure(rho, count):
        return f"CV and LB move against each other: {told}"
    return f"LB and CV agree no more than chance may make them: {told}"


def why_nothing(board: Board) -> str:
    """Why differences on the public board mean nothing here; empty where they may mean something."""
    cv, public = board.columns("cv", "lb_public")
    rho = board.correlation("cv", "lb_public")
    if len(cv) < 3 or (rho is not None and rho > 0 and is_sure(rho, len(cv))):
        return ""
    spread, wobble = stdev(cv), stdev(public)
    gaps = stdev([b - a for a, b in zip(cv, public, strict=True)])
    agreement = "" if rho is None else f", Spearman {rho:.2f}"
    later = _told_by_private(board)
    if min(wobble, gaps) > WIDER * spread:
        times = f"{wobble / spread:.0f} times as wide as" if spread else "and not"
        return f"public scores spread {times} CV (sd {wobble:.2g} and {spread:.2g}){agreement}{later}"
    chance = _typical_noise(board)
    if chance and wobble < chance * (1 + BEYOND_NOISE / math.sqrt(2 * (len(cv) - 1))):
        rows = next(noise.public_rows for noise in board.noise.values() if noise.public_rows)
        return (
            f"public scores spread by sd {wobble:.2g}, which its {rows:,} rows alone "
            f"give equal submissions ({chance:.2g}){agreement}{later}"
        )
    return ""


def _typical_noise(board: Board) -> float | None:
    """The noise of one public score beside others on the same rows: what is not common to all."""
    pairs = combinations(board.scored[:20], 2)
    found = [board.noise_between(a, b, "public") for a, b in pairs if {a.run, b.run} <= board.noise.keys()]
    known = [sd for sd in found if sd]
    return median(known) / math.sqrt(2) if known else None


def _told_by_private(board: Board) -> str:
    """What the private scores said of both, once they are known."""
    cv, public = board.correlation("cv", "lb_private"), board.correlation("lb_public", "lb_private")
    if cv is None or public is None:
        return ""
    return f"; with the private scores, CV has Spearman {cv:.2f} and public {public:.2f}"


def _doubt_public_board(board: Board) -> Iterator[Alarm]:
    """The public board is too small, or too strange, to mean anything."""
    why = why_nothing(board)
    if why:
        yield Alarm("public_board", f"{NOTHING}: {why}", name_rows(board.scored))


def _doubt_direction(board: Board) -> Iterator[Alarm]:
    """The declared direction would make models better by shuffling what they predict."""
    declared = "greater_is_better: true" if board.greater_is_better else "greater_is_better: false"
    tried = [
        (row, noise.shuffled - row.cv)
        for row in board.ranked
        if (noise := board.noise.get(row.run)) and noise.shuffled is not None and row.cv is not None
    ]
    better = [
        row
        for row, gain in tried
        if board.sign * gain > BEYOND_NOISE * max(board.noise[row.run].cv_sd, 1e-12)
    ]
    if tried and len(better) > len(tried) / 2:
        found = f"{declared}, but {samples(name_rows(better))} would score better with shuffled predictions"
        yield Alarm("direction", found, name_rows(better))
    rho, count = board.correlation("cv", "lb_public"), len(board.scored)
    if rho is not None and rho < 0 and is_sure(rho, count):
        text = f"the better CV, the worse LB (Spearman {rho:.2f} over {count} rows): is one turned round?"
        yield Alarm("direction", text, name_rows(board.scored))
    cv, public = board.columns("cv", "lb_public")
    if cv and max(cv) * min(public) < 0 and min(cv) * max(public) < 0:
        text = "CV and LB have opposite signs: does the host negate the score?"
        yield Alarm("direction", text, name_rows(board.scored))


def _suspect_leak(board: Board) -> Iterator[Alarm]:
    """CV stands far above the leaderboard: the private one where it is known."""
    found: list[tuple[Row, float]] = []
    judged = 0
    for row in board.rows:
        noise = board.noise.get(row.run)
        told = row.lb_public if row.lb_private is None else row.lb_private
        if noise is None or noise.public_sd is None or told is None or row.cv is None:
            continue
        rows = noise.public_rows if row.lb_private is None else noise.private_rows
        sd = math.hypot(noise.cv_sd, noise.public_sd * math.sqrt((noise.public_rows or 1) / (rows or 1)))
        judged += 1
        if board.sign * (row.cv - told) > LEAK * sd:
            found.append((row, abs(row.cv - told) / sd if sd else math.inf))
    if found:
        worst, times = max(found, key=lambda item: item[1])
        all_of = f"all {judged} runs" if len(found) == judged > 1 else samples([row.run for row, _ in found])
        text = (
            f"CV far above LB for {all_of} (by {times:.1f} sd for {worst.run}): "
            "look for a leak across folds, or for test rows of another kind"
        )
        yield Alarm("leak", text, tuple(row.run for row, _ in found))
    elif not judged and not why_nothing(board):
        yield from _suspect_leak_in_table(board)


def _suspect_leak_in_table(board: Board) -> Iterator[Alarm]:
    """Without predictions, "far" is many times all that varies from row to row."""
    which = "lb_private" if len(board.columns("cv", "lb_private")[0]) >= 3 else "lb_public"
    cv, told = board.columns("cv", which)
    if len(cv) < 3:
        return
    above = [board.sign * (a - b) for a, b in zip(cv, told, strict=True)]
    usual = max(stdev(above), stdev(cv))
    if fmean(above) > LEAK_WITHOUT_NOISE * usual:
        text = (
            f"CV is {fmean(above):.3g} above LB on average, where rows differ by sd {usual:.2g}: "
            "look for a leak across folds, or for test rows of another kind"
        )
        yield Alarm("leak", text, name_rows(board.scored))


def _find_inversions(board: Board) -> Iterator[Alarm]:
    """CV and LB order two rows differently, both by more than chance."""
    if why_nothing(board):
        return  # said already, and of all rows
    found = []
    for a, b in combinations(board.scored[:MOST_PAIRED], 2):
        cv = board.sign * ((a.cv or 0.0) - (b.cv or 0.0))
        public = board.sign * ((a.lb_public or 0.0) - (b.lb_public or 0.0))
        if cv * public >= 0:
            continue
        sd = board.noise_between(a, b, "public")
        cv_sd = board.noise_between(a, b, "cv") if {a.run, b.run} <= board.noise.keys() else sd
        if sd and cv_sd and abs(public) > BEYOND_NOISE * sd and abs(cv) > BEYOND_NOISE * cv_sd:
            better, worse = (a, b) if cv > 0 else (b, a)
            found.append((abs(public) / sd, better, worse, abs(cv), cv_sd, abs(public), sd))
    if found:
        _, better, worse, cv, cv_sd, public, sd = max(found, key=lambda item: item[0])
        pairs = counted(len(found), "pair")
        text = (
            f"{pairs} of rows in opposite order beyond noise: {better.run} is better than {worse.run} by CV "
            f"({describe_sd(cv, cv_sd)}) and worse by LB ({describe_sd(public, sd)})"
        )
        names = {row.run: None for _, *both, _, _, _, _ in found for row in both}
        yield Alarm("inversion", text, tuple(names))


def _find_odd_gaps(board: Board) -> Iterator[Alarm]:
    """A gap between CV and LB that is unlike the others'."""
    if why_nothing(board):
        return
    for place, more in find_unlike(*board.columns("cv", "lb_public")).items():
        row = board.scored[place]
        worse = board.sign * more < 0
        hint = (
            "its CV is too good, or its submission is not what the CV was made of"
            if worse
            else "its CV is too low: other rows, another metric, or luck"
        )
        text = (
            f"{row.run}: public {row.lb_public:g} where the other {len(board.scored) - 1} rows let expect "
            f"{(row.lb_public or 0.0) - more:.4g}: {hint}"
        )
        yield Alarm("gap", text, (row.run,))


def _weigh_public_gain(board: Board) -> Iterator[Alarm]:
    """The best public score is no better than that of the best CV, by more than chance."""
    if len(board.scored) < 2 or why_nothing(board):
        return
    top = max(board.scored, key=lambda row: board.sign * (row.lb_public or 0.0))
    rival = max(board.scored, key=lambda row: board.sign * (row.cv or 0.0))
    gain = abs((top.lb_public or 0.0) - (rival.lb_public or 0.0))
    sd = board.noise_between(top, rival, "public")
    needed = BEYOND_NOISE if len(board.scored) == 2 else BEYOND_NOISE_OF_MANY
    if not gain or not sd or gain > needed * sd:
        return
    noise = board.noise.get(top.run)
    rows = f", {noise.public_rows:,} public rows" if noise and noise.public_rows else ""
    tries = f"best of {len(board.scored)}: {needed:g} sd needed" if needed > BEYOND_NOISE else "2 sd needed"
    text = (
        f"LB gain within noise: {top.run} over {rival.run}, the best CV, by {describe_sd(gain, sd)} "
        f"({tries}{rows})"
    )
    yield Alarm("lb_gain", text, (top.run,))


def judge_row(board: Board, row: Row, alarms: list[Alarm]) -> str:
    """What to make of a row, in a few words."""
    if row.cv is None:
        return "no CV"
    raised = {alarm.kind for alarm in alarms if row.run in alarm.runs}
    words = [_beside_best(board, row)]
    named = {"leak": "leak?", "gap": "odd gap", "nested": "not nested"}
    words += [told for kind, told in named.items() if kind in raised]
    judged = board.offset is not None and board.offset.rows >= FEWEST_TO_JUDGE
    if judged and row.lb_public is not None and not raised & {"leak", "gap", "public_board"}:
        words.append("LB fits")
    if row.lb_public is not None and "public_board" in raised:
        words.append("ignore LB")
    return ", ".join(word for word in words if word)


def _beside_best(board: Board, row: Row) -> str:
    best = board.best
    if best is None or row.comparable != "A":
        return "" if row.comparable == "A" else "not ranked with the others"
    if row.run == best.run:
        return "best CV"
    sd = board.noise_between(best, row, "cv")
    if sd is None or row.cv is None or best.cv is None:
        return ""
    return "behind" if abs(best.cv - row.cv) > BEYOND_NOISE * sd else "level with the best"
