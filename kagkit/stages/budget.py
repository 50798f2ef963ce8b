"""Say what retraining costs by recorded seconds, in the order of priority, and what of it fits the time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from kagkit.foundation.errors import ManifestError, Problem
from kagkit.foundation.files import file_sha256
from kagkit.runs.record import Run, latest_run
from kagkit.stages.lineup import Member
from kagkit.stages.rehearsal import task_seconds
from kagkit.workspace.layout import Workspace

UNITS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|min|m|h|d)")
CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class Planned:
    """What retraining a model comes to.

    Attributes:
        experiment: The model's experiment of stage 1.
        policy: What is done about it.
        seconds: What it takes, by what stage 1 took, the more rows counted in; 0 where it is done.
        state: `frozen`, where it is not to be trained; `done`; `to do`; or `no time`.
        why: In words.
    """

    experiment: str
    policy: str
    seconds: float
    state: str
    why: str


def read_span(text: str) -> float:
    """The seconds of `60h`, `90m`, `45s` or `2d`.

    Raises:
        ManifestError: It is written otherwise.

    Example:
        >>> read_span("1.5h")
        5400.0
    """
    found = SPAN.fullmatch(text.strip())
    if found is None:
        raise ManifestError("the budget cannot be read", [Problem("--budget", text, "such as 60h or 90m")])
    return float(found[1]) * UNITS[found[2]]


def read_until(text: str, now: datetime) -> datetime:
    """The moment that `18:00`, today or tomorrow, or a time as ISO 8601 means; local where no zone is told.

    Raises:
        ManifestError: It is no time, or over.

    Example:
        >>> read_until("18:00", datetime(2019, 8, 26, 19, tzinfo=UTC)).isoformat()
        '2019-08-27T18:00:00+00:00'
    """
    clock = CLOCK.fullmatch(text.strip())
    try:
        if clock is not None:
            then = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
            return then if then > now else then + timedelta(days=1)
        then = datetime.fromisoformat(text)
    except ValueError:
        expected = "18:00, or 2019-08-26T18:00:00Z"
        raise ManifestError("the time cannot be read", [Problem("--until", text, expected)]) from None
    then = then.replace(tzinfo=now.tzinfo) if then.tzinfo is None else then
    if then <= now:
        raise ManifestError("there is no time left", [Problem("--until", f"{text} is over")])
    return then


def read_limits(budget: str | None, until: str | None, now: datetime) -> tuple[float | None, datetime | None]:
    """What `--budget` and `--until` mean; None where one is not given.

    Raises:
        ManifestError: Either cannot be read, with what is wrong with both.

    Example:
        >>> read_limits("90m", None, datetime(2019, 8, 26, tzinfo=UTC))
        (5400.0, None)
    """
    problems: list[Problem] = []
    span = moment = None
    try:
        span = None if budget is None else read_span(budget)
    except ManifestError as error:
        problems += error.problems
    try:
        moment = None if until is None else read_until(until, now)
    except ManifestError as error:
        problems += error.problems
    if problems:
        raise ManifestError("how long may be trained cannot be told", problems)
    return span, moment


def order_by_priority(members: Sequence[Member], seconds: Mapping[str, float]) -> list[Member]:
    """The models with the highest priority first, the cheaper of two alike, a model after its own inputs."""
    wanted = sorted(members, key=lambda each: (-each.second.priority, seconds.get(each.base, 0.0), each.base))
    by_run = {each.run.name: each for each in members}
    found: dict[str, Member] = {}

    def take(member: Member) -> None:
        for run in member.fed_by.values():
            if run in by_run and by_run[run].base not in found:
                take(by_run[run])
        found.setdefault(member.base, member)

    for member in wanted:
        take(member)
    return list(found.values())


def expect_seconds(workspace: Workspace, member: Member, growth: float) -> float:
    """What training a model on both stages' rows takes, of the folds that its `stage2` retrains.

    Raises:
        ReproductionError: A finished task is damaged.
    """
    folds = member.second.folds
    took = task_seconds(workspace, member.run, ("prepare", "train", "predict"))
    return growth * sum(value for (kind, fold), value in took.items() if kind != "train" or folds.has(fold))


def finished_run(workspace: Workspace, experiment: str) -> Run | None:
    """The latest complete run of an experiment, where its manifest is the present one; else None.

    Raises:
        ReproductionError: Its record is damaged.
    """
    path = workspace.root / f"{experiment}.yaml"
    run = latest_run(workspace, experiment, complete=True)
    if run is None or not path.is_file() or run.data["manifest_sha256"] != file_sha256(path):
        return None
    return run


def plan_retraining(planned: Sequence[Planned], budget: float | None) -> list[Planned]:
    """What of a plan fits into some seconds, taken in its order; what does not fit stays frozen.

    Example:
        >>> costs = {"a": 50, "b": 90, "c": 9}
        >>> rows = [Planned(name, "always", cost, "to do", "") for name, cost in costs.items()]
        >>> [row.state for row in plan_retraining(rows, 60)]
        ['to do', 'no time', 'to do']
    """
    left, told = budget, []
    for each in planned:
        if each.state == "to do" and left is not None:
            if each.seconds > left:
                told.append(replace(each, state="no time", why=tell_unfit(each.seconds, left)))
                continue
            left -= each.seconds
        told.append(each)
    return told


def tell_unfit(seconds: float, left: float) -> str:
    """Why there is no time for a model.

    Example:
        >>> tell_unfit(5400, 61)
        'takes about 5,400 s, and 61 s are left: it stays frozen'
    """
    return f"takes about {seconds:,.0f} s, and {max(left, 0):,.0f} s are left: it stays frozen"


def seconds_left(budget: float | None, until: datetime | None, spent: float) -> float | None:
    """How long may still be trained: the shorter of a budget less what is spent, and the time until then.

    Example:
        >>> seconds_left(7200, None, 3600), seconds_left(None, None, 3600)
        (3600, None)
    """
    limits = [] if budget is None else [budget - spent]
    limits += [] if until is None else [(until - datetime.now(UTC)).total_seconds()]
    return min(limits, default=None)
