"""Read host.yaml: what a competition's host offers, hides and allows, with every problem at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from kagkit.foundation.component import check_function
from kagkit.foundation.errors import DataError, ManifestError, Problem, counted, samples
from kagkit.foundation.schema import read_what_fits
from kagkit.foundation.strictyaml import Node, read_yaml
from kagkit.host.solutions import solution_problems
from kagkit.workspace.competition import argument_problems, line_of, refuse_other_formats
from kagkit.workspace.paths import path_problems

FILE = "host.yaml"
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HostMetric:
    """How submissions are scored: Kaggle's `score(solution, submission, row_id_column_name, **args)`.

    Attributes:
        score: `module:function`, of a module beside host.yaml or an installed one.
        greater_is_better: The direction, declared and never guessed.
        args: Further arguments of `score`.
    """

    score: str
    greater_is_better: bool
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Lines:
    """What a submission looks like.

    Attributes:
        key: The columns that name a line.
        target: The columns to predict.
    """

    key: tuple[str, ...]
    target: tuple[str, ...]


@dataclass(frozen=True)
class HostStage:
    """What one stage offers and hides.

    Attributes:
        files: Folders whose content participants may list and download, from this stage on; a file of a
            later folder or stage takes the place of one with the same name.
        solution: The hidden truth: key and target columns, and `Usage` with Public, Private or Ignored.
        sample_submission: The example among the files; it must have the solution's ids.
        labels: The name under which the labels of the stage before are given to participants.
        usage: Whether these come with `Usage`: which rows were public is no secret then.
        deadline: When submissions begin to be late, ISO 8601 with a zone.
    """

    files: tuple[str, ...]
    solution: str
    sample_submission: str | None = None
    labels: str | None = None
    usage: bool = False
    deadline: str | None = None

    @property
    def ends(self) -> datetime | None:
        """The deadline as a time; None where there is none."""
        return None if self.deadline is None else datetime.fromisoformat(self.deadline)


@dataclass(frozen=True)
class Limits:
    """How much a team may submit.

    Attributes:
        daily: Submissions a team may make in a day, which begins at 00:00 UTC.
        total: Submissions a team may make in all; no limit where not named.
        scoring_seconds: How long the metric may take for one submission.
        upload_mb: The largest file that may be uploaded, in millions of bytes.
    """

    daily: int = 5
    total: int | None = None
    scoring_seconds: int = 1800
    upload_mb: int = 2000


@dataclass(frozen=True)
class Participant:
    """Somebody who may take part.

    Attributes:
        key_sha256: The sha256 of the participant's key, in hex; the key itself is kept nowhere.
        team: The team's name; the participant's own where not named.
        rules_accepted: Whether the participant has accepted the rules; nothing can be downloaded or submitted
            before.
    """

    key_sha256: str
    team: str | None = None
    rules_accepted: bool = True


@dataclass(frozen=True)
class Terms:
    """A competition as its host.yaml states it.

    Attributes:
        kagkit: The format of the file: 1.
        competition: The competition's name in addresses: small letters, digits and hyphens.
        title: The competition's name for people.
        metric: How submissions are scored.
        submission: What a submission looks like.
        stages: What stage `1` offers and hides, and stage `2` where there is one.
        description: What participants should know.
        limits: How much a team may submit.
        participants: Who may take part, by user name.
    """

    kagkit: int
    competition: str
    title: str
    metric: HostMetric
    submission: Lines
    stages: dict[str, HostStage]
    description: str = ""
    limits: Limits = field(default_factory=Limits)
    participants: dict[str, Participant] = field(default_factory=dict)

    def team_of(self, user: str) -> str:
        """The name of a participant's team."""
        return self.participants[user].team or user


def read_terms(root: Path) -> Terms:
    """Read and check host.yaml, and the columns, ids and marks of every solution.

    Raises:
        ManifestError: Every problem of the file at once, each with its line.
        DataError: Every problem of the solutions at once.
    """
    if not (root / FILE).is_file():
        hint = f"make a competition: kagkit host new {root.name}"
        raise ManifestError(
            "no competition is there", [Problem(f"{root.name}/{FILE}", "no such file", hint=hint)]
        )
    tree = read_yaml(root / FILE, FILE)
    refuse_other_formats(tree, FILE)
    terms, problems = read_what_fits(Terms, tree, FILE)
    if terms is not None:
        problems += _problems(root, terms, tree)
    if terms is None or problems:
        raise ManifestError(f"{FILE}: {counted(len(problems), 'problem')}", problems)
    key, target = terms.submission.key, terms.submission.target
    faults = [
        fault
        for stage in terms.stages.values()
        for fault in solution_problems(root, stage.solution, stage.sample_submission, key, target)
    ]
    if faults:
        raise DataError("the solution cannot be used", faults)
    return terms


def _problems(root: Path, terms: Terms, tree: Node) -> Iterator[Problem]:
    def where(path: str) -> str:
        return line_of(tree, path, FILE)

    if not SLUG.fullmatch(terms.competition):
        found = f"competition: {terms.competition}"
        yield Problem(where("competition"), found, "small letters, digits and hyphens")
    for name in ("key", "target"):
        if not getattr(terms.submission, name):
            yield Problem(where(f"submission.{name}"), f"submission.{name}: empty", "columns")
    for name, value in asdict(terms.limits).items():
        if value is not None and value < 1:
            yield Problem(where(f"limits.{name}"), f"limits.{name}: {value}", "1 or more")
    problems = check_function(root, terms.metric.score, where("metric.score"))
    yield from problems
    if not problems:
        yield from argument_problems(root, terms.metric.score, terms.metric.args, where("metric.args"))
    yield from _stage_problems(root, terms, where)
    yield from _participant_problems(terms, where)


def _stage_problems(root: Path, terms: Terms, where: Callable[[str], str]) -> Iterator[Problem]:
    if "1" not in terms.stages:
        yield Problem(where("stages"), "stages: no stage 1", hint="add `1: {files: …, solution: …}`")
    for number, stage in terms.stages.items():
        place = f"stages.{number}"
        if number not in ("1", "2"):
            yield Problem(where(place), f"{place}: no such stage", "1 or 2")
        for name in ("solution", "sample_submission"):
            if getattr(stage, name) is not None:
                yield from path_problems(root, getattr(stage, name), where(f"{place}.{name}"))
        for path in stage.files:
            solutions = [other.solution for other in terms.stages.values()]
            yield from _folder_problems(root, path, solutions, where(f"{place}.files"))
        if stage.labels is not None and (number == "1" or not _is_plain(stage.labels)):
            expected = "a file's name" if number != "1" else "no labels: no stage comes before"
            yield Problem(where(f"{place}.labels"), f"labels: {stage.labels}", expected)
        if stage.deadline is not None and not _is_zoned(stage.deadline):
            found = f"deadline: {stage.deadline}"
            yield Problem(where(f"{place}.deadline"), found, "a time with its zone", "2019-08-26T23:59:00Z")


def _folder_problems(root: Path, path: str, solutions: list[str], where: str) -> Iterator[Problem]:
    """What is wrong with a folder of files; the worst is that a hidden file lies in it."""
    faults = list(path_problems(root, path, where, folder=True))
    yield from faults
    if faults:
        return
    folder = (root / path).resolve()
    if not folder.is_dir():
        yield Problem(where, f"{path}: a file", "a folder")
    hidden = [root / name for name in (*solutions, FILE, "state", "kernels")]
    if seen := [item.name for item in hidden if item.resolve().is_relative_to(folder)]:
        found = f"{path}: holds {samples(seen)}, which participants must not see"
        yield Problem(where, found, hint="keep what is offered in a folder of its own")


def _participant_problems(terms: Terms, where: Callable[[str], str]) -> Iterator[Problem]:
    for user, participant in terms.participants.items():
        place = where(f"participants.{user}")
        if not NAME.fullmatch(user):
            yield Problem(place, f"participants: {user}", "a name of letters, digits, -, _ and .")
        if not SHA256.fullmatch(participant.key_sha256):
            hint = "printf %s KEY | sha256sum"
            yield Problem(place, f"{user}.key_sha256: not a sha256", "64 small hex digits", hint)
    keys = [participant.key_sha256 for participant in terms.participants.values()]
    if len(set(keys)) < len(keys):
        yield Problem(where("participants"), "two participants have one key", "a key of one's own each")


def _is_plain(name: str) -> bool:
    return bool(NAME.fullmatch(name))


def _is_zoned(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
