"""Write a workspace from the host's files, each guess told beside its line; nothing is overwritten."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.data.choosing import choose, describe
from kagkit.foundation.errors import KagkitError, ManifestError, Problem
from kagkit.foundation.files import file_sha256, link_or_copy, write_file
from kagkit.foundation.strictyaml import dump_yaml
from kagkit.recipes.guessing import Guess, guess
from kagkit.recipes.reading import Asked, Given, read_asked
from kagkit.recipes.shelf import recipe_text
from kagkit.workspace.competition import FILE, Competition
from kagkit.workspace.layout import find_workspace
from kagkit.workspace.schemes import Scheme

FIRST = "exp001"
WIDTH = 110
OURS = "kagkit.metrics:"
PLAIN = re.compile(r"(?!(?:true|false|null)$)[A-Za-z_][\w./-]*(?::[\w./-]+)*", re.IGNORECASE | re.ASCII)
MANIFEST = """\
kagkit: 1
note: boosted trees on every column
recipe: boosting.py
"""
TRUTH = '''\
"""The truth as the submission tells it: a column for each class, 1 in the right one."""

import pandas as pd


def make_solution(rows):
    return pd.get_dummies(rows[{name}].map({form}.format), dtype=int)
'''


@dataclass(frozen=True, eq=False)
class Started:
    """A workspace that was just written.

    Attributes:
        files: What was written or linked, relative to the workspace.
        asked: What the host's tables say.
        guess: What was guessed.
        notes: What is odd and no fault.
    """

    files: tuple[str, ...]
    asked: Asked
    guess: Guess
    notes: tuple[str, ...]


def start_workspace(
    folder: Path, given: Given, metric: str | None = None, competition: str | None = None
) -> Started:
    """Write a workspace whose first experiment runs as it is.

    The host's files are linked or copied into `data/`; those that lie in the folder already stay where they
    are. competition.yaml comes last: what a crash cuts short can be done again.

    Args:
        folder: The workspace; made where it is not there.
        given: The host's files.
        metric: A name of kagkit.metrics; guessed where None.
        competition: The host's name for the competition; the folder's where None.

    Raises:
        ManifestError: The folder is a workspace, another file is in the way, or the metric does not fit.
        DataError: The tables cannot be used as they are; each problem with what to write by hand.
        RunError: The files cannot be written.
    """
    if (folder / FILE).exists():
        hint = "another experiment? kagkit new; another competition? another folder"
        raise ManifestError("the folder is a workspace", [Problem(FILE, "there already", hint=hint)])
    asked = read_asked(given)
    found = guess(asked, metric)
    places = _places(folder, given)
    texts = {
        ".gitignore": _gitignore(places),
        "boosting.py": recipe_text("boosting", constants_of(asked, found)),
        f"{FIRST}.yaml": MANIFEST,
        **_truth_file(asked),
        FILE: _name_line(folder, competition) + _competition(asked, found, places),
    }
    notes = list(asked.notes)
    if (folder / ".gitignore").exists():
        del texts[".gitignore"]
        notes.append(".gitignore is left as it is: data/, runs/, submissions/ and .kagkit/ belong in it")
    sources = {place: getattr(given, role) for role, place in places.items()}
    _refuse_others(folder, texts, sources)
    for place, source in sources.items():
        if not (folder / place).exists():
            link_or_copy(source.resolve(), folder / place)
    for name, text in texts.items():
        write_file(folder / name, text)
    return Started((*sources, *texts), asked, found, tuple(notes))


def _places(folder: Path, given: Given) -> dict[str, str]:
    """Where each of the host's files is in the workspace."""
    root = folder.resolve()
    paths = {role: getattr(given, role) for role in ("train", "test", "sample")}
    names = [path.name for path in paths.values()]
    places = {}
    for role, path in paths.items():
        here = path.parent.resolve() / path.name
        name = path.name if names.count(path.name) == 1 else role + "".join(path.suffixes)
        places[role] = here.relative_to(root).as_posix() if here.is_relative_to(root) else f"data/{name}"
    return places


def _gitignore(places: Mapping[str, str]) -> str:
    data = dict.fromkeys(place.partition("/")[0] + ("/" if "/" in place else "") for place in places.values())
    lines = ["# The host's data, and what kagkit can make again; all the rest belongs in git."]
    lines += [f"/{name}" for name in (*data, "runs/", "submissions/", ".kagkit/")]
    return "\n".join(lines) + "\n"


def _truth_file(asked: Asked) -> dict[str, str]:
    """The function that spreads a column of labels over the submission's columns, where there are such."""
    if asked.class_column is None:
        return {}
    name, form = (json.dumps(text, ensure_ascii=False) for text in (asked.truth[0], asked.class_column))
    return {"truth.py": TRUTH.format(name=name, form=form)}


def _refuse_others(folder: Path, texts: Mapping[str, str], sources: Mapping[str, Path]) -> None:
    """Stop where a file is in the way; one with the very same content is not."""
    there = [name for name, text in texts.items() if _has_other(folder / name, text)]
    there += [
        place
        for place, source in sources.items()
        if (folder / place).exists() and file_sha256(folder / place) != file_sha256(source)
    ]
    if there:
        hint = "move it away, or take another folder"
        raise ManifestError(
            "nothing is overwritten", [Problem(name, "there already", hint=hint) for name in there]
        )


def _has_other(path: Path, text: str) -> bool:
    return path.exists() and (path.is_dir() or path.read_bytes() != text.encode())


def constants_of(asked: Asked, found: Guess) -> dict[str, Any]:
    """The constants at the top of a recipe."""
    return {
        "TARGETS": asked.truth,
        "ABSENT": asked.absent,
        "LOSS": found.loss,
        "CLASS_COLUMN": asked.class_column or "{}",
    }


def constants_here(folder: Path) -> dict[str, Any] | None:
    """The constants that fit the workspace a folder is in, where that can be told from its tables."""
    try:
        workspace = find_workspace(folder)
        given, metric = _given_in(workspace.root, workspace.competition)
        asked = read_asked(given)
        return constants_of(asked, guess(asked, metric))
    except KagkitError:
        return None


def _given_in(root: Path, competition: Competition) -> tuple[Given, str | None]:
    stage, metric = competition.stages["1"], competition.metric.score
    sample = stage.sample_submission or ""
    known = metric.removeprefix(OURS) if metric.startswith(OURS) else None
    return Given(root / stage.train, root / stage.test, root / sample), known


def _name_line(folder: Path, competition: str | None) -> str:
    """The first lines of competition.yaml, up to the competition's name."""
    name, comment = folder.resolve().name, "the folder's name; write the host's name for it"
    if competition is not None:
        name, comment = competition, "the host's name for it"
    lines = _line("competition", name, comment)
    return "\n".join(["# What the host asks for, found by `kagkit init`.", "kagkit: 1", *lines]) + "\n"


def _competition(asked: Asked, found: Guess, places: Mapping[str, str]) -> str:
    """The other lines of competition.yaml, each guess with its reason beside it."""
    rows: dict[str, Any] = {"key": asked.key}
    if asked.absent:
        rows["targets"] = (*asked.truth, *asked.absent)
    metric = {"score": OURS + found.metric, "greater_is_better": found.greater_is_better}
    metric |= {"args": found.args} if found.args else {}
    metric |= {"solution": "truth:make_solution"} if asked.class_column else {}
    scheme = choose(Scheme(), asked.train, asked.truth, None)
    stages = {"train": places["train"], "test": places["test"], "sample_submission": places["sample"]}
    why = "" if found.because_metric.startswith("named") else "a guess: "
    lines = [
        *_line("rows", rows, "the columns that the sample submission and the test table share"),
        *_line("metric", metric, f"{why}{found.because_task}; {found.because_metric}"),
        *_line("submission", {"target": asked.targets}, "the sample submission's other columns"),
        "stages:",
        "  1:",
        *(f"    {key}: {_flow(value)}" for key, value in stages.items()),
        f"# Folds, by default: {describe(scheme)}. Do rows belong together? Then name their column in",
        "# rows: {group: …}. Do test rows come later? folds: {main: {scheme: time, column: …}}",
    ]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, comment: str) -> Iterator[str]:
    """A key on one line with its comment; a long one on several, below it."""
    line = f"{key}: {_flow(value)}"
    if len(line) <= WIDTH:
        yield f"{line}  # {comment}"
    else:
        yield f"# {comment}"
        yield dump_yaml({key: value}).rstrip("\n")


def _flow(value: Any) -> str:
    """A value as YAML on one line.

    Example:
        >>> _flow({"key": ("Loan ID", "a:b"), "gap": True})
        '{key: ["Loan ID", a:b], gap: true}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=isinstance(value, str) and not value.isprintable())
