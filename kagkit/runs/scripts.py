"""Give a task to a script that knows nothing of kagkit: rows as CSV files, its answer read back by key."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.engine.programs import ending_of, run_program
from kagkit.foundation.errors import KagkitError, Problem, RunError, samples
from kagkit.foundation.files import canonical_json, told_when_unwritable
from kagkit.runs.task import Task
from kagkit.workspace.commandlines import PYTHONS
from kagkit.workspace.commands import CommandRecipe, program_path

if TYPE_CHECKING:
    import pandas as pd

ALL_ROWS = "-1"  # {fold} of a fit on all rows: scripts read it as a whole number
ROWS, ANSWER, LOG = "rows.csv", "predictions.csv", "log.txt"
TAIL_BYTES, TAIL_LINES = 1 << 14, 3
FRAME = re.compile(r'^ *File "(?P<file>[^"\n]+)", line (?P<line>\d+)', re.MULTILINE)
VARIABLES = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class Script:
    """Two command lines, called as the functions of a recipe are.

    Args:
        recipe: The command lines.
        label: What people call the task.
    """

    def __init__(self, recipe: CommandRecipe, label: str) -> None:
        self._recipe = recipe
        self._label = label

    def train(self, task: Task, **args: Any) -> None:
        """Write the row files that the line names, run it, and keep what `outputs` says of its files.

        Raises:
            RunError: The command failed, or left nothing to keep.
        """
        values = self._values(task, args)
        for name in ("train_rows", "valid_rows"):
            if name in self._recipe.functions["train"].placeholders:
                path = task.out.with_name(f"{name}.csv")
                _write_rows(path, getattr(task, name))
                values[name] = self._told(path)
        self._run("train", task, values | {"out": self._told(task.out)})
        self._keep_outputs(task.out)

    def predict(self, task: Task, weights: Path, rows: pd.DataFrame, **args: Any) -> pd.DataFrame:
        """Write the rows, run the line, read its CSV.

        Args:
            task: The task.
            weights: What `train` wrote.
            rows: The rows to predict, by key, without targets.
            args: The placeholders the line names.

        Returns:
            The value columns, by key.

        Raises:
            RunError: The command failed; or its CSV is missing, damaged or of other rows.
        """
        given, answer = task.out.with_name(ROWS), task.out.with_name(ANSWER)
        answer.unlink(missing_ok=True)  # of a run that was killed
        _write_rows(given, rows)
        paths = {"weights": weights, "rows": given, "out": answer}
        values = self._values(task, args) | {name: self._told(path) for name, path in paths.items()}
        self._run("predict", task, values)
        return self._read_answer(answer, rows)

    def _values(self, task: Task, args: dict[str, Any]) -> dict[str, str]:
        facts = {"seed": task.seed, "stage": task.stage, "threads": task.threads, "device": task.device}
        facts |= {"fold": ALL_ROWS if task.fold is None else task.fold, **args}
        facts |= {"checkpoint": self._told(task.checkpoint)}
        for path in task.data["main"].files[:1]:
            facts["files"] = self._told(path)
        return {name: _spelled(value) for name, value in facts.items()}

    def _told(self, path: Path) -> str:
        """A path from the folder the command runs in: what it prints or keeps of it is the same anywhere."""
        return os.path.relpath(path, self._recipe.folder)

    def _run(self, name: str, task: Task, values: dict[str, str]) -> None:
        words = self._recipe.functions[name].fill(values)
        program = sys.executable if words[0] in PYTHONS else program_path(self._recipe, words[0]) or words[0]
        log = task.out.with_name(LOG)
        begun = log.stat().st_size if log.exists() else 0
        try:
            code = run_program([program, *words[1:]], self._recipe.folder, VARIABLES)
        except OSError as error:
            problem = Problem(f"command.{name}", f"{words[0]} cannot be started: {error.strerror}")
            raise RunError(f"{self._label} failed", [problem]) from None
        if code:
            where, found = _last_words(_tail(log, begun), self._recipe if code == 1 else None)
            found = found if where else f"{ending_of(code)}{f'; it said: {found}' if found else ''}"
            place = os.path.relpath(log, self._recipe.root)
            hint = f"`{shlex.join(words)}` failed; read {place}"
            raise RunError(f"{self._label} failed", [Problem(where or f"command.{name}", found, hint=hint)])

    def _keep_outputs(self, out: Path) -> None:
        """Leave in `out` what the globs name; everything where there are none."""
        written = {path for path in out.rglob("*") if not path.is_dir() or path.is_symlink()}
        if not written:
            hint = "have the script write its weights into the folder {out}"
            problem = Problem("command.train", "wrote no file into {out}", hint=hint)
            raise RunError(f"{self._label} left nothing", [problem])
        kept: set[Path] = set()
        problems = []
        there = samples(sorted(path.relative_to(out).as_posix() for path in written))
        for pattern in self._recipe.outputs:
            found = {path for path in out.glob(pattern) if path != out}
            found |= {inner for path in found if path.is_dir() for inner in path.rglob("*")}
            if not found & written:
                hint = f"written were {there}"
                problems.append(Problem("outputs", f"{pattern}: no such file below {{out}}", hint=hint))
            kept |= found
        if problems:
            raise RunError(f"{self._label} left other files", problems)
        for path in written - kept if self._recipe.outputs else ():
            path.unlink()

    def _read_answer(self, path: Path, rows: pd.DataFrame) -> pd.DataFrame:
        from kagkit.data.tables import read_table

        keys = [str(name) for name in rows.index.names]
        if not path.is_file():
            found = "a folder" if path.is_dir() else "not written"
            hint = "write the predictions to the file {out}"
            raise self._refused(Problem("{out} of predict", found, "a CSV", hint))
        try:
            table = read_table(path, keys)
        except KagkitError as error:
            raise self._refused(*(replace(p, where=_answer(p.where, path)) for p in error.problems)) from None
        if any(name.startswith("Unnamed: ") for name in table.columns):
            hint = "pandas: to_csv(…, index=False)"
            raise self._refused(Problem("{out} of predict", "a column without a name", hint=hint))
        table = table.set_index(keys)
        strange = table.index[~table.index.isin(rows.index)]
        if len(strange):
            found = f"keys that {{rows}} has not ({len(strange):,}): {_some(strange)}"
            kinds = ", ".join(f'"{key}": str' for key in keys)
            hint = f"keys are text: pd.read_csv(…, dtype={{{kinds}}}) keeps 007 as it is"
            expected = f"keys of {{rows}}: {_some(rows.index)}"
            raise self._refused(Problem("{out} of predict", found, expected, hint))
        return table

    def _refused(self, *problems: Problem) -> RunError:
        return RunError(f"{self._label}: its predictions cannot be read", problems)


def _answer(where: str, path: Path) -> str:
    """A place in the CSV that predict wrote, as its command line calls it."""
    return f"{{out}} of predict{where.partition(path.name)[2]}"


def _spelled(value: Any) -> str:
    """A value as a word: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else canonical_json(value)


def _write_rows(path: Path, rows: pd.DataFrame) -> None:
    with told_when_unwritable(path.name):
        rows.reset_index().to_csv(path, index=False, lineterminator="\n")


def _some(keys: Any) -> str:
    from kagkit.data.keys import shown

    return shown(keys[:5].tolist(), len(keys))


def _tail(log: Path, begun: int) -> str:
    """The last of what a log got since it had so many bytes."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(begun, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""


def _last_words(text: str, recipe: CommandRecipe | None) -> tuple[str, str]:
    """Where a script failed and what it said: Python's exception and its line, or the last lines.

    `recipe` is None where no exception ended it: an older one in its log is not the reason.
    """
    lines = [line.rpartition("\r")[2].rstrip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    frames = [frame for frame in FRAME.finditer(text) if recipe and _local(frame["file"], recipe)]
    if recipe is None or not frames:
        return "", " / ".join(lines[-TAIL_LINES:])
    place = f"{_local(frames[-1]['file'], recipe)} line {frames[-1]['line']}"
    after = text[frames[-1].end() :].splitlines()
    said = [line for line in after if re.match(r"[\w.]+(Error|Exception|Interrupt|Exit|Warning)?(:|$)", line)]
    return place, said[0] if said else lines[-1]


def _local(file: str, recipe: CommandRecipe) -> str:
    """A traceback's file relative to the workspace; empty where it is installed or elsewhere."""
    path = os.path.normpath(recipe.folder / file)
    inside = path.startswith(f"{recipe.root}{os.sep}") and "site-packages" not in path
    return Path(path).relative_to(recipe.root).as_posix() if inside else ""
