"""How many planted bugs the blind check stops, and how many honest files: of a table, and of masks.

Each bug is planted in 20 drawn stage-2 files; 200 further files are as they should be, two thirds of them
with honest drift. What is looked at are arrays, by the functions that `kagkit check` uses. `without`: stopped
without the exact recompute. `shown`: a public board of 0.75 % of the rows would have shown it, by a score
more than two standard deviations of such a board worse than out-of-fold rows let expect. `cost`: how much
worse the file scores, in log loss or 1 - Dice. `python benchmarks/blind.py [DRAWS [HONEST]]`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from blind_worlds import MASK_BUGS, TABLE_BUGS, Drawn, Masks, Table
from threadpoolctl import threadpool_limits

from kagkit.judgement.reloading import TOLERANCE, find_gap
from kagkit.judgement.suspicions import (
    Suspicion,
    hold_against_anchor,
    hold_against_copies,
    hold_against_members,
    hold_against_rebuilt,
)
from kagkit.judgement.tendencies import compare_ranks, compare_second_way, compare_shares

SHIFTS = {Table: (0.0, 0.15, 0.4), Masks: (0.0, 0.1, 0.25)}
PUBLIC, FEWEST_PUBLIC, SHOWN = 0.0075, 4, 2.0
FIRST_SEED = 1_000


def look(drawn: Drawn) -> Iterator[Suspicion]:
    """Every check of a file."""
    yield hold_against_rebuilt(drawn.now.file, drawn.rebuilt)
    yield from hold_against_members(drawn.now, drawn.then)
    yield from hold_against_anchor(drawn.now, drawn.then)
    if drawn.pair is not None:
        yield from hold_against_anchor(*drawn.pair)
    before = [drawn.oof.file, drawn.then.file]
    yield from hold_against_copies(drawn.now, before, {"stage 1": drawn.then.file})
    yield from compare_shares(drawn.now, {"out of fold": drawn.oof, "stage 1": drawn.then})
    yield from compare_ranks(drawn.now, drawn.then)
    if drawn.raw:
        yield from compare_second_way(drawn.now, drawn.then, drawn.oof, drawn.raw)
    if find_gap(*drawn.again) > TOLERANCE:
        yield Suspicion("reload", "stop", "")
    if drawn.unreadable:
        yield Suspicion("readable", "stop", "")


def is_shown(world: Any, drawn: Drawn, rng: np.random.Generator) -> bool:
    """Whether a public board would show that something is wrong."""
    expected, lost = world.loss(drawn.oof.file, 0), world.loss(drawn.now.file)
    rows = max(round(PUBLIC * len(lost)), FEWEST_PUBLIC)
    public = lost[rng.permutation(len(lost))[:rows]]
    return bool(public.mean() > expected.mean() + SHOWN * expected.std() / rows**0.5)


@dataclass
class Tally:
    """What became of the draws of one bug: how often each thing happened, and what the bug cost."""

    happened: Counter[str] = field(default_factory=Counter)
    cost: float = 0.0

    def add(self, told: list[Suspicion]) -> None:
        """Count what was found in one file."""
        stops = {each.check for each in told if each.level == "stop"}
        self.happened.update(stops)
        self.happened["stopped"] += bool(stops)
        self.happened["without"] += bool(stops - {"recompute"})
        self.happened["warned"] += any(each.level == "warn" for each in told)


SHOWN_OF = ("stopped", "without", "warned", "shown")


def try_bugs(kind: Any, bugs: dict[str, Any], draws: int) -> None:
    """Print what became of each bug."""
    tallies = {name: Tally() for name in bugs}
    for draw in range(draws):
        world, rng = kind(FIRST_SEED + draw, SHIFTS[kind][draw % 3]), np.random.default_rng(draw)
        right = world.loss(world.clean().now.file).mean()
        for name, plant in bugs.items():
            drawn = plant(world)
            tallies[name].add(list(look(drawn)))
            tallies[name].happened["shown"] += is_shown(world, drawn, rng)
            tallies[name].cost += float(world.loss(drawn.now.file).mean() - right) / draws
    print(f"\n{kind.__name__}, {draws} draws of each bug; the last column: which checks stop")
    print(f"  {'':36} {'  '.join(f'{name:>7}' for name in SHOWN_OF)}     cost")
    for name, tally in tallies.items():
        other = {what: n / draws for what, n in tally.happened.most_common() if what not in SHOWN_OF}
        by = ", ".join(f"{check} {share:.2f}" for check, share in other.items())
        print(f"  {name:36} {_shares([tally], draws)}   {tally.cost:+.3f}   {by}")
    print(f"  {'all':36} {_shares(list(tallies.values()), draws)}", flush=True)


def _shares(tallies: list[Tally], draws: int) -> str:
    counts = (sum(tally.happened[name] for tally in tallies) for name in SHOWN_OF)
    return "  ".join(f"{count / draws / len(tallies):7.2f}" for count in counts)


def try_clean(kind: Any, files: int) -> None:
    """Print how many honest files were stopped."""
    print(f"\n{kind.__name__}, honest files")
    for shift in SHIFTS[kind]:
        tally, count = Tally(), files // len(SHIFTS[kind])
        for draw in range(count):
            tally.add(list(look(kind(FIRST_SEED + 10_000 + draw, shift).clean())))
        by = {what: n for what, n in tally.happened.items() if what not in SHOWN_OF}
        told = f"{tally.happened['stopped']} of {count} stopped, {tally.happened['warned']} warned"
        print(f"  drift {shift:4}: {told} {by or ''}", flush=True)


def main() -> None:
    """Try all bugs of both worlds, and honest files."""
    given = [int(word) for word in sys.argv[1:]]
    draws, files = [*given, *(20, 201)[len(given) :]]
    start = time.monotonic()
    with threadpool_limits(1):
        for kind, bugs in ((Table, TABLE_BUGS), (Masks, MASK_BUGS)):
            try_bugs(kind, bugs, draws)
            try_clean(kind, files)
    print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
