"""Hold what is submitted against what others say of its rows, stop at what honest change never makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import poisson

from kagkit.judgement.answers import Answers, Numbers, find_distances, find_excess, move_masks

Level = Literal["ok", "warn", "stop"]

# The constants of the checks that were measured: docs/blind.md, benchmarks/blind.py.
SAME = 1e-6
SURE = 4.5  # standard errors; 3 rang for one honest shift in six
# How many times as far as in stage 1, with how many standard errors.
UNLIKE = ((1.6, 4.5), (1.08, 7.0))
RARE = 1e-4  # a probability
STALE = {"numbers": 0.05, "words": 0.05, "masks": 0.02}
LEAST = 0.01  # of a standard deviation, or of a mask: distances below it count as it
FEWEST_GROUPS, FEWEST_MEMBERS = 8, 3
MOST_TWINS = 0.99  # of the rows


@dataclass(frozen=True)
class Suspicion:
    """One line of a blind check.

    Attributes:
        check: The check's name.
        level: `ok`; `warn` where people should look, as honest change does it, too; `stop` where it does not.
        text: What was found, what was expected, what to do.
    """

    check: str
    level: Level
    text: str


@dataclass(frozen=True, eq=False)
class Side:
    """What several say of the same rows: those to be predicted now, or others that were predicted before.

    Attributes:
        file: What is submitted of them, or was.
        groups: (n,) which rows belong together.
        members: What each seed and fold says of them, in the order of `file.ids`; none where it is not known.
        anchor: What one frozen model says of them, likewise.
    """

    file: Answers
    groups: NDArray[np.int64]
    members: tuple[Answers, ...] = ()
    anchor: Answers | None = None

    @cached_property
    def spread(self) -> NDArray[np.float64]:
        """(n,) how far the members are from each other, by row; 1 where they are not known."""
        if len(self.members) < FEWEST_MEMBERS:
            return np.ones(len(self.groups))
        scale = self.members[0].scale
        pairs = zip(self.members, (*self.members[1:], self.members[0]), strict=True)
        apart: Numbers = np.mean([find_distances(one, other, scale) for one, other in pairs], axis=0)
        return apart + LEAST

    def by_group(self, values: Numbers) -> Numbers:
        """The means of rows' values by group."""
        _, codes = np.unique(self.groups, return_inverse=True)
        means: Numbers = np.bincount(codes, values) / np.bincount(codes)
        return means


def compare_means(now: Numbers, then: Numbers) -> float:
    """How many standard errors the mean of some groups is above that of others.

    Example:
        >>> round(compare_means(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0])), 2)
        2.45
    """
    if min(len(now), len(then)) < 2:
        return 0.0
    error = (now.var(ddof=1) / len(now) + then.var(ddof=1) / len(then)) ** 0.5
    gap = float(now.mean() - then.mean())
    return float(gap / error) if error > 0 else (0.0 if abs(gap) < LEAST else float(np.sign(gap)) * 99.0)


def hold_against_members(now: Side, then: Side) -> Iterator[Suspicion]:
    """Whether the file is made of its members, and each of them is as unlike the others as it was before.

    Args:
        now: The rows to be predicted.
        then: Rows that the frozen models predicted before, and the file that came of it.
    """
    if now.members:
        yield _inside(now, then)
    if len(now.members) >= FEWEST_MEMBERS and len(then.members) == len(now.members):
        yield _as_unlike(now, then)
        yield _as_weighed(now, then)


def _inside(now: Side, then: Side) -> Suspicion:
    """Rows that lie outside of what all members say, where hardly any did before, or not as far."""
    scale = now.members[0].scale
    before = find_excess(then.file, then.members, scale) if then.members else np.zeros(1)
    excess, limit = find_excess(now.file, now.members, scale), float(before.max(initial=0.0)) + SAME
    of = len(np.unique(now.groups))
    expected = of / (len(np.unique(then.groups)) + 1)
    outside = excess > limit
    told = f"{int(outside.sum()):,} of {len(outside):,} rows lie outside of all that its members say of them"
    # Twice as far as any before is rarer by far than just beyond it.
    for farther, rarer in ((1, 1), (2, 10)):
        groups = len(np.unique(now.groups[excess > farther * limit]))
        if poisson.sf(groups - 1, expected / rarer) < RARE:
            rows = ", ".join(map(str, now.file.ids[np.argsort(-excess, kind="stable")[:5]]))
            text = f"{told}, the farthest {rows}; no mean of members does that"
            return Suspicion("inside", "stop", f"{text}; package the run again: kagkit package")
    return Suspicion("inside", "ok", told)


def _as_unlike(now: Side, then: Side) -> Suspicion:
    twins = sorted(set(_find_twins(now)) - set(_find_twins(then)))
    if twins:
        text = "members {} and {} say the very same".format(*twins[0])
        return Suspicion(
            "member", "stop", f"{text}, and did not before; is one's weights in the other's place?"
        )
    moved, errors = _shifts(now, then, _to_others)
    worst = _find_worst(moved, errors)
    times = f"{exp(moved[worst]):.2f} times as far"
    told = f"member {worst + 1} of {len(moved)} is {times} from the others as before"
    if _is_unlike(moved[worst], errors[worst]):
        hint = "look at its weights and at what it is given"
        return Suspicion("member", "stop", f"{told}, against all of them; {hint}")
    return Suspicion("member", "ok", f"{told}, against all of them")


def _find_twins(side: Side) -> list[tuple[int, int]]:
    """Pairs of members, numbered from 1, that say the same of nearly all they speak of."""
    hashes = [each.hashes() for each in side.members]
    said = [~_is_empty(each) for each in side.members]
    return [
        (one + 1, other + 1)
        for one in range(len(hashes))
        for other in range(one + 1, len(hashes))
        if (said[one] | said[other]).any()
        and (hashes[one] == hashes[other])[said[one] | said[other]].mean() > MOST_TWINS
    ]


def _as_weighed(now: Side, then: Side) -> Suspicion:
    moved, errors = _shifts(now, then, _to_file)
    worst = _find_worst(moved, errors)
    told = (
        f"the file is {exp(moved[worst]):.2f} times as far from member {worst + 1} of {len(moved)} as before"
    )
    if _is_unlike(moved[worst], errors[worst]):
        return Suspicion(
            "weights", "stop", f"{told}, against all of them; is every one in it as it should be?"
        )
    return Suspicion("weights", "ok", f"{told}, against all of them")


def _is_unlike(moved: float, error: float) -> bool:
    return any(abs(moved) > max(log(times), errors * error) for times, errors in UNLIKE)


def _find_worst(moved: Numbers, errors: Numbers) -> int:
    """The member that is unlike, or else the one that moved most."""
    unlike = [_is_unlike(*each) for each in zip(moved, errors, strict=True)]
    return int(np.argmax(np.abs(moved) + 1e3 * np.asarray(unlike)))


def _shifts(now: Side, then: Side, measure: Any) -> tuple[Numbers, Numbers]:
    """How each member's mean log distance moved against the median of all, and the standard errors."""
    means, errors = [], []
    for side in (now, then):
        logs = np.stack([np.log(each + LEAST) for each in measure(side)])
        logs = logs - np.median(logs, axis=0)  # what moves all of them alike is no sign of one
        by_group = np.stack([side.by_group(row) for row in logs])
        means.append(by_group.mean(axis=1))
        errors.append(by_group.std(axis=1, ddof=1) / by_group.shape[1] ** 0.5)
    return means[0] - means[1], np.hypot(errors[0], errors[1])


def _to_others(side: Side) -> list[Numbers]:
    scale = side.members[0].scale
    return [
        np.mean([find_distances(one, other, scale) for other in side.members if other is not one], axis=0)
        for one in side.members
    ]


def _to_file(side: Side) -> list[Numbers]:
    scale = side.members[0].scale
    return [find_distances(side.file, member, scale) for member in side.members]


def hold_against_anchor(now: Side, then: Side) -> Iterator[Suspicion]:
    """Whether the file is as far from one frozen model as it was before, and no mask fits it better moved."""
    if now.anchor is None or then.anchor is None:
        return
    scale = now.anchor.scale
    far = [
        side.by_group(np.log(find_distances(side.file, side.anchor, scale) + LEAST) - np.log(side.spread))
        for side in (now, then)
        if side.anchor is not None
    ]
    z, times = compare_means(*far), exp(float(far[0].mean() - far[1].mean()))
    told = f"the file is {times:.2f} times as far from the frozen model as before ({z:+.1f} standard errors)"
    if abs(z) > SURE:
        hint = "are ids, rows, classes and preparation those that the frozen model is given?"
        yield Suspicion("anchor", "stop", f"{told}; {hint}")
    else:
        yield Suspicion("anchor", "ok", told)
    if now.file.kind == "masks":
        yield _unmoved(now, now.anchor)


def _unmoved(now: Side, anchor: Answers) -> Suspicion:
    """Whether masks moved by one pixel would fit the frozen model's better than they do."""
    here = find_distances(now.file, anchor, anchor.scale)
    both = (now.file.pixels > 0) & (anchor.pixels > 0)
    steps = {"down": 1, "up": -1, "right": now.file.height, "left": -now.file.height}
    found = {}
    for name, step in steps.items():
        gain = here - find_distances(move_masks(now.file, step), anchor, anchor.scale)
        kept = Side(now.file, now.groups[both]).by_group(gain[both]) if both.any() else np.zeros(1)
        error = kept.std(ddof=1) / len(kept) ** 0.5 if len(kept) >= FEWEST_GROUPS else np.inf
        found[name] = float(kept.mean() / error) if error > 0 else 0.0
    best = max(found, key=lambda name: found[name])
    if found[best] > SURE:
        hint = "is the first pixel counted as 1, and the image not turned?"
        text = f"masks fit the frozen model's better one pixel further {best}"
        return Suspicion("edge", "stop", f"{text} ({found[best]:.1f} standard errors); {hint}")
    return Suspicion("edge", "ok", "masks fit the frozen model's best where they are")


def hold_against_copies(
    now: Side, before: Sequence[Answers], older: dict[str, Answers]
) -> Iterator[Suspicion]:
    """Whether one answer is given of many rows, and whether answers are those of other rows in an older file.

    Args:
        now: The rows to be predicted.
        before: Honest answers to other rows: out-of-fold predictions, what was submitted in stage 1.
        older: Other files by name.
    """
    yield _repeats(now.file, before)
    for name, file in older.items():
        share = _share_of(now.file, file)
        honest = [_share_of(each, file) for each in before if not each.ids.equals(file.ids)]
        # Where answers are few, a tree stump's say, each half of the older file says what the other does.
        honest.append(2 * _share_of(file.take(file.ids[::2]), file.take(file.ids[1::2])))
        if share > max(honest) + STALE[now.file.kind]:
            text = f"{share:.0%} of its rows say exactly what {name} says of others"
            yield Suspicion("stale", "stop", f"{text}; was an older file pasted?")
            return
    yield Suspicion("stale", "ok", f"not the answers of other rows in {len(older)} older files")


def _share_of(file: Answers, older: Answers) -> float:
    """The share of rows that say what an older file says of one row alone, and that another one."""
    said, theirs = ~_is_empty(file), pd.Series(older.hashes(), index=older.ids)[~_is_empty(older)]
    own = pd.Series(file.hashes(), index=file.ids)[said]
    alone = theirs[~theirs.duplicated(keep=False)]
    copied = own.isin(alone) & (own.to_numpy() != alone.reindex(own.index).to_numpy())
    return float(copied.mean()) if len(own) >= FEWEST_GROUPS else 0.0


def _repeats(file: Answers, before: Sequence[Answers]) -> Suspicion:
    """The commonest answer that is no empty mask, and how common it is where it is honest."""
    hashes, said = file.hashes(), ~_is_empty(file)
    values, counts = np.unique(hashes[said], return_counts=True)
    if not len(counts):
        return Suspicion("repeats", "ok", "no row says anything")
    top = values[counts.argmax()]
    honest = 1.0
    for answers in before:
        known = answers.hashes()[~_is_empty(answers)]
        most = np.unique(known, return_counts=True)[1].max(initial=1)
        # Two rows that agree are no sign of anything; what is common now may be common there.
        honest = max(honest, 2 + 1.5 * max(most, (known == top).sum()) * len(hashes) / max(len(known), 1))
    rows = int((hashes == top).sum())
    told = f"{rows:,} of {len(hashes):,} rows say the very same"
    if before and poisson.sf(rows - 1, honest) < RARE:
        hint = "was a part of them filled with a default?"
        return Suspicion("repeats", "stop", f"{told}; about {honest:.0f} at most were expected; {hint}")
    return Suspicion("repeats", "ok", told)


def _is_empty(answers: Answers) -> NDArray[np.bool_]:
    if answers.kind == "masks":
        return np.asarray(answers.pixels == 0)
    return np.zeros(len(answers.ids), bool)


def hold_against_rebuilt(file: Answers, rebuilt: Answers) -> Suspicion:
    """Whether a file is what stored predictions and the manifest's weights make, to the last pixel."""
    if file.kind != rebuilt.kind or set(file.ids) != set(rebuilt.ids):
        return Suspicion("recompute", "stop", "the file is not of the rows that the run predicted")
    other = rebuilt.take(file.ids)
    if file.kind == "numbers":
        apart = np.abs(file.said - other.said).max(axis=1, initial=0.0)
        scale = max(1.0, float(np.abs(other.said).max(initial=0.0)))
        unlike, told = apart > SAME * scale, f"by up to {apart.max(initial=0.0):.2g}"
    else:
        unlike, told = file.hashes() != other.hashes(), "to the letter"
    if unlike.any():
        rows = ", ".join(map(str, file.ids[unlike][:5]))
        text = (
            f"{int(unlike.sum()):,} of {len(unlike):,} rows are not what the run's predictions make, {told}"
        )
        return Suspicion("recompute", "stop", f"{text}: {rows}; package the run again: kagkit package")
    return Suspicion("recompute", "ok", f"all {len(unlike):,} rows are what stored predictions make")
