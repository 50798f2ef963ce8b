"""Read competition.yaml: what the host asks for: rows, metric, submission, stages, folds."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kagkit.foundation.component import check_function, find_function
from kagkit.foundation.errors import ManifestError, Problem, counted, did_you_mean
from kagkit.foundation.schema import read_what_fits
from kagkit.foundation.sources import REQUIRED
from kagkit.foundation.strictyaml import Node, read_yaml
from kagkit.workspace.paths import path_problems
from kagkit.workspace.schemes import Scheme
from kagkit.workspace.stage import Stage, stage_problems

FILE = "competition.yaml"
FORMAT = 1
SCORE = ("solution", "submission", "row_id_column_name")


@dataclass(frozen=True)
class Rows:
    """What a model predicts and a fold contains.

    Attributes:
        key: The columns that name a row, text everywhere.
        load: `module:function(part, data) -> DataFrame`; the stage's CSV is read where there is none.
        group: A column whose equal values never stand in two folds.
        targets: The columns `predict` must not see; found from the files where none are named.
        duplicates: `drop_exact` drops rows that repeat another in every column.
    """

    key: tuple[str, ...]
    load: str | None = None
    group: str | None = None
    targets: tuple[str, ...] = ()
    duplicates: Literal["refuse", "drop_exact"] = "refuse"


@dataclass(frozen=True)
class Metric:
    """The host's score: Kaggle's `score(solution, submission, row_id_column_name, **args)`.

    Attributes:
        score: `module:function`.
        greater_is_better: The direction, declared and never guessed.
        args: Further arguments of `score`.
        solution: `module:function(rows) -> table`, the truth in submission format; by default the rows'
            own key and target columns.
        per_row: `module:function`, with the arguments of `score`: a table by id, whose column means have
            the score as their mean. It makes `kagkit compare` quick; it is held against `score` first.
        cv: `pooled` scores all OOF rows at once, `fold_mean` averages the folds' scores.
    """

    score: str
    greater_is_better: bool
    args: dict[str, Any] = field(default_factory=dict)
    solution: str | None = None
    per_row: str | None = None
    cv: Literal["pooled", "fold_mean"] = "pooled"


@dataclass(frozen=True)
class SubmissionFormat:
    """What a submission looks like: its key columns, then its targets.

    Attributes:
        target: The columns after the key, in this order.
        key: The columns that name a line; `rows.key` where not named.
        lines: `several` where an id may stand on more than one line: one for each mask, or each box.
        relations: By name what is never below any of others: `{any: [epidural, subdural]}`. Names are those
            of targets or, where there is one target alone, what the ids end with after a `_`.
    """

    target: tuple[str, ...]
    key: tuple[str, ...] = ()
    lines: Literal["one", "several"] = "one"
    relations: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class FurtherSource:
    """Files beside the competition's own, versioned alike.

    Attributes:
        files: Files and folders, relative to the workspace.
        source: Where they are from.
        licence: Under which licence.
        allowed: What allows their use in this competition.
    """

    files: tuple[str, ...]
    source: str = ""
    licence: str = ""
    allowed: str = ""


@dataclass(frozen=True)
class Competition:
    """A competition as competition.yaml states it.

    Attributes:
        kagkit: The format of the file: 1.
        competition: The competition's name, as in its address.
        rows: What a model predicts and a fold contains.
        metric: How predictions are scored.
        submission: What a submission looks like.
        stages: The files and terms of stage `1`, and of stage `2` once it is known.
        host: Who hosts it: `kaggle`, the address of a host on this machine, or `none`.
        data: Further sources by name.
        folds: Fold sets by name; `main` is made by default.
    """

    kagkit: int
    competition: str
    rows: Rows
    metric: Metric
    submission: SubmissionFormat
    stages: dict[str, Stage]
    host: str = "kaggle"
    data: dict[str, FurtherSource] = field(default_factory=dict)
    folds: dict[str, Scheme] = field(default_factory=dict)

    @property
    def submission_key(self) -> tuple[str, ...]:
        """The key columns of a submission."""
        return self.submission.key or self.rows.key

    @property
    def folder(self) -> str:
        """The innermost folder that all of stage 1's files are in, relative to the workspace."""
        paths = [posixpath.dirname(path) for paths in self.stages["1"].parts.values() for path in paths]
        return posixpath.commonpath(paths) if all(paths) else ""

    @property
    def sources(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Every versioned source: its parts and their paths."""
        stages = {f"stage{number}": stage.parts for number, stage in self.stages.items()}
        return stages | {name: {"files": source.files} for name, source in self.data.items()}

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file and folder of data it names, sample submissions too; they need not be there."""
        found = [path for source in self.sources.values() for part in source.values() for path in part]
        found += [stage.sample_submission for stage in self.stages.values() if stage.sample_submission]
        return tuple(dict.fromkeys(found))


def read_competition(root: Path, *, data_there: bool = True) -> Competition:
    """Read and check competition.yaml.

    Args:
        root: The workspace.
        data_there: Whether stage 1's files must be there; they are not before they are fetched.

    Raises:
        ManifestError: Every problem at once, each with its line.
    """
    tree = read_yaml(root / FILE, FILE)
    refuse_other_formats(tree, FILE)
    competition, problems = read_what_fits(Competition, tree, FILE)
    if competition is not None:
        problems += _problems(root, competition, tree, data_there)
    if competition is None or problems:
        raise ManifestError(f"{FILE}: {counted(len(problems), 'problem')}", problems)
    return competition


def refuse_other_formats(tree: Node, name: str) -> None:
    """Refuse a file written for another version of kagkit's format before its keys confuse anybody.

    Raises:
        ManifestError: `kagkit:` is missing or not 1.
    """
    found = tree.value.get("kagkit")
    if found is None:
        raise ManifestError(
            f"{name}: not a kagkit file",
            [Problem(f"{name} line 1", "kagkit: missing", hint="begin the file with `kagkit: 1`")],
        )
    if found.value != FORMAT:
        problem = Problem(
            f"{name} line {found.line}",
            f"kagkit: format {found.raw}",
            f"{FORMAT}",
            "this kagkit reads format 1; a newer kagkit may read the file",
        )
        raise ManifestError(f"{name}: another format", [problem])


def line_of(tree: Node, path: str, name: str) -> str:
    """The place of `a.b.c` in a tree as `file line n`, or of its nearest parent."""
    node = tree
    for key in path.split("."):
        if not isinstance(node.value, dict) or key not in node.value:
            break
        node = node.value[key]
    return f"{name} line {node.line}"


def _problems(root: Path, competition: Competition, tree: Node, data_there: bool) -> Iterator[Problem]:
    def where(path: str) -> str:
        return line_of(tree, path, FILE)

    if "1" not in competition.stages:
        yield Problem(where("stages"), "stages: no stage 1", hint="add `1: {train: …, test: …}`")
    if not competition.rows.key:
        yield Problem(where("rows.key"), "rows.key: empty", "the columns that name a row")
    if not competition.submission.target:
        yield Problem(where("submission.target"), "submission.target: empty", "the columns to predict")
    for number, stage in competition.stages.items():
        yield from stage_problems(root, number, stage, where, must_exist=data_there and number == "1")
    yield from _relation_problems(competition.submission, where)
    yield from _path_problems(root, competition, where)
    yield from _function_problems(root, competition, where)
    for name in competition.data:
        if name == "main" or name.startswith("stage"):
            yield Problem(where(f"data.{name}"), f"data.{name}: a reserved name", hint="choose another name")
    for name, scheme in competition.folds.items():
        for found, hint in scheme.problems():
            yield Problem(where(f"folds.{name}"), f"folds.{name}: {found}", hint=hint)


def _relation_problems(submission: SubmissionFormat, where: Any) -> Iterator[Problem]:
    """Names that are no targets; where there is one target, they are ends of ids, which no manifest knows."""
    for whole, parts in submission.relations.items():
        place = f"submission.relations.{whole}"
        if not parts or whole in parts:
            yield Problem(
                where(place), f"{place}: {list(parts)}", "the names of others that it is never below"
            )
        for name in (whole, *parts) if len(submission.target) > 1 else ():
            if name not in submission.target:
                hint = did_you_mean(name, submission.target)
                yield Problem(where(place), f"{place}: {name} is no target", hint=hint)


def _path_problems(root: Path, competition: Competition, where: Any) -> Iterator[Problem]:
    for name, source in competition.data.items():
        for path in source.files:
            yield from path_problems(root, path, where(f"data.{name}.files"), folder=True)
    for name, scheme in competition.folds.items():
        if scheme.file is not None:
            yield from path_problems(root, scheme.file, where(f"folds.{name}.file"))


def _function_problems(root: Path, competition: Competition, where: Any) -> Iterator[Problem]:
    metric = competition.metric
    if competition.rows.load:
        yield from check_function(root, competition.rows.load, where("rows.load"))
    if metric.solution:
        yield from check_function(root, metric.solution, where("metric.solution"))
    if metric.per_row:
        yield from check_function(root, metric.per_row, where("metric.per_row"))
    for name, scheme in competition.folds.items():
        if scheme.function is not None:
            yield from check_function(root, scheme.function, where(f"folds.{name}.function"))
    problems = check_function(root, metric.score, where("metric.score"))
    yield from problems
    if not problems:
        yield from argument_problems(root, metric.score, metric.args, where("metric.args"))
        yield from _signature_problems(root, metric, where("metric.score"))


def _signature_problems(root: Path, metric: Metric, where: str) -> Iterator[Problem]:
    """Where a metric is not called as Kaggle calls its own, as far as its source can be read."""
    function = find_function(root, metric.score)
    if function is None:
        return
    names = [*function.positional, *function.keywords]
    if len(names) < len(SCORE):
        found = f"{metric.score}({', '.join(names)})"
        yield Problem(where, found, f"score({', '.join(SCORE)}), as Kaggle's metrics have it")
    missing = [name for name in function.positional[len(SCORE) :] if name not in metric.args]
    missing += [
        name
        for name, argument in function.keywords.items()
        if argument.default is REQUIRED and name not in metric.args
    ]
    for name in missing:
        found = f"{metric.score} needs {name}"
        yield Problem(where, found, hint=f"add it: metric: {{args: {{{name}: …}}}}")


def argument_problems(root: Path, reference: str, args: dict[str, Any], where: str) -> Iterator[Problem]:
    """Arguments that a function does not name, as far as its source can be read."""
    function = find_function(root, reference)
    if function is None or function.takes_any:
        return
    known = [*function.keywords, *function.positional]
    for name in args:
        if name not in known:
            hint = did_you_mean(name, list(function.keywords)) if function.keywords else "it takes none"
            yield Problem(where, f"{name}: {reference} takes no such argument", hint=hint)
