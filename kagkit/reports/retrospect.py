"""Gather what there is to say of a competition in retrospect: scores, places, decisions, shake, time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from kagkit.judgement.chronicle import Made, Sent, end_of, list_made, list_sent
from kagkit.judgement.comparison import Comparison, compare_runs, with_shakes
from kagkit.judgement.hindsight import Choice, Decision, judge_choices, judge_decisions
from kagkit.judgement.noise import Told
from kagkit.workspace.layout import Workspace
from kagkit.workspace.medals import Standing, newest_standings, read_standings


@dataclass(frozen=True)
class Spent:
    """What an experiment took: how many runs and tasks, and their time in seconds."""

    experiment: str
    runs: int
    tasks: int
    seconds: float
    gpu_seconds: float


@dataclass(frozen=True)
class Retrospect:
    """A competition as it went.

    Attributes:
        competition: Its name.
        metric: The metric's reference.
        greater_is_better: Its declared direction.
        end: When submissions ceased to count; None where that is not known.
        made: Every run, by time.
        sent: Every submission with a score, by time.
        comparison: CV beside LB, with the shake of the private board.
        decisions: Each run beside its parent.
        choices: What other finals would have led to; empty while private scores are not known.
        standings: The team's places, by time.
        newest: The newest place on each board, with how far each medal is.
        spent: The time by experiment, the most first.
    """

    competition: str
    metric: str
    greater_is_better: bool
    end: datetime | None
    made: tuple[Made, ...]
    sent: tuple[Sent, ...]
    comparison: Comparison
    decisions: tuple[Decision, ...]
    choices: tuple[Choice, ...]
    standings: tuple[Standing, ...]
    newest: dict[str, dict[str, Any] | None]
    spent: tuple[Spent, ...]

    def as_json(self) -> dict[str, Any]:
        """The facts as plain data, times in UTC; what `kagkit compare` tells is left to it."""
        listed = ("made", "sent", "decisions", "choices", "spent")
        facts: dict[str, Any] = {name: [_plain(each) for each in getattr(self, name)] for name in listed}
        return {
            "competition": self.competition,
            "metric": self.metric,
            "greater_is_better": self.greater_is_better,
            "end": None if self.end is None else self.end.isoformat(),
            **facts,
            "standing": self.newest,
            "shake": self.comparison.shake,
        }


def look_back(workspace: Workspace, told: Told | None = None) -> Retrospect:
    """A competition as it went until now.

    Args:
        workspace: The workspace.
        told: Is called before each run whose noise is measured.

    Raises:
        ManifestError: There is no complete run.
        DataError: The ledger is damaged.
        ReproductionError: A record is damaged.
    """
    comparison = with_shakes(compare_runs(workspace, (), told=told))
    made, sent = list_made(workspace), list_sent(workspace)
    in_time = {each.run for each in sent if not each.late}
    late = {each.run for each in sent if each.run is not None and each.run not in in_time}
    competition = workspace.competition
    return Retrospect(
        competition=competition.competition,
        metric=competition.metric.score,
        greater_is_better=competition.metric.greater_is_better,
        end=end_of(competition),
        made=tuple(made),
        sent=tuple(sent),
        comparison=comparison,
        decisions=tuple(judge_decisions(comparison.board)),
        choices=tuple(judge_choices(comparison, {run for run in late if run is not None})),
        standings=tuple(read_standings(workspace)),
        newest=newest_standings(workspace),
        spent=tuple(_add_up(made)),
    )


def _add_up(made: list[Made]) -> list[Spent]:
    names = dict.fromkeys(each.experiment for each in made)
    spent = []
    for name in names:
        own = [each for each in made if each.experiment == name]
        tasks, seconds = sum(each.tasks for each in own), sum(each.seconds for each in own)
        spent.append(Spent(name, len(own), tasks, seconds, sum(each.gpu_seconds for each in own)))
    return sorted(spent, key=lambda each: -each.seconds)


def _plain(each: Any) -> dict[str, Any]:
    told = asdict(each)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}
